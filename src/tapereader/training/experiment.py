"""One honest trial: learn on train, decide on validation, answer test once, beside the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray
from pydantic import Field

from tapereader.bundle.calibration import Calibration, FloatArray, decode, output_width
from tapereader.bundle.tokenizer import ChunkingTokenizer
from tapereader.core.config import Config
from tapereader.core.errors import ConfigError
from tapereader.dataset.parts import Split
from tapereader.models.backbones import ResolvedBackbone
from tapereader.sources.labelled import LabelledText
from tapereader.training.baselines import BASELINES
from tapereader.training.batches import encode
from tapereader.training.calibration import fit_calibration
from tapereader.training.embedding import frozen_embedding
from tapereader.training.loop import Progress
from tapereader.training.scoring import predict_logits
from tapereader.training.trainer import FinetuneConfig, FinetunedModel, build_network, finetune

#: The network with its pretrained weights and an output layer that has learnt nothing.
BEFORE = "before-tuning"


class JudgingConfig(Config):
    """What is decided on held-out text, and what the model is shown beside."""

    coverage: float = Field(default=0.9, gt=0.0, lt=1.0)
    """Promised share of prediction sets that hold the truth, counted in groups of rows that resemble each other."""
    abstain_at: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Abstain so often that the answers kept reach this accuracy on validation; None never abstains."""
    baselines: tuple[str, ...] = ("majority", "word-list", "tfidf", "frozen-embedding")
    """Which plain baselines are fitted on the same rows."""
    before: bool = True
    """Whether the network is also judged before it has learnt anything."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trained model and every answer given on the test part.

    Parameters
    ----------
    model : trained on the train part alone
    calibration : fitted on the validation part
    outputs : on the test part, in its order: (N, C) probabilities or (N,) values
    others : the same of each baseline, and of the network before tuning
    """

    model: FinetunedModel
    calibration: Calibration
    outputs: FloatArray
    others: dict[str, FloatArray]


def run_trial(
    labelled: LabelledText,
    split: Split,
    config: FinetuneConfig,
    judging: JudgingConfig,
    *,
    groups: NDArray[np.int64] | None = None,
    work_dir: Path | None = None,
    progress: Progress | None = None,
    allow_download: bool = False,
) -> Trial:
    """Fine-tune, calibrate and answer, each on its own part of a split.

    Parameters
    ----------
    labelled : all rows
    split : of those rows
    config, judging : what to learn and what to show beside it
    groups : int array (N,) of rows that are no evidence apart, for the baselines' inner choices and the calibration
    work_dir, progress, allow_download : as in :func:`tapereader.training.trainer.finetune`
    """
    check_baselines(judging)
    train, validation, test = (labelled.take(part) for part in (split.train, split.validation, split.test))
    model = finetune(
        train, validation if len(validation) else None, config,
        work_dir=work_dir, progress=progress, allow_download=allow_download,
    )  # fmt: skip
    contract = labelled.card.contract
    calibration = calibrate(model, validation, judging, groups=None if groups is None else groups[split.validation])
    others = baseline_outputs(labelled, split, judging, resolved=model.resolved, config=config, groups=groups)
    if judging.before:
        others[BEFORE] = before_tuning(model, test)
    return Trial(
        model=model,
        calibration=calibration,
        outputs=decode(contract, model.logits(test.texts, test.pairs), calibration),
        others=others,
    )


def check_baselines(judging: JudgingConfig) -> None:
    """Refuse a baseline nobody knows; called before anything is learnt, which takes minutes.

    Raises
    ------
    ConfigError
        If a baseline's name is unknown.
    """
    unknown = [name for name in judging.baselines if name not in BASELINES]
    if unknown:
        raise ConfigError(f"`baselines` must be among {', '.join(BASELINES)}; got {', '.join(unknown)}.")


def calibrate(
    model: FinetunedModel,
    validation: LabelledText,
    judging: JudgingConfig,
    *,
    groups: NDArray[np.int64] | None = None,
) -> Calibration:
    """Fit temperature, prediction sets and abstention on rows no weight was learnt from; none without such rows.

    Parameters
    ----------
    model : trained on other rows. Where these rows stopped its training early or chose its recipe, the coverage that is
        promised is approximate: it fits them better than new ones
    validation : N rows
    judging : what to promise
    groups : int array (N,) of rows that are no evidence apart; the promise is counted in groups
    """
    if not len(validation):
        return model.calibration
    return fit_calibration(
        validation.card.contract,
        model.logits(validation.texts, validation.pairs),
        validation.targets(),
        groups=groups,
        seed=model.config.seed,
        coverage=judging.coverage,
        abstain_at=judging.abstain_at,
        target_mean=model.calibration.target_mean,
        target_scale=model.calibration.target_scale,
    )


def before_tuning(model: FinetunedModel, test: LabelledText) -> FloatArray:
    """Answer with the same network as it was before its first step."""
    contract = test.card.contract
    transformers.set_seed(model.config.seed)
    network = build_network(model.resolved, model.config, outputs=output_width(contract))
    tokenizer = ChunkingTokenizer(
        model.resolved.folder / "tokenizer.json",
        max_length=model.config.max_length,
        prefix=model.resolved.backbone.prefix,
    )
    return decode(contract, predict_logits(network, encode(tokenizer, test.texts, test.pairs)), model.calibration)


def baseline_outputs(
    labelled: LabelledText,
    split: Split,
    judging: JudgingConfig,
    *,
    resolved: ResolvedBackbone,
    config: FinetuneConfig,
    groups: NDArray[np.int64] | None,
) -> dict[str, FloatArray]:
    """Fit each baseline on train and validation together, and answer the test part.

    They choose their penalty on inner splits of their own, so they may have the rows that calibrate the network: a
    baseline should have every advantage.

    Raises
    ------
    ConfigError
        If a baseline's name is unknown.
    """
    check_baselines(judging)
    learn = np.concatenate([split.train, split.validation])
    train, test = labelled.take(learn), labelled.take(split.test)
    own_groups = None if groups is None else groups[learn]
    out: dict[str, FloatArray] = {}
    for name in judging.baselines:
        extra: dict[str, Any] = {}
        if name == "frozen-embedding":
            extra["embed"] = frozen_embedding(resolved, max_length=config.max_length, precision=config.precision)
        baseline = BASELINES[name](labelled.card.contract, language=labelled.card.language, seed=config.seed, **extra)
        baseline.fit(train.texts, train.targets(), pairs=train.pairs, groups=own_groups)
        out[name] = baseline.outputs(test.texts, pairs=test.pairs)
    return out
