"""Read a GGUF file with NumPy alone: its metadata, and its tensors de-quantised."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapereader.core.errors import BundleError

_MAGIC = b"GGUF"
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
#: Tensor type: name, values in a block, bytes of a block.
_LAYOUTS = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 8: ("Q8_0", 32, 34)}


@dataclass(frozen=True, kw_only=True)
class GgufFile:
    """What a GGUF file holds; tensors are de-quantised when asked for.

    Parameters
    ----------
    metadata : key to value
    entries : tensor name to (shape, type name, first byte, byte length); shapes in row-major order, as NumPy has them
    data : the whole file
    """

    metadata: dict[str, Any]
    entries: dict[str, tuple[tuple[int, ...], str, int, int]]
    data: NDArray[np.uint8]

    def need(self, key: str) -> Any:
        """Return a metadata value.

        Raises
        ------
        BundleError
            If the file does not state it.
        """
        if key not in self.metadata:
            raise BundleError(f"A GGUF file must state {key!r}; this one does not.")
        return self.metadata[key]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor.

        Raises
        ------
        BundleError
            If the file has no such tensor.
        """
        if name not in self.entries:
            raise BundleError(f"A GGUF file must hold the tensor {name!r}; it has {len(self.entries)} others.")
        return self.entries[name][0]

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32.

        Q4_0 is ``(half - 8) * scale``, Q4_1 is ``half * scale + least``, Q8_0 is ``byte * scale``; scales are float16
        and stand before the 32 values of their block, low halves first.

        References
        ----------
        ggml, ``ggml-quants.c``, ``dequantize_row_q4_0``, ``_q4_1``, ``_q8_0``.
        """
        shape = self.shape(name)
        _, kind, first, length = self.entries[name]
        raw = self.data[first : first + length]
        if kind in ("F32", "F16"):
            return raw.view("<f4" if kind == "F32" else "<f2").astype(np.float32).reshape(shape)
        blocks = raw.reshape(-1, {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind])
        scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
        values = np.empty((len(blocks), 32), dtype=np.float32)
        if kind == "Q8_0":
            values[:] = blocks[:, 2:].view(np.int8)
            values *= scales
            return values.reshape(shape)
        halves = blocks[:, 4:] if kind == "Q4_1" else blocks[:, 2:]
        values[:, :16] = halves & 0x0F
        values[:, 16:] = halves >> 4
        if kind == "Q4_0":
            values -= 8
        values *= scales
        if kind == "Q4_1":
            values += np.ascontiguousarray(blocks[:, 2:4]).view("<f2").astype(np.float32)
        return values.reshape(shape)


def read_gguf(path: Path) -> GgufFile:
    """Read the metadata and the directory of a GGUF file, checking every length against the file's.

    Raises
    ------
    BundleError
        If the file is not GGUF version 2 or 3, is cut short, or holds a tensor type other than F32, F16, Q4_0, Q4_1
        and Q8_0.

    References
    ----------
    ggml, ``docs/gguf.md``.
    """
    data = np.fromfile(path, dtype=np.uint8)
    if data[:4].tobytes() != _MAGIC:
        raise BundleError(f"A GGUF file must start with {_MAGIC!r}; {path.name} starts with {data[:4].tobytes()!r}.")
    try:
        return _parse(data)
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise BundleError(f"A GGUF file must be whole; {path.name} is damaged or cut short: {error}.") from error


class _Cursor:
    def __init__(self, data: NDArray[np.uint8]) -> None:
        self.raw = data.data
        self.position = 0

    def number(self, code: str) -> Any:
        (value,) = struct.unpack_from(code, self.raw, self.position)
        self.position += struct.calcsize(code)
        return value

    def text(self) -> str:
        length = self.number("<Q")
        end = self.position + length
        if end > len(self.raw):
            raise ValueError("a string reaches past the end")
        value = bytes(self.raw[self.position : end]).decode()
        self.position = end
        return value

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            inner, count = self.number("<I"), self.number("<Q")
            return [self.value(inner) for _ in range(count)]
        if kind not in _SCALARS:
            raise ValueError(f"unknown value type {kind}")
        return self.number(_SCALARS[kind])


def _parse(data: NDArray[np.uint8]) -> GgufFile:
    cursor = _Cursor(data)
    cursor.position = 4
    version = cursor.number("<I")
    if version not in (2, 3):
        raise ValueError(f"version {version} is not 2 or 3")
    tensors, keys = cursor.number("<Q"), cursor.number("<Q")
    metadata: dict[str, Any] = {}
    for _ in range(keys):
        key = cursor.text()
        metadata[key] = cursor.value(cursor.number("<I"))
    found = []
    for _ in range(tensors):
        name = cursor.text()
        dimensions = [cursor.number("<Q") for _ in range(cursor.number("<I"))]
        found.append((name, tuple(reversed(dimensions)), cursor.number("<I"), cursor.number("<Q")))
    alignment = metadata.get("general.alignment", 32)
    start = -(-cursor.position // alignment) * alignment
    entries: dict[str, tuple[tuple[int, ...], str, int, int]] = {}
    for name, shape, kind, offset in found:
        if kind not in _LAYOUTS:
            raise ValueError(f"the tensor {name!r} has the type {kind}, which is not read here")
        label, block, nbytes = _LAYOUTS[kind]
        elements = int(np.prod(shape, dtype=np.int64))
        length = elements // block * nbytes
        if elements % block or start + offset + length > len(data):
            raise ValueError(f"the tensor {name!r} does not fit")
        entries[name] = (shape, label, start + offset, length)
    return GgufFile(metadata=metadata, entries=entries, data=data)
