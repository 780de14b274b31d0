"""What all texts share is taken away before the head, and written into the head afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra train")

import torch
from tests.tiny_models import labelled_rows, recipe, write_model

from tapereader.bundle.tokenizer import Chunk
from tapereader.models.network import TextNetwork, load_backbone
from tapereader.training.batches import Collator, EncodedDataset, EncodedText
from tapereader.training.standardising import standardise_embedding
from tapereader.training.trainer import finetune


class Table(torch.nn.Module):
    """A backbone whose state of a token is a row of a table: what texts share can be chosen."""

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        self.rows = torch.nn.Parameter(rows)
        self.config = type("Config", (), {"type_vocab_size": 0})()

    def forward(self, attention_mask: torch.Tensor, input_ids: torch.Tensor) -> object:  # noqa: ARG002 (every backbone is given one)
        return type("Out", (), {"last_hidden_state": self.rows[input_ids]})()


def one_token_texts(count: int) -> EncodedDataset:
    return EncodedDataset(
        [EncodedText((Chunk(document=0, ids=[token], type_ids=[0]),), label=0) for token in range(count)]
    )


def network(rows: torch.Tensor) -> TextNetwork:
    torch.manual_seed(0)
    return TextNetwork(Table(rows), width=rows.shape[1], outputs=2, pooling="mean", dropout=0.0, loss=None)


COLLATOR = Collator(pad_id=0, type_ids=False)


def test_a_common_part_is_taken_away_and_the_rest_has_unit_variance() -> None:
    own = torch.randn(40, 6, generator=torch.Generator().manual_seed(1)) * 0.1
    net = network(own + 3.0)
    assert standardise_embedding(net, one_token_texts(40), COLLATOR) > 0.99
    assert net.centre is not None
    torch.testing.assert_close(net.centre, (own + 3.0).mean(dim=0))
    assert net.gain == pytest.approx(1.0 / float((own - own.mean(dim=0)).square().mean().sqrt()), rel=1e-4)


def test_embeddings_without_a_common_part_stay_as_they_are() -> None:
    net = network(torch.randn(40, 6, generator=torch.Generator().manual_seed(1)))
    assert standardise_embedding(net, one_token_texts(40), COLLATOR) < 0.2
    assert net.centre is None
    assert net.gain == 1.0


def test_equal_embeddings_are_not_divided_by_nothing() -> None:
    net = network(torch.ones(40, 6))
    assert standardise_embedding(net, one_token_texts(40), COLLATOR) == pytest.approx(1.0)
    assert net.centre is None


def test_folding_changes_no_logit() -> None:
    own = torch.randn(40, 6, generator=torch.Generator().manual_seed(1)) * 0.1
    net = network(own + 3.0).eval()
    standardise_embedding(net, one_token_texts(40), COLLATOR)
    batch = COLLATOR(one_token_texts(40).documents)
    before = net(**{name: value for name, value in batch.items() if name != "labels"})["logits"]
    net.fold()
    after = net(**{name: value for name, value in batch.items() if name != "labels"})["logits"]
    assert net.centre is None
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_a_network_in_a_narrow_cone_learns_and_leaves_a_plain_head(tmp_path: Path) -> None:
    """The last norm's bias is what a network trained with a small temperature has: one direction for all texts."""
    folder = write_model(tmp_path / "cone", "bert")
    backbone = load_backbone(folder, encoder_dropout=0.0)
    with torch.no_grad():
        backbone.encoder.layer[-1].output.LayerNorm.weight.mul_(0.05)
        backbone.encoder.layer[-1].output.LayerNorm.bias.fill_(1.0)
    backbone.save_pretrained(folder)
    rows = labelled_rows(n=120)
    model = finetune(rows, None, recipe(folder, epochs=8))
    assert model.network.centre is None
    right = (model.logits(rows.texts).argmax(axis=1) == rows.targets()).mean()
    assert right > 0.8
