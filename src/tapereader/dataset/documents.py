"""Which texts are copies or near copies of each other, and so must stay on one side of a split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tapereader.core.errors import ConfigError, DataError
from tapereader.dataset.shingles import NearPairs, near_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_EXAMPLE_CHARACTERS = 200


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Groups of near-copies in which every pair is near, with what the grouping leaves open.

    Parameters
    ----------
    groups : int array (N,), the group of each row, numbered by first appearance
    n_groups : how many groups, single rows included
    largest_size : rows in the largest group
    largest_example : its first text, at most 200 characters
    threshold : Jaccard similarity that makes two texts near
    n_pairs_across : pairs of rows that are near and yet in different groups, because each is near to others that are
        not near to each other
    pairs_across : int array (K, 2), one row position each for those pairs of distinct texts; copies of a text are in
        the group of that text
    complete : False where so many texts look alike that they were compared in blocks: groups still hold, but may be
        finer than need be, and ``n_pairs_across`` is a lower bound
    """

    groups: NDArray[np.int64]
    n_groups: int
    largest_size: int
    largest_example: str
    threshold: float
    n_pairs_across: int
    pairs_across: NDArray[np.int64]
    complete: bool

    @property
    def n_rows_grouped(self) -> int:
        """Rows that share their group with another row."""
        sizes = np.bincount(self.groups, minlength=self.n_groups)
        return int(sizes[sizes > 1].sum())

    def pairs_between(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> int:
        """Count near pairs in different groups that lie in two sets of rows: the near-copies a split still shares.

        Parameters
        ----------
        left, right : row positions, such as the training and the test rows

        Returns
        -------
        number of pairs of distinct texts, one in ``left`` and the other in ``right``
        """
        # A part holds whole groups, so a group that has a row in a part is in that part.
        sides = self.groups[self.pairs_across]
        in_left, in_right = np.isin(sides, self.groups[left]), np.isin(sides, self.groups[right])
        return int(((in_left[:, 0] & in_right[:, 1]) | (in_left[:, 1] & in_right[:, 0])).sum())


def normalise(text: str) -> str:
    r"""Fold what does not make two texts different: Unicode form, case, white space.

    Compatibility forms meet (full-width digits and Latin letters, ligatures), case is folded, each run of white space
    becomes one space and the ends are stripped. Two texts are exact duplicates if this gives the same; numbers and
    punctuation still count.

    Examples
    --------
    >>> normalise("  Net\tSALES rose by ５ % ")
    'net sales rose by 5 %'
    """
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Folding case can undo the compatibility form and the other way round; the second pass settles it.
    return " ".join(unicodedata.normalize("NFKC", folded.casefold()).split())


def mask(text: str) -> str:
    """Normalise, then put ``#`` for every number.

    Financial text repeats itself with other numbers (`sales rose 5 %`, `sales rose 12.4 %`): such copies must meet.
    A number is a run of digits with any ``.,:/`` between digits, so decimals, thousands, times and dates count as
    one. Digits inside a word (`q3`, `600519.sh`) are masked too; number words and Chinese numerals are left.

    Examples
    --------
    >>> mask("Sales rose 12.4 % to EUR 1,050 mn in Q3")
    'sales rose # % to eur # mn in q#'
    """
    return _NUMBER.sub("#", normalise(text))


def near_duplicate_groups(texts: Sequence[str], *, threshold: float = 0.8, seed: int = 0) -> NearDuplicates:
    """Group near-copies so that every pair inside a group is at or above the threshold.

    Two texts are near when the shingle sets of their masked forms (:func:`mask`) have a Jaccard similarity of at
    least ``threshold``. Groups come from complete linkage: single linkage would chain A to C through B however
    different A and C are. Texts that are equal after masking are one text before anything else happens, so exact
    duplicates are always together. The partition does not depend on the order of the rows.

    Parameters
    ----------
    texts : N texts; empty ones are copies of each other
    threshold : Jaccard similarity in [0.5, 1]
    seed : of the MinHash functions; it can change only which pairs of under 1 in 10,000 are missed

    Raises
    ------
    ConfigError
        If ``threshold`` is out of range.
    DataError
        If a text is not text.

    References
    ----------
    Sorensen (1948), Biologiske Skrifter 5(4), complete linkage; for the search see
    :func:`tapereader.dataset.shingles.near_pairs`.

    Examples
    --------
    >>> found = near_duplicate_groups(["Sales rose 5 % in Q1.", "Oil fell.", "Sales  rose 12.4 % in Q3."])
    >>> found.groups.tolist(), found.n_groups
    ([0, 1, 0], 2)
    """
    check_threshold(threshold)
    masked = masked_texts(texts)
    nodes, node_of_row = distinct(masked)
    pairs = near_pairs(nodes, threshold=threshold, seed=seed)
    cluster = _complete_linkage(len(nodes), pairs)
    _, first_rows, inverse = np.unique(cluster[node_of_row], return_index=True, return_inverse=True)
    rank = np.empty(len(first_rows), dtype=np.int64)
    rank[np.argsort(first_rows)] = np.arange(len(first_rows))
    groups = rank[inverse.reshape(-1)]
    sizes = np.bincount(groups) if len(groups) else np.zeros(1, dtype=np.int64)
    across = cluster[pairs.left] != cluster[pairs.right]
    first_row_of_node = np.full(len(nodes), len(masked), dtype=np.int64)
    np.minimum.at(first_row_of_node, node_of_row, np.arange(len(masked)))
    copies = np.bincount(node_of_row, minlength=len(nodes))
    left, right = pairs.left[across], pairs.right[across]
    example = texts[int(np.argmax(groups == np.argmax(sizes)))] if len(groups) else ""
    return NearDuplicates(
        groups=groups,
        n_groups=len(first_rows),
        largest_size=int(sizes.max()),
        largest_example=example[:_EXAMPLE_CHARACTERS],
        threshold=threshold,
        n_pairs_across=int((copies[left] * copies[right]).sum()),
        pairs_across=np.column_stack([first_row_of_node[left], first_row_of_node[right]]),
        complete=pairs.complete,
    )


def check_threshold(threshold: float) -> None:
    """Refuse a similarity threshold that could not mean near-copies.

    Raises
    ------
    ConfigError
        If it is outside [0.5, 1].
    """
    if not 0.5 <= threshold <= 1.0:
        raise ConfigError(f"`threshold` must be a Jaccard similarity from 0.5 to 1; got {threshold!r}.")


def masked_texts(texts: Sequence[str]) -> list[str]:
    """Mask every text.

    Raises
    ------
    DataError
        If one is not text, with its position.
    """
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"Every text must be text; got {text!r} at position {position}. Drop the row, or read the column as "
                "text."
            )
    return [mask(text) for text in texts]


def distinct(masked: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct texts, sorted, and the position of each row's text among them.

    Sorted, so that what is built on the positions does not depend on the order of the rows.
    """
    nodes = sorted(set(masked))
    position = {text: node for node, text in enumerate(nodes)}
    return nodes, np.fromiter((position[text] for text in masked), dtype=np.int64, count=len(masked))


def _complete_linkage(n: int, pairs: NearPairs) -> NDArray[np.int64]:
    # Pairs are taken from the most similar down. Two clusters may merge when every pair across them has been seen,
    # and the last one seen is their least similar: so merges come in the order of complete linkage, cut at the
    # threshold, without a distance matrix.
    order = np.lexsort((pairs.right, pairs.left, -pairs.similarity))
    owner = list(range(n))
    members = {int(node): [int(node)] for node in np.union1d(pairs.left, pairs.right)}
    seen: dict[int, dict[int, int]] = {node: {} for node in members}
    # Python integers, a batch at a time: of millions of pairs at once they would fill the memory.
    batches = (order[begin : begin + 100_000] for begin in range(0, len(order), 100_000))
    for left, right in (
        pair for batch in batches for pair in zip(pairs.left[batch].tolist(), pairs.right[batch].tolist(), strict=True)
    ):
        a, b = owner[left], owner[right]
        count = seen[a].get(b, 0) + 1
        if count < len(members[a]) * len(members[b]):
            seen[a][b] = seen[b][a] = count
            continue
        if len(members[a]) + len(seen[a]) < len(members[b]) + len(seen[b]):
            a, b = b, a
        for node in members[b]:
            owner[node] = a
        members[a] += members.pop(b)
        seen[a].pop(b, None)
        for other, number in seen.pop(b).items():
            if other != a:
                del seen[other][b]
                seen[a][other] = seen[other][a] = seen[a].get(other, 0) + number
    return np.asarray(owner, dtype=np.int64)
