"""Read an ``E5S1`` file: a BERT encoder in 4-bit blocks with its Unigram vocabulary."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapereader.core.errors import BundleError

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_BYTES = 18


@dataclass(frozen=True, kw_only=True)
class E5S1Header:
    """Sizes of the network and of its vocabulary, in the order of the file."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    block: int
    pieces: int
    bos: int
    eos: int
    pad: int
    unk: int


@dataclass(frozen=True, kw_only=True)
class E5S1File:
    """What an E5S1 file holds; tensors are de-quantised when asked for.

    Parameters
    ----------
    header : sizes
    pieces, scores : Unigram pieces and their log probabilities, equally long
    entries : tensor name to (element count, first byte, byte length)
    data : the whole file
    """

    header: E5S1Header
    pieces: tuple[str, ...]
    scores: NDArray[np.float32]
    entries: dict[str, tuple[int, int, int]]
    data: NDArray[np.uint8]

    def count(self, name: str) -> int:
        """Return the element count of a tensor.

        Raises
        ------
        BundleError
            If the file has no such tensor.
        """
        if name not in self.entries:
            raise BundleError(f"An E5S1 file must hold the tensor {name!r}; it has {len(self.entries)} others.")
        return self.entries[name][0]

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Return a tensor, flat, in float32.

        A tensor of 4 bytes an element is stored as it is. Otherwise each block of 32 values is a float16 scale and 16
        bytes: the low halves are the first 16 values, the high halves the last 16, each ``(half - 8) * scale``.
        Every such product is exact in float32.
        """
        count = self.count(name)
        _, first, length = self.entries[name]
        raw = self.data[first : first + length]
        if length == 4 * count:
            return raw.view("<f4").astype(np.float32)
        blocks = raw.reshape(-1, _BLOCK_BYTES)
        scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
        values = np.empty((len(blocks), _BLOCK), dtype=np.float32)
        values[:, : _BLOCK // 2] = blocks[:, 2:] & 0x0F
        values[:, _BLOCK // 2 :] = blocks[:, 2:] >> 4
        values -= 8
        values *= scales
        return values.reshape(-1)


def read_e5s1(path: Path) -> E5S1File:
    """Read the directory of an E5S1 file, checking every length against the file's.

    Raises
    ------
    BundleError
        If the file is not an E5S1 file, is cut short, or contradicts itself.
    """
    data = np.fromfile(path, dtype=np.uint8)
    if data[:4].tobytes() != _MAGIC:
        raise BundleError(f"An E5S1 file must start with {_MAGIC!r}; {path.name} starts with {data[:4].tobytes()!r}.")
    try:
        return _parse(data)
    except (struct.error, ValueError, IndexError) as error:  # UnicodeDecodeError is a ValueError
        raise BundleError(f"An E5S1 file must be whole; {path.name} is damaged or cut short: {error}.") from error


def _parse(data: NDArray[np.uint8]) -> E5S1File:
    raw = data.data
    position = 8
    numbers = struct.unpack_from("<7ifi5iQ", raw, position)
    position += struct.calcsize("<7ifi5iQ")
    header = E5S1Header(**dict(zip(E5S1Header.__dataclass_fields__, numbers[:-1], strict=True)))
    if header.block != _BLOCK or header.pieces <= 0 or min(numbers[:7]) <= 0:
        raise ValueError(f"impossible sizes {numbers}")

    offsets = np.frombuffer(raw, "<u4", header.pieces + 1, position).tolist()
    position += 4 * (header.pieces + 1)
    scores = np.frombuffer(raw, "<f4", header.pieces, position).astype(np.float32)
    position += 4 * header.pieces
    blob = bytes(raw[position : position + numbers[-1]])
    position += numbers[-1]
    if offsets[-1] > len(blob):
        raise ValueError("the vocabulary reaches past its end")
    pieces = tuple(blob[start:end].decode() for start, end in pairwise(offsets))

    _, skipped = struct.unpack_from("<iI", raw, position)  # the engine's own normaliser table
    position += 8 + skipped
    (count,) = struct.unpack_from("<i", raw, position)
    position += 4
    entries: dict[str, tuple[int, int, int]] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", raw, position)
        name = bytes(raw[position + 2 : position + 2 + length]).decode()
        position += 2 + length
        _, elements, first, nbytes = struct.unpack_from("<BIQQ", raw, position)
        position += struct.calcsize("<BIQQ")
        quantised = elements % _BLOCK == 0 and nbytes == elements // _BLOCK * _BLOCK_BYTES
        if not (quantised or nbytes == 4 * elements) or first + nbytes > len(data):
            raise ValueError(f"the tensor {name!r} does not fit")
        entries[name] = (elements, first, nbytes)
    return E5S1File(header=header, pieces=pieces, scores=scores, entries=entries, data=data)
