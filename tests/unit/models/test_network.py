"""Pooling, chunks and the loading of every kind of network."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="networks need the extra train")

import torch
from tests.tiny_models import KINDS, POSITIONS, VOCABULARY, write_model

from tapereader.core.errors import ConfigError
from tapereader.models.network import (
    TextNetwork,
    embedding_parameters,
    hidden_width,
    load_backbone,
    position_limit,
    transformer_layers,
)

Tensor = torch.Tensor


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: write_model(root / kind, kind) for kind in KINDS}


class Echo(torch.nn.Module):
    """A backbone whose states are its inputs: what is pooled can be worked by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.config = type("Config", (), {"type_vocab_size": 0})()

    def forward(
        self,
        attention_mask: Tensor,  # noqa: ARG002 (every backbone is given one)
        inputs_embeds: Tensor,
    ) -> object:
        return type("Out", (), {"last_hidden_state": inputs_embeds})()


def echo(pooling: str, outputs: int = 1) -> TextNetwork:
    return TextNetwork(Echo(), width=2, outputs=outputs, pooling=pooling, dropout=0.5, loss=None).eval()  # type: ignore[arg-type]


def test_the_mean_counts_real_tokens_only() -> None:
    states = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [90.0, 90.0]]])
    pooled = echo("mean").embed(torch.tensor([[1, 1, 0]]), inputs_embeds=states)
    assert pooled.tolist() == [[2.0, 1.0]]


def test_the_last_is_the_last_real_token_of_each_row() -> None:
    states = torch.arange(12.0).reshape(2, 3, 2)
    pooled = echo("last").embed(torch.tensor([[1, 1, 0], [1, 1, 1]]), inputs_embeds=states)
    assert pooled.tolist() == [[2.0, 3.0], [10.0, 11.0]]


def test_a_long_document_is_the_mean_of_its_tokens_not_of_its_chunks() -> None:
    """Three tokens in one chunk and one in the next: logits are those of the four tokens' mean embedding."""
    network = echo("mean", outputs=3)
    states = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    out = network(mask, torch.tensor([0, 0]), 1, inputs_embeds=states)["logits"]
    pooled_first = network.head(torch.cat([states[0], states[1, :1]]).mean(dim=0, keepdim=True))
    assert torch.allclose(out, pooled_first, atol=1e-6)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_batch_of_very_long_documents_runs_in_slices_and_learns_the_same(kind: str, folders: dict[str, Path]) -> None:
    """Eleven chunks of 8 tokens, at most 16 tokens at a time: same loss, same gradients, less kept in memory."""

    def run(slice_tokens: int | None) -> tuple[Tensor, list[Tensor], list[int]]:
        backbone = load_backbone(folders[kind], encoder_dropout=0.0)
        torch.manual_seed(0)
        network = TextNetwork(
            backbone, width=hidden_width(backbone), outputs=3, pooling="mean" if kind == "bert" else "last",
            dropout=0.0, loss=lambda logits, labels: torch.nn.functional.cross_entropy(logits, labels),
        ).train()  # fmt: skip
        network.slice_tokens = slice_tokens
        rows: list[int] = []
        backbone.register_forward_hook(
            lambda _, __, inputs, ___: rows.append(len(inputs["input_ids"])), with_kwargs=True
        )
        ids = torch.randint(5, len(VOCABULARY), (11, 8), generator=torch.Generator().manual_seed(0))
        documents = torch.tensor([0] * 6 + [1] * 5)
        loss = network(torch.ones(11, 8), documents, 2, input_ids=ids, labels=torch.tensor([0, 2]))["loss"]
        kept = list(rows)
        loss.backward()
        return loss, [p.grad for p in network.parameters() if p.grad is not None], kept

    whole, gradients, together = run(None)
    cut, found, sliced = run(16)
    assert together == [11]
    assert sliced == [2] * 5 + [1]
    assert torch.allclose(whole, cut, atol=1e-6)
    assert len(gradients) == len(found)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(gradients, found, strict=True))


def test_documents_in_one_batch_do_not_touch_each_other() -> None:
    network = echo("mean", outputs=3)
    states = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1], [1, 0], [1, 1]])
    together = network(mask, torch.tensor([0, 0, 1]), 2, inputs_embeds=states)["logits"]
    alone = network(mask[2:], torch.tensor([0]), 1, inputs_embeds=states[2:])["logits"]
    assert torch.allclose(together[1:], alone, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_as_a_text_encoder(kind: str, folders: dict[str, Path]) -> None:
    backbone = load_backbone(folders[kind], encoder_dropout=0.0)
    assert hidden_width(backbone) == 32
    assert len(transformer_layers(backbone)) == 2
    ids = torch.tensor([[7, 8, 9, 0], [10, 11, 12, 13]])
    mask = (ids > 0).long()
    states = backbone.eval()(input_ids=ids, attention_mask=mask).last_hidden_state
    assert states.shape == (2, 4, 32)
    # Padding is not read: the row alone, without it, gives the same states.
    alone = backbone(input_ids=ids[:1, :3], attention_mask=mask[:1, :3]).last_hidden_state
    assert torch.allclose(states[:1, :3], alone, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_what_lies_below_the_first_block(kind: str, folders: dict[str, Path]) -> None:
    backbone = load_backbone(folders[kind], encoder_dropout=0.0)
    below = embedding_parameters(backbone)
    words = [p for p in below if p.shape == (len(VOCABULARY), 32)]
    assert len(words) == 1
    inside = {id(p) for p in transformer_layers(backbone).parameters()}
    assert not inside & {id(p) for p in below}


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_the_one_asked_for_everywhere(kind: str, folders: dict[str, Path]) -> None:
    for asked in (0.0, 0.25):
        backbone = load_backbone(folders[kind], encoder_dropout=asked)
        found = {module.p for module in backbone.modules() if isinstance(module, torch.nn.Dropout)}
        # Llama drops inside its attention function, by a number and not by a module.
        found |= {m.attention_dropout for m in backbone.modules() if hasattr(m, "attention_dropout")}
        assert found == {asked}


def test_only_networks_with_segments_are_given_segment_ids(folders: dict[str, Path]) -> None:
    takes = {}
    for kind in KINDS:
        backbone = load_backbone(folders[kind], encoder_dropout=0.0)
        network = TextNetwork(backbone, width=32, outputs=2, pooling="mean", dropout=0.0, loss=None)
        takes[kind] = network.takes_type_ids
    assert takes == {"bert": True, "roberta": False, "gpt2": False, "llama": False, "t5": False}


def test_a_sequence_to_sequence_network_without_an_encoder_of_its_own_is_refused(tmp_path: Path) -> None:
    import transformers

    config = transformers.BartConfig(
        vocab_size=64, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=32,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_backbone(tmp_path, encoder_dropout=0.0)
    assert str(caught.value) == (
        "Labels can be learnt on encoders, decoders and the T5 family; got the model type 'bart'. "
        "Use task kind `generation` with it, or another backbone."
    )


def test_a_network_without_a_known_stack_says_what_can_be_done_with_it() -> None:
    stranger = torch.nn.Module()
    stranger.config = type("Config", (), {"model_type": "stranger", "num_hidden_layers": 3})()  # type: ignore[assignment]
    with pytest.raises(ConfigError) as caught:
        transformer_layers(stranger)
    assert str(caught.value) == ("The layers of model type 'stranger' are not known; use `method: full` or `head`.")
    with pytest.raises(ConfigError) as caught:
        hidden_width(stranger)
    assert str(caught.value) == "The hidden width of model type 'stranger' is not known."


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_tokens_fit_as_there_are_positions(kind: str, folders: dict[str, Path]) -> None:
    backbone = load_backbone(folders[kind], encoder_dropout=0.0).eval()
    limit = position_limit(backbone)
    assert limit == {"roberta": POSITIONS + 1, "t5": None}.get(kind, POSITIONS)
    if kind == "roberta":
        # Its padding mark has index 0 here, so positions 1 to 49 are used.
        backbone(input_ids=torch.full((1, limit), 7), attention_mask=torch.ones(1, limit, dtype=torch.long))
        with pytest.raises((IndexError, RuntimeError), match="out of"):
            backbone(input_ids=torch.full((1, limit + 1), 7))
