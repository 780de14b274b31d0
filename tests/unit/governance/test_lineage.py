"""Manifests: what they hold, what they refuse, what they leave out."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tapereader.core.errors import DataError
from tapereader.governance import RunManifest, collect_environment, without_paths


def manifest(**changes: Any) -> RunManifest:
    values: dict[str, Any] = {
        "kind": "train",
        "config_id": "c0ffee123456",
        "config": {"seed": 3},
        "data_ids": {"news": "0123456789ab"},
        "split_ids": {"test": "ddddeeeeffff"},
        "seed": 3,
        "started_at": "2026-01-02T03:04:05+00:00",
        "finished_at": "2026-01-02T03:05:35+00:00",
        **collect_environment(),
    }
    return RunManifest(**(values | changes))


def test_it_goes_through_json_and_back() -> None:
    made = manifest(
        parents=({"kind": "backbone", "name": "minilm"},), licences=({"of": "news", "commercial_use": None},)
    )
    text = json.dumps(made.to_dict(), allow_nan=False)
    assert RunManifest.from_dict(json.loads(text)).to_dict() == made.to_dict()


def test_minutes_are_counted_and_non_commercial_follows_from_the_licences() -> None:
    assert manifest().minutes == 1.5
    assert not manifest(licences=({"of": "news", "commercial_use": None},)).non_commercial
    assert manifest(licences=({"of": "news", "commercial_use": False},), non_commercial=False).non_commercial


def test_no_absolute_path_is_kept() -> None:
    made = manifest(
        config={"data": {"file": "/home/ann/news.csv", "cache": Path("/var/cache/x")}, "list": ["C:\\a\\b.csv"]}
    )
    assert made.to_dict()["config"] == {"data": {"file": "news.csv", "cache": "x"}, "list": ["b.csv"]}
    assert without_paths("~/models/tone") == "tone"
    assert without_paths("5/20") == "5/20"
    assert without_paths("//") == "root"
    assert without_paths(Path("data/news.csv")) == "data/news.csv"


def test_the_environment_names_versions_processor_and_code() -> None:
    found = collect_environment()
    assert found["libraries"]["numpy"] == version("numpy")
    assert found["code"]["version"] == version("tapereader")
    assert found["hardware"]["cores"] >= 1
    assert found["hardware"]["processor"]
    assert set(found["hardware"]["flags"]) <= {
        "avx2",
        "avx512f",
        "avx512_vnni",
        "avx512_bf16",
        "avx_vnni",
        "amx_tile",
        "amx_bf16",
        "amx_int8",
    }
    assert str(Path.home()) not in json.dumps(found)


def test_a_copy_inside_a_foreign_checkout_claims_no_commit(tmp_path: Path) -> None:
    """A package installed below somebody's repository must not report that repository's commit as its own."""
    here = Path(sys.modules["tapereader"].__file__ or "").parent
    site = tmp_path / "site" / "tapereader"
    for part in ("__init__.py", "core/__init__.py", "core/errors.py", "governance/lineage.py"):
        (site / part).parent.mkdir(parents=True, exist_ok=True)
        (site / part).write_text("" if part.endswith("__init__.py") else (here / part).read_text(encoding="utf-8"))
    (site / "governance" / "__init__.py").write_text("")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)  # noqa: S607 - a scratch repository
    code = (
        f"import sys; sys.path.insert(0, {str(site.parent)!r});"
        "from tapereader.governance.lineage import collect_environment; print(collect_environment()['code']['commit'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"started_at": "2026-01-02"}, "`started_at` must be an ISO 8601 instant in UTC; got '2026-01-02'."),
        (
            {"finished_at": "2026-01-02T03:05:35+08:00"},
            "`finished_at` must be an ISO 8601 instant in UTC; got '2026-01-02T03:05:35+08:00'.",
        ),
        ({"started_at": "soon"}, "`started_at` must be an ISO 8601 instant in UTC; got 'soon'."),
        (
            {"finished_at": "2026-01-01T00:00:00+00:00"},
            "`finished_at` must not be before `started_at`; got '2026-01-01T00:00:00+00:00'.",
        ),
    ],
)
def test_a_run_must_happen_in_order_and_in_utc(changes: dict[str, str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        manifest(**changes)
    assert str(caught.value) == message


def test_a_manifest_of_another_version_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        RunManifest.from_dict({"kind": "train"})
    assert str(caught.value) == "A run manifest must hold exactly the fields of its version; 'parents'."
