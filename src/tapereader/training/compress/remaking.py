"""A smaller network that is taught again: pruned, shortened, thinned out, or distilled from another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapereader.bundle import Bundle, LabelContract
from tapereader.models.heads import Loss, ObjectiveConfig, build_loss
from tapereader.sources import LabelledText
from tapereader.training.batches import EncodedDataset, encode
from tapereader.training.compress.dropping import drop_layers
from tapereader.training.compress.opening import open_changeable, write_start
from tapereader.training.compress.pruning import (
    audible_heads,
    cut_heads,
    kept_parts,
    measure_importance,
    narrow_width,
    silence_heads,
)
from tapereader.training.compress.sparsity import store_sparse, zero_smallest
from tapereader.training.export import export_onnx, save_weights
from tapereader.training.loop import Progress
from tapereader.training.trainer import FinetuneConfig, FinetunedModel, finetune


@dataclass(frozen=True, eq=False, kw_only=True)
class Remade:
    """A smaller network.

    Parameters
    ----------
    model : as it was taught
    sparse : whether the graph keeps non-zero weights alone
    said : what was done, in words for its card
    """

    model: FinetunedModel
    sparse: bool = False
    said: str


def prune(
    bundle: Bundle,
    train: LabelledText,
    recipe: FinetuneConfig,
    *,
    head_share: float,
    width_share: float,
    texts: int,
    folder: Path,
    progress: Progress | None,
) -> Remade:
    """Take the least important heads and inner neurons out of every block, and teach what is left.

    Parameters
    ----------
    bundle : the parent
    train : its training part
    recipe : of the teaching
    head_share, width_share : share that goes
    texts : training texts on which importance is measured
    folder : to write the untaught network into
    progress : told how the teaching goes
    """
    network = open_changeable(bundle)
    data, loss = _sample(bundle, train, texts, seed=recipe.seed)
    heads, neurons = kept_parts(measure_importance(network, data, loss), head_share=head_share, width_share=width_share)
    config: Any = network.backbone.config
    before = (config.num_attention_heads, config.intermediate_size)
    silence_heads(network, heads)
    narrow_width(network, neurons)
    start = write_start(network, bundle, folder)
    said = (
        f"Of {before[0]} attention heads {len(heads[0])} stay in every layer, of {before[1]:,} inner neurons "
        f"{len(neurons[0]):,}; then every weight was taught again on the training part, {recipe.epochs} passes. "
        "In `model/` the heads that went are there with weights of zero, since its config has no word for fewer; the "
        "graph in `onnx/` is without them."
    )
    model = finetune(train, None, recipe, start=start, progress=progress)
    return Remade(model=model, said=said)


def shorten(
    bundle: Bundle,
    train: LabelledText,
    recipe: FinetuneConfig,
    *,
    count: int,
    texts: int,
    folder: Path,
    progress: Progress | None,
) -> Remade:
    """Take ``count`` layers out, and teach what is left; other parameters as in :func:`prune`."""
    network = open_changeable(bundle)
    data, loss = _sample(bundle, train, texts, seed=recipe.seed)
    left = drop_layers(network, data, loss, count=count)
    start = write_start(network, bundle, folder)
    named = ", ".join(str(at + 1) for at in left)
    said = (
        f"Of {len(left) + count} layers those numbered {named} from the bottom stay; then every weight was taught "
        f"again on the training part, {recipe.epochs} passes."
    )
    return Remade(model=finetune(train, None, recipe, start=start, progress=progress), said=said)


def thin(
    bundle: Bundle,
    train: LabelledText,
    recipe: FinetuneConfig,
    *,
    share: float,
    folder: Path,
    progress: Progress | None,
) -> Remade:
    """Set the smallest weights to zero, and teach the others; other parameters as in :func:`prune`."""
    network = open_changeable(bundle)
    start = write_start(network, bundle, folder, masks=zero_smallest(network, share=share))
    said = (
        f"Of every matrix of weights in the layers the smallest {100 * share:g} % are zero; the others were taught "
        f"again on the training part, {recipe.epochs} passes. The graph in `onnx/` keeps the others alone, and a bit "
        "for every place; a runtime makes full matrices of them when it opens the file. In `model/` the zeros are "
        "written out."
    )
    return Remade(model=finetune(train, None, recipe, start=start, progress=progress), sparse=True, said=said)


def write_network(made: Remade, contract: LabelContract, parts: Path) -> None:
    """Write ``model`` and ``onnx`` of a smaller network into a folder."""
    save_weights(made.model, contract, parts / "model")
    # After pruning, and whatever came after it: heads that say nothing take no room in the graph.
    cut_heads(made.model.network, audible_heads(made.model.network))
    path = parts / "onnx" / "model.onnx"
    export_onnx(made.model, path)
    if made.sparse:
        store_sparse(path, path)


def _sample(bundle: Bundle, train: LabelledText, texts: int, *, seed: int) -> tuple[EncodedDataset, Loss]:
    drawn = train.take(np.sort(np.random.default_rng(seed).permutation(len(train))[:texts]))
    targets: NDArray[Any] = drawn.targets()
    if bundle.contract.kind == "regression":
        targets = (targets - bundle.calibration.target_mean) / bundle.calibration.target_scale
    loss = build_loss(bundle.contract, ObjectiveConfig(), targets)
    return encode(bundle.tokenizer(), drawn.texts, drawn.pairs, targets), loss
