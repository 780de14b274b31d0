"""Weights that are published in another file format, rewritten as Hugging Face folders, without torch.

Each converter reads one format with NumPy and writes files that are equal, byte for byte, on every machine.
"""

from tapereader.models.conversion.e5 import convert_e5
from tapereader.models.conversion.llama import convert_llama

__all__ = ["convert_e5", "convert_llama"]
