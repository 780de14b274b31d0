"""Writing a bundle: whole under its name or not there at all, whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapereader.bundle import Bundle, Calibration, ContractFacts, LabelContract, write_bundle
from tapereader.core import ConfigError, DataError

Make = Callable[..., Bundle]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk with the given options, or skip where this user may not."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / "disk"
        place.mkdir(exist_ok=True)
        command = ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"this user may not mount a disk: {done.stderr.decode().strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["/bin/umount", str(place)], check=True)


def write_nothing(root: Path) -> None:
    """Leave a folder as it is."""


def write_raw(out: Path, fill: Callable[[Path], None], **changes: Any) -> Bundle:
    contract = LabelContract(kind="single-label", names=("negative", "neutral", "positive"))
    facts = ContractFacts(contract=contract, task="sentiment", language="en", has_pair=False, max_length=16)
    given: dict[str, Any] = {"contract_facts": facts, "calibration": Calibration(), "manifest": {}, "fill": fill}
    return write_bundle(out, **(given | changes))


def test_the_bundle_is_alone_under_its_name_with_ordinary_permissions(make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "new" / "folder" / "bundle")
    assert bundle.path == tmp_path / "new" / "folder" / "bundle"
    assert os.listdir(tmp_path / "new" / "folder") == ["bundle"]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert bundle.path.stat().st_mode == plain.stat().st_mode
    assert Bundle.load(bundle.path) == bundle


def test_an_empty_folder_is_used(make_bundle: Make, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert make_bundle(tmp_path / "out").path == tmp_path / "out"


def test_a_folder_with_files_is_never_overwritten(make_bundle: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("ten years of work", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        make_bundle(out)
    assert str(caught.value) == (
        f"`out` must not exist yet; got {str(out)!r}, which holds files. Give another name, or ask to replace it."
    )
    with pytest.raises(ConfigError) as caught:
        make_bundle(out, replace=True)
    assert str(caught.value) == (
        f"Only a bundle can be replaced; {str(out)!r} holds files and no manifest.json. Give another name."
    )
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(out) == ["thesis.txt"]


def test_a_file_in_the_place_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        make_bundle(tmp_path / "out")
    assert str(caught.value) == f"`out` must be a folder to make; got {str(tmp_path / 'out')!r}, which is a file."


def test_replace_puts_the_new_bundle_in_the_place_of_the_old_one(make_bundle: Make, tmp_path: Path) -> None:
    old = make_bundle(tmp_path / "out")
    new = make_bundle(tmp_path / "out", seed=1, replace=True)
    assert old.id != new.id
    assert Bundle.load(tmp_path / "out").id == new.id
    assert os.listdir(tmp_path) == ["out"]


def test_replace_works_where_the_system_cannot_exchange(
    make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle(tmp_path / "out")
    monkeypatch.setattr("tapereader.bundle.writing._exchange", lambda *folders: not folders)
    new = make_bundle(tmp_path / "out", seed=1, replace=True)
    assert Bundle.load(tmp_path / "out").id == new.id
    assert os.listdir(tmp_path) == ["out"]


def test_a_failed_replacement_leaves_the_old_bundle(make_bundle: Make, tmp_path: Path) -> None:
    old = make_bundle(tmp_path / "out")

    def refuse(bundle: Bundle) -> None:
        raise ConfigError("This one is no good.")

    with pytest.raises(ConfigError, match=r"^This one is no good\.$"):
        make_bundle(tmp_path / "out", seed=1, replace=True, check=refuse)
    assert Bundle.load(tmp_path / "out").id == old.id
    assert os.listdir(tmp_path) == ["out"]


def test_an_error_while_filling_passes_through_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(root: Path) -> None:
        (root / "half").write_text("x", encoding="utf-8")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_raw(tmp_path / "out", fill)
    assert os.listdir(tmp_path) == []


def test_a_manifest_that_is_not_plain_is_refused(fill_bundle: Any, tmp_path: Path) -> None:
    contract = LabelContract(kind="single-label", names=("negative", "neutral", "positive"))
    with pytest.raises(ConfigError) as caught:
        write_raw(tmp_path / "out", fill_bundle(contract), manifest={"score": float("nan")})
    assert str(caught.value).startswith("manifest.json must be made of plain, finite JSON values: ")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_reported_and_leaves_nothing(small_disk: Any, tmp_path: Path) -> None:
    """The disk is a real one of 64 KiB."""
    disk = small_disk("size=64k")
    with pytest.raises(DataError) as caught:
        write_raw(disk / "out", lambda root: (root / "weights").write_bytes(b"x" * 200_000) and None)
    assert str(caught.value) == (
        f"The disk must have room for the bundle {str(disk / 'out')!r}; it is full. Nothing was left behind: free "
        "some space, or choose another `out`."
    )
    assert os.listdir(disk) == []


def test_a_full_disk_told_by_a_native_writer_is_reported_too(tmp_path: Path) -> None:
    """safetensors and torch raise errors of their own, with the operating system's words in them."""

    def fill(root: Path) -> None:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(DataError, match=r"it is full\. Nothing was left behind"):
        write_raw(tmp_path / "out", fill)
    assert os.listdir(tmp_path) == []


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    """The limit is a real one, set in a process of its own; it needs no rights."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tapereader.bundle import *\n"
        "from tapereader.core import DataError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "contract = LabelContract(kind='single-label', names=('a', 'b'))\n"
        "facts = ContractFacts(contract=contract, task='t', language='en', has_pair=False, max_length=16)\n"
        "try:\n"
        "    write_bundle(Path(sys.argv[1]), contract_facts=facts, calibration=Calibration(), manifest={},\n"
        "                 fill=lambda root: (root / 'weights').write_bytes(b'x' * 100_000))\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script, str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        f"The disk must have room for the bundle {str(tmp_path / 'out')!r}; it is full. Nothing was left behind: free "
        "some space, or choose another `out`.\n"
    )
    assert os.listdir(tmp_path) == []


def test_a_folder_that_may_not_be_written_is_reported(small_disk: Any) -> None:
    disk = small_disk("size=64k,ro")
    with pytest.raises(DataError) as caught:
        write_raw(disk / "out", write_nothing)
    assert str(caught.value) == (
        f"The folder {str(disk)!r} must be writable to make the bundle 'out'; got {os.strerror(errno.EROFS)!r}. "
        "Nothing was written: choose another `out`."
    )


def test_a_parent_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"^The bundle '.*/file/out' could not be written: .* Nothing was left behind\.$"
    ):
        write_raw(tmp_path / "file" / "out", write_nothing)


def test_a_killed_writer_leaves_no_bundle_and_the_next_one_sweeps_up(make_bundle: Make, tmp_path: Path) -> None:
    """kill -9 in the middle of writing, while a second writer works; a third sweeps up."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tapereader.bundle import *\n"
        "def fill(root):\n"
        "    (root / 'weights').write_bytes(b'x' * 1000)\n"
        "    print('half', flush=True)\n"
        "    time.sleep(60)\n"
        "contract = LabelContract(kind='single-label', names=('a', 'b'))\n"
        "facts = ContractFacts(contract=contract, task='t', language='en', has_pair=False, max_length=16)\n"
        "write_bundle(Path(sys.argv[1]), contract_facts=facts, calibration=Calibration(), manifest={}, fill=fill)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        living = [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
        make_bundle(tmp_path / "out")  # a second writer leaves the draft of a living one alone
        assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")] == living
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert sorted(os.listdir(tmp_path)) == sorted([*living, "out"])
    make_bundle(tmp_path / "out", seed=1, replace=True)
    assert os.listdir(tmp_path) == ["out"]


def test_a_draft_is_no_bundle(tmp_path: Path) -> None:
    """Until the manifest is there, which is written last, nothing can be opened."""
    seen: list[bool] = []

    def fill(root: Path) -> None:
        seen.append((root / "manifest.json").exists())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_raw(tmp_path / "out", fill)
    assert seen == [False]
    assert os.listdir(tmp_path) == []
