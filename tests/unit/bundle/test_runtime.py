"""Opening a network tells nobody about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_opening_a_bundle_leaves_no_session_of_a_telemetry(tiny_bundle: Path, tmp_path: Path) -> None:
    """The runtime's telemetry keeps a file beside its reports; build servers are spared it, so they are not named."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    spared = ("CI", "BUILD", "GITHUB", "TF_", "JENKINS", "ORT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(spared)}
    program = (
        "import sys; from tapereader.engine import Engine; print(Engine(sys.argv[1]).predict(['profit'])[0].label)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_bundle)],
        env=environment | {"TMPDIR": str(temporary)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() in ("negative", "neutral", "positive")
    assert list(temporary.iterdir()) == []
