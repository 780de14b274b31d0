"""Change a finished bundle in every way somebody might, and show what opening it says: ``tampering.py BUNDLE``.

Each change is made to a fresh copy, once as it is and once by a forger who also makes every stated hash and the id of
the bundle agree. Leaves with 1 if any change is not refused. Nothing is unpickled on the way: a file that could run
code is refused by its name, before it is opened.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tapereader.bundle.folder import MANIFEST, Bundle, bundle_id, file_hash, list_files
from tapereader.core.errors import BundleError
from tapereader.engine import Engine


def flip_byte(folder: Path) -> None:
    """Change one byte in the middle of the weights."""
    _flip(folder / "model" / "model.safetensors")


def flip_graph_byte(folder: Path) -> None:
    """Change one byte in the middle of the exported network."""
    _flip(folder / "onnx" / "model.onnx")


def swap_contract(folder: Path) -> None:
    """Put the labels of the contract in another order."""
    _edit(folder / "contract.json", lambda facts: facts["contract"]["names"].reverse())


def swap_everywhere(folder: Path) -> None:
    """Put the labels in another order in the contract and in the model's own configuration."""
    swap_contract(folder)
    names = json.loads((folder / "contract.json").read_text(encoding="utf-8"))["contract"]["names"]
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: place for place, name in enumerate(names)}}
    _edit(folder / "model" / "config.json", lambda config: config.update(labels))


def replace_tokenizer(folder: Path) -> None:
    """Give two words each other's numbers in the tokenizer."""

    def edit(tokenizer: dict[str, Any]) -> None:
        words = tokenizer["model"]["vocab"]
        words["profit"], words["loss"] = words["loss"], words["profit"]

    _edit(folder / "model" / "tokenizer.json", edit)


def edit_config(folder: Path) -> None:
    """Change what the bundle says it was asked for."""
    with (folder / "config.yaml").open("a", encoding="utf-8") as stream:
        stream.write("seed: 99\n")


def edit_calibration(folder: Path) -> None:
    """Make every answer three times as sure."""
    _edit(folder / "calibration.json", lambda values: values.update(temperature=values["temperature"] / 3))


def swap_graph(folder: Path) -> None:
    """Move the bias of the answer layer inside the exported network."""
    import onnx
    from onnx import numpy_helper

    path = folder / "onnx" / "model.onnx"
    graph = onnx.load(path)
    for weights in graph.graph.initializer:
        if weights.name.endswith("head.bias"):
            values = numpy_helper.to_array(weights).copy()
            values[0] += 2.0
            weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    onnx.save(graph, path)


def add_pickle(folder: Path) -> None:
    """Put a pickle where a model library would look for weights."""
    (folder / "model" / "pytorch_model.bin").write_bytes(pickle.dumps({"weights": [1.0]}))


CHANGES: tuple[Callable[[Path], None], ...] = (
    flip_byte, flip_graph_byte, swap_contract, swap_everywhere, replace_tokenizer, edit_config, edit_calibration,
    swap_graph, add_pickle,
)  # fmt: skip
#: Whoever owns every hash may change these: the engine runs neither weights nor config, and one byte of a network may
#: be in a word that no sanity sentence has. The bundle's id is another, by which every prediction is kept.
BEYOND_A_HASH = {flip_byte, flip_graph_byte, edit_config}


def forge(folder: Path) -> None:
    """Make all stated hashes and the bundle's id agree with the files as they are now."""
    path = folder / MANIFEST
    stated = json.loads(path.read_text(encoding="utf-8"))
    stated["files"] = {name: file_hash(folder / name) for name in list_files(folder)}
    stated["bundle_id"] = bundle_id(stated["files"], stated["manifest"])
    path.write_text(json.dumps(stated), encoding="utf-8")


def said(folder: Path) -> str:
    """Return what opening a bundle says, or an empty word where it opens."""
    try:
        Engine(folder)
    except BundleError as error:
        return str(error)
    return ""


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x7F
    path.write_bytes(data)


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")


def main() -> int:
    """Read the command line, and show what each change meets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    options = parser.parse_args()
    whole = Bundle.load(options.bundle)
    passed = []
    with tempfile.TemporaryDirectory() as temporary:
        for change in CHANGES:
            for forged in (False, True):
                copy = Path(temporary) / whole.path.name
                shutil.copytree(whole.path, copy)
                change(copy)
                if forged:
                    forge(copy)
                message = said(copy)
                shutil.rmtree(copy)
                what = f"{change.__doc__} {'Hashes forged.' if forged else ''}".strip()
                print(f"- {what}\n  {message or 'Opens, under another id.'}", flush=True)
                if not message and not (forged and change in BEYOND_A_HASH):
                    passed.append(what)
    for what in passed:
        print(f"NOT REFUSED: {what}")
    return 1 if passed else 0


if __name__ == "__main__":
    sys.exit(main())
