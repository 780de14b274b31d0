"""Weights as whole numbers with scales: which ones change a network's products least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Of rounding weights with an eye on what they are multiplied with: share of the mean variance that every channel is
#: taken to have besides its own, and rows whose errors are handed on together.
_DAMPING, _BLOCK = 0.01, 128


def columns_to_int8(
    matrix: NDArray[np.float32], *, bits: int, covariance: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return whole numbers and one scale a column, whose product is near to a matrix (K, N).

    Parameters
    ----------
    matrix : weights, one column an output channel
    bits : 7 for numbers from -63 to 63, 8 for -127 to 127
    covariance : (K, K) of what the matrix is multiplied with. With it, the error of each row rounded is made up for by
        the rows that are not rounded yet, so that products change least; without it every weight goes to the nearest

    Examples
    --------
    >>> values, scales = columns_to_int8(np.array([[1.0, 0.0], [-0.5, 0.0]], dtype=np.float32), bits=8)
    >>> values.tolist(), (values * scales).round(2).tolist()
    ([[127, 0], [-64, 0]], [[1.0, 0.0], [-0.5, 0.0]])

    References
    ----------
    Frantar et al. (2023), GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers.
    """
    top = float(2 ** (bits - 1) - 1)
    greatest = np.abs(matrix).max(axis=0)
    scales = (np.where(greatest > 0, greatest, top) / top).astype(np.float32)
    if covariance is None:
        return np.rint(matrix / scales).astype(np.int8), scales
    size = len(matrix)
    # A little of the diagonal keeps channels that were hardly seen from being bent for the others.
    damped = covariance + np.eye(size) * max(_DAMPING * float(np.trace(covariance)) / size, 1e-12)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, values = matrix.astype(np.float64), np.empty(matrix.shape, dtype=np.int8)
    for start in range(0, size, _BLOCK):
        rows = range(start, min(start + _BLOCK, size))
        errors = np.empty((len(rows), matrix.shape[1]))
        for row in rows:
            values[row] = np.clip(np.rint(left[row] / scales), -top, top)
            errors[row - start] = (left[row] - values[row] * scales) / upper[row, row]
            left[row + 1 : rows.stop] -= np.outer(upper[row, row + 1 : rows.stop], errors[row - start])
        left[rows.stop :] -= upper[start : rows.stop, rows.stop :].T @ errors
    return values, scales


def rows_to_int8(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return numbers from -127 to 127 and one scale a row, whose product is nearest to a table (V, D).

    Examples
    --------
    >>> values, scales = rows_to_int8(np.array([[1.0, -0.5], [0.0, 0.0]], dtype=np.float32))
    >>> values.tolist(), (values * scales).round(2).tolist()
    ([[127, -64], [0, 0]], [[1.0, -0.5], [0.0, 0.0]])
    """
    greatest = np.abs(table).max(axis=1, keepdims=True)
    scales = (np.where(greatest > 0, greatest, 1.0) / 127.0).astype(np.float32)
    return np.rint(table / scales).astype(np.int8), scales
