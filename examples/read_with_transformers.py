"""Open a bundle's network with transformers alone, and get the answers the engine gives.

Needs the extra `train`.

    python examples/read_with_transformers.py runs/own "Sales fell 12 % and the company cut its outlook"
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from tapereader import Engine


def probabilities(folder: Path, texts: list[str]) -> np.ndarray:
    """Return calibrated probabilities (N, C) of a single-label bundle whose network is an encoder."""
    # transformers may tell of a pooler it had to make up: the answer is the mean over tokens, which needs none.
    network = AutoModel.from_pretrained(folder / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    head = load_file(folder / "model" / "head.safetensors")
    contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
    calibration = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    assert contract["pooling"] == "mean"

    batch = tokenizer([contract["prefix"] + text for text in texts], padding=True, return_tensors="pt")
    mask = batch["attention_mask"].unsqueeze(-1)
    with torch.no_grad():
        states = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    embedding = (states * mask).sum(1) / mask.sum(1)  # (N, D): the mean over real tokens
    logits = embedding @ head["weight"].T + head["bias"]  # (N, C)
    return torch.softmax(logits / calibration["temperature"], dim=1).numpy()


def main() -> None:
    """Write both answers and their greatest difference."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("bundle", type=Path, help="folder that a training wrote")
    options.add_argument("texts", nargs="+")
    asked = options.parse_args()

    ours = np.array([found.probabilities for found in Engine(asked.bundle).predict(asked.texts)])
    theirs = probabilities(asked.bundle, asked.texts)
    difference = float(np.abs(ours - theirs).max())
    print(f"greatest difference between the engine and transformers: {difference:.1e}")
    assert difference < 1e-3


if __name__ == "__main__":
    main()
