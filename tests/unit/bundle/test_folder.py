"""Opening a bundle: whole and unchanged ones open anywhere, everything else is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapereader.bundle import Bundle, Calibration
from tapereader.bundle.folder import bundle_id, file_hash
from tapereader.core import BundleError


def edit(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def forge(root: Path) -> None:
    """Make every hash and the id fit what the folder holds now."""

    def agree(stated: dict[str, Any]) -> None:
        stated["files"] = {name: file_hash(root / name) for name in stated["files"]}
        stated["bundle_id"] = bundle_id(stated["files"], stated["manifest"])

    edit(root / "manifest.json", agree)


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(root, **options)
    return str(caught.value)


def test_a_bundle_states_what_it_was_made_with(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    assert bundle.contract.names == ("negative", "neutral", "positive")
    assert (bundle.task, bundle.language, bundle.has_pair, bundle.max_length) == ("sentiment", "en", False, 16)
    assert bundle.calibration == Calibration(temperature=1.5, coverage=0.9, conformal_quantile=0.7, n=200)
    assert bundle.manifest == {"kind": "finetune", "seed": 0}
    assert bundle.card == "# A small model\n"
    assert bundle.onnx_path == tiny_bundle / "onnx" / "model.onnx"
    assert bundle.tokenizer().fingerprint == bundle.facts.tokenizer_fingerprint
    assert len(bundle.facts.sanity) == 3


def test_the_id_is_the_same_for_the_same_contents_and_another_for_others(make_bundle: Any, tmp_path: Path) -> None:
    first, second = make_bundle(tmp_path / "a"), make_bundle(tmp_path / "b")
    assert first.id == second.id
    assert len(first.id) == 12
    assert make_bundle(tmp_path / "c", seed=1).id != first.id


def test_a_moved_copied_or_linked_bundle_stays_valid(tiny_bundle: Path, tmp_path: Path) -> None:
    before = Bundle.load(tiny_bundle).id
    copy = shutil.copytree(tiny_bundle, tmp_path / "elsewhere" / "copy")
    moved = tiny_bundle.rename(tmp_path / "moved")
    (tmp_path / "latest").symlink_to(moved)
    assert {Bundle.load(path).id for path in (copy, moved, tmp_path / "latest")} == {before}


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert refusal(gone) == f"A bundle must be a folder with a manifest.json; got {str(gone)!r}: no such folder."
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert refusal(tmp_path / "file") == (
        f"A bundle must be a folder with a manifest.json; got {str(tmp_path / 'file')!r}: a file."
    )


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"A bundle must be a folder with a manifest.json; {str(tmp_path)!r} has none. Give the folder that "
        "training wrote."
    )


def test_another_format_is_refused(tiny_bundle: Path) -> None:
    edit(tiny_bundle / "manifest.json", lambda stated: stated.update(format=2))
    assert refusal(tiny_bundle) == (
        "The format of bundle 'tiny' must be 1; got 2. If a newer release wrote it, install that release."
    )


def test_a_damaged_manifest_is_refused(tiny_bundle: Path) -> None:
    text = (tiny_bundle / "manifest.json").read_text(encoding="utf-8")
    (tiny_bundle / "manifest.json").write_text(text[:40], encoding="utf-8")
    assert refusal(tiny_bundle).startswith("manifest.json of bundle 'tiny' must be readable JSON: ")
    (tiny_bundle / "manifest.json").write_text('{"format": 1}', encoding="utf-8")
    assert refusal(tiny_bundle) == "manifest.json of bundle 'tiny' must hold `bundle_id`, `files` and `manifest`."


def test_one_changed_byte_in_the_network_is_refused_with_both_hashes(tiny_bundle: Path) -> None:
    path = tiny_bundle / "onnx" / "model.onnx"
    before = file_hash(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert refusal(tiny_bundle) == (
        f"onnx/model.onnx of bundle 'tiny' must have the SHA-256 {before[:16]}...; got {file_hash(path)[:16]}... "
        "The file was changed or damaged: restore it, or write the bundle again."
    )
    assert Bundle.load(tiny_bundle, verify=False).task == "sentiment"


@pytest.mark.parametrize("forged", [False, True])
def test_a_swapped_label_order_is_refused_by_name_even_with_forged_hashes(tiny_bundle: Path, forged: bool) -> None:
    edit(tiny_bundle / "contract.json", lambda facts: facts["contract"]["names"].reverse())
    if forged:
        forge(tiny_bundle)
    assert refusal(tiny_bundle) == (
        "contract.json has the label order ['positive', 'neutral', 'negative']; model/config.json has ['negative', "
        "'neutral', 'positive']. The same labels in another order would swap every answer. Restore the original files."
    )


def test_other_labels_in_the_model_configuration_are_refused(tiny_bundle: Path) -> None:
    edit(tiny_bundle / "model" / "config.json", lambda config: config.update(id2label={"0": "down", "1": "up"}))
    assert refusal(tiny_bundle) == (
        "contract.json has the labels ['negative', 'neutral', 'positive']; model/config.json has ['down', 'up']."
    )


def test_positions_are_compared_as_numbers_and_unnamed_labels_say_nothing(make_bundle: Any, tmp_path: Path) -> None:
    names = tuple(f"topic-{number}" for number in range(12))
    root = make_bundle(tmp_path / "many", names=names, sanity=False).path
    config = root / "model" / "config.json"
    edit(config, lambda c: c.update(id2label=dict(sorted(c["id2label"].items()))))  # "0", "1", "10", "11", "2" ...
    forge(root)
    assert Bundle.load(root).contract.names == names
    edit(config, lambda c: c.update(id2label={"0": "LABEL_0", "1": "LABEL_1"}))
    forge(root)
    assert Bundle.load(root).contract.names == names


@pytest.mark.parametrize("forged", [False, True])
def test_a_foreign_tokenizer_is_refused_by_name_even_with_forged_hashes(tiny_bundle: Path, forged: bool) -> None:
    before = Bundle.load(tiny_bundle).facts.tokenizer_fingerprint
    edit(tiny_bundle / "model" / "tokenizer.json", lambda t: t["model"]["vocab"].update(one_more_word=99))
    if forged:
        forge(tiny_bundle)
    message = refusal(tiny_bundle)
    found = message.split("; got '")[1][:12]
    assert found != before
    assert message == (
        f"The tokenizer of bundle 'tiny' must have the fingerprint {before!r}; got {found!r} from "
        "model/tokenizer.json. It belongs to another model: restore the original file."
    )


def test_a_missing_file_is_refused(tiny_bundle: Path) -> None:
    (tiny_bundle / "onnx" / "model.onnx").unlink()
    assert refusal(tiny_bundle) == (
        "Bundle 'tiny' must hold every file its manifest.json lists; 'onnx/model.onnx' is missing."
    )


def test_a_bundle_must_list_its_contract(tiny_bundle: Path) -> None:
    edit(tiny_bundle / "manifest.json", lambda stated: stated["files"].pop("contract.json"))
    assert refusal(tiny_bundle) == "A bundle must hold contract.json; manifest.json of 'tiny' does not list it."


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "model/../../secret", "model\\weights", "C:weights", ""])
def test_a_path_that_leaves_the_folder_is_refused(tiny_bundle: Path, name: str) -> None:
    (tiny_bundle.parent / "secret").write_text("x", encoding="utf-8")
    edit(tiny_bundle / "manifest.json", lambda stated: stated["files"].update({name: "0" * 64}))
    assert refusal(tiny_bundle) == f"Every path in manifest.json must stay inside the bundle; got {name!r}."


def test_a_link_that_leaves_the_folder_is_refused(tiny_bundle: Path) -> None:
    weights, outside = tiny_bundle / "onnx" / "model.onnx", tiny_bundle.parent / "outside.onnx"
    weights.rename(outside)
    weights.symlink_to(outside)
    assert refusal(tiny_bundle) == (
        f"Every file of a bundle must lie inside it; 'onnx/model.onnx' is a link to {str(outside)!r}."
    )


@pytest.mark.parametrize("name", ["model/pytorch_model.bin", "model/modeling.py", "weights.PKL"])
def test_files_that_can_run_code_are_refused(tiny_bundle: Path, name: str) -> None:
    (tiny_bundle / name).write_bytes(b"x")
    edit(tiny_bundle / "manifest.json", lambda stated: stated["files"].update({name: file_hash(tiny_bundle / name)}))
    assert refusal(tiny_bundle) == (
        f"A bundle must not hold files that can run code; got {name!r}. Weights are kept as safetensors and ONNX."
    )


def test_a_file_slipped_in_beside_the_weights_is_refused_and_a_note_is_not(tiny_bundle: Path) -> None:
    (tiny_bundle / "my notes.txt").write_text("good model", encoding="utf-8")
    (tiny_bundle / "model" / ".DS_Store").write_bytes(b"x")
    assert Bundle.load(tiny_bundle).task == "sentiment"
    (tiny_bundle / "model" / "adapter_model.safetensors").write_bytes(b"x")
    assert refusal(tiny_bundle) == (
        "The folders model, onnx and members of a bundle must hold only files listed in manifest.json; got "
        "'model/adapter_model.safetensors'. Remove it."
    )


def test_an_edited_manifest_is_refused(tiny_bundle: Path) -> None:
    before = Bundle.load(tiny_bundle).id
    edit(tiny_bundle / "manifest.json", lambda stated: stated["manifest"].update(seed=7))
    message = refusal(tiny_bundle)
    found = message.split("which give '")[1][:12]
    assert message == (
        f"The `bundle_id` in manifest.json must fit its contents, which give {found!r}; got {before!r}. The manifest "
        "was edited: restore it."
    )


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("{", "calibration.json of bundle 'tiny' must be readable JSON: "),
        ('{"temperature": 0}', "`temperature` must be above 0; got 0."),
        ('{"temperature": "warm"}', "`temperature` must be above 0; got 'warm'."),
        ('{"temperature": NaN}', "`temperature` must be above 0; got nan."),
        ('{"coverage": 7.0}', "`coverage` must be between 0 and 1; got 7.0."),
        ('{"conformal_quantile": "x"}', "`conformal_quantile` must be a finite number; got 'x'."),
        ('{"conformal_quantile": Infinity}', "`conformal_quantile` must be a finite number; got inf."),
        ('{"abstain_below": NaN}', "`abstain_below` must be between 0 and 1; got nan."),
        ('{"threshold": null}', "`threshold` must be between 0 and 1; got None."),
        ('{"target_scale": 0}', "`target_scale` must be above 0; got 0."),
        ('{"target_mean": NaN}', "`target_mean` and `n` of a calibration must be a number and a count; got nan and 0."),
        ('{"heat": 1}', "A calibration must hold only ["),
    ],
)
def test_a_calibration_that_cannot_be_read_is_refused(tiny_bundle: Path, text: str, start: str) -> None:
    (tiny_bundle / "calibration.json").write_text(text, encoding="utf-8")
    assert refusal(tiny_bundle).startswith(start)


def test_a_contract_with_a_missing_or_unknown_field_is_refused(tiny_bundle: Path) -> None:
    edit(tiny_bundle / "contract.json", lambda facts: facts.pop("sanity"))
    assert refusal(tiny_bundle) == "contract.json must hold 'sanity', and it is missing."
    edit(tiny_bundle / "contract.json", lambda facts: facts.update(sanity=[], colour="red"))
    assert refusal(tiny_bundle).startswith("contract.json must hold what a bundle states about itself: ")
