"""Write a safetensors file with NumPy alone, one tensor in memory at a time."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class PlannedTensor:
    """A tensor that will be written: its place in the file is known before its values are.

    Parameters
    ----------
    name : as the network calls it
    shape : its axes
    read : gives the float32 values, any shape of the same size
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]

    @property
    def nbytes(self) -> int:
        """Bytes it takes in the file."""
        return 4 * int(np.prod(self.shape, dtype=np.int64))


def write_safetensors(path: Path, tensors: Sequence[PlannedTensor]) -> None:
    """Write float32 tensors in the given order; equal input gives an equal file, byte for byte.

    The values are exact in float32 and in no shorter type, so nothing shorter is offered. Written by hand because the
    conversion must run in an install without torch, and because the library wants all tensors in memory at once.

    Parameters
    ----------
    path : file to write; not atomic, the caller writes into a folder of its own
    tensors : what to write

    References
    ----------
    Hugging Face, safetensors format, version 0.x: 8 bytes of header length, JSON header, data without gaps.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for tensor in tensors:
        span = [position, position + tensor.nbytes]
        header[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": span}
        position = span[1]
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # the format asks for data that starts on a multiple of 8
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)))
        file.write(encoded)
        for tensor in tensors:
            values = np.ascontiguousarray(tensor.read(), dtype="<f4")
            assert values.nbytes == tensor.nbytes, tensor.name  # noqa: S101  a wrong plan would shift every later tensor
            file.write(values.data)
