"""The words of a text, where they stand, and what its tokens add up to for each of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]
#: Characters written without spaces between words: Han ideographs and kana.
_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_LETTER = rf"(?:(?![{_HAN}])[^\W_])"
#: One ideograph; a word, a number or what hangs together (U.S., year-on-year, 12.5%); or a run of signs.
_WORD = re.compile(rf"[{_HAN}]|{_LETTER}+(?:[.,'’&/\-]{_LETTER}+)*%?|(?:[^\w\s]|_)+")
_IS_HAN = re.compile(rf"[{_HAN}]")


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word, number, ideograph or run of signs.

    Parameters
    ----------
    start, end : character positions in the text; ``end`` is the first one behind it
    text : its characters
    """

    start: int
    end: int
    text: str


def split_words(text: str, *, terms: Sequence[str] = (), runs: Iterable[Span] = ()) -> tuple[Word, ...]:
    """Split a text into words; a text written in ideographs into single ones.

    Where a word of Chinese ends is a question of a dictionary, which this package does not bring: what belongs together
    is said by the reader (``terms``), or taken from the pieces that the model reads (:func:`piece_runs`). Every
    character that is no space is in exactly one word.

    Parameters
    ----------
    text : any text
    terms : what counts as one word wherever it stands, upper and lower case alike; the longest wins
    runs : places that count as one word, where no term stands

    Examples
    --------
    >>> [word.text for word in split_words("EUR 3.2m, up 12%")]
    ['EUR', '3.2m', ',', 'up', '12%']
    >>> [word.text for word in split_words("营业利润增长", terms=["营业利润"])]
    ['营业利润', '增', '长']
    """
    words = [Word(start=found.start(), end=found.end(), text=found[0]) for found in _WORD.finditer(text)]
    wanted = sorted({term.strip() for term in terms if term.strip()}, key=len, reverse=True)
    merged = []
    if wanted:
        pattern = re.compile("|".join(map(re.escape, wanted)), re.IGNORECASE)
        merged = [found.span() for found in pattern.finditer(text)]
    merged += [run for run in runs if not any(start < run[1] and run[0] < end for start, end in merged)]
    return tuple(_merge(text, words, sorted(merged)))


def piece_runs(text: str, spans: Iterable[Span | None]) -> list[Span]:
    """Return where one token of the model covers several ideographs: words in the model's own eyes.

    Parameters
    ----------
    text : any text
    spans : of its tokens, as ``ChunkingTokenizer.locate`` gives them
    """
    return [span for span in spans if span is not None and len(_IS_HAN.findall(text[slice(*span)])) > 1]


def gather(words: Sequence[Word], spans: Sequence[Span | None], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up what the tokens of a text weigh, word by word.

    A token that covers parts of several words is shared out by characters; one that covers spaces alone belongs to the
    word behind it. Nothing is lost: the sums are equal.

    Parameters
    ----------
    words : W words, at least one
    spans : of L tokens; None for one that is no part of the text, whose value is left out
    values : array (L,)

    Returns
    -------
    array (W,)

    Examples
    --------
    >>> words = split_words("unprofitable year")
    >>> gather(words, [None, (0, 2), (2, 12), (13, 17)], np.array([9.0, 1.0, 2.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    out = np.zeros(len(words))
    starts = np.array([word.start for word in words])
    ends = np.array([word.end for word in words])
    for span, value in zip(spans, values, strict=True):
        if span is None:
            continue
        covered = np.clip(np.minimum(ends, span[1]) - np.maximum(starts, span[0]), 0, None)
        if covered.sum():
            out += value * covered / covered.sum()
        else:
            out[min(int(np.searchsorted(starts, span[0])), len(words) - 1)] += value
    return out


def without(text: str, words: Sequence[Word], gone: Collection[int], *, stand_in: str = "") -> str:
    """Return a text without some of its words.

    Words that would grow together are kept apart by a space.

    Parameters
    ----------
    text : any text
    words : its words
    gone : positions among the words
    stand_in : written in the place of each word; nothing where empty

    Examples
    --------
    >>> without("Profit (net) rose 5%.", split_words("Profit (net) rose 5%."), {1, 3})
    'Profit net rose 5%.'
    >>> without("营业利润", split_words("营业利润"), {1, 2})
    '营润'
    """
    out, last = "", 0
    skipped = False
    for position, word in enumerate(words):
        gap, shown = text[last : word.start], word.text
        last = word.end
        if position in gone:
            if not stand_in:
                skipped = True
                continue
            shown = stand_in
        if not out:
            gap = ""
        elif skipped and not gap and _would_join(out[-1], shown[0]):
            gap = " "
        out, skipped = out + gap + shown, False
    return out


def _would_join(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum() and not (_IS_HAN.match(left) or _IS_HAN.match(right))


def _merge(text: str, words: list[Word], runs: list[Span]) -> Iterable[Word]:
    """Yield the words, those between the ends of a run as one; a run that would cut a word is left out."""
    starts, ends = {word.start for word in words}, {word.end for word in words}
    whole = [run for run in runs if run[0] in starts and run[1] in ends]
    position = 0
    for start, end in whole:
        while position < len(words) and words[position].start < start:
            yield words[position]
            position += 1
        while position < len(words) and words[position].end <= end:
            position += 1
        yield Word(start=start, end=end, text=text[start:end])
    yield from words[position:]
