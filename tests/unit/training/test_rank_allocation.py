"""What AdaLoRA prunes while it trains stays pruned in the network that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft", reason="adapters need the extra train")

import torch
from tests.tiny_models import labelled_rows, recipe, write_model

from tapereader.models import adapters
from tapereader.models.adapters import AdapterConfig
from tapereader.models.network import TextNetwork
from tapereader.training import trainer


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_pruned_ranks_stay_pruned(precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 6 ranks in each map AdaLoRA keeps 4 on average; those of the last step are those that are merged."""
    seen: list[TextNetwork] = []
    kept: dict[str, list[torch.Tensor]] = {"trained": [], "finished": []}

    def attach(network: TextNetwork, *args: Any, **keywords: Any) -> list[Any]:
        seen.append(network)
        return adapters.attach(network, *args, **keywords)

    def ranks() -> list[torch.Tensor]:
        return [p.detach() != 0 for name, p in seen[0].backbone.named_parameters() if "lora_E" in name]

    def merge(network: TextNetwork, config: AdapterConfig) -> None:
        kept["finished"] = ranks()
        adapters.merge(network, config)

    def progress(done: int, of: int) -> None:
        kept["trained"] = ranks()

    monkeypatch.setattr(trainer, "attach", attach)
    monkeypatch.setattr(trainer, "merge", merge)
    config = recipe(
        write_model(tmp_path / "bert"), precision=precision, adapter=AdapterConfig(method="adalora", rank=4)
    )
    trainer.finetune(labelled_rows(n=24), None, config, progress=progress)
    assert len(kept["trained"]) == len(kept["finished"]) == 12
    assert sum(int(rank.sum()) for rank in kept["trained"]) == 12 * 4
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(kept["trained"], kept["finished"], strict=True))
