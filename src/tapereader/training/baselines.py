"""The dumb rules that every model is shown beside: majority, TF-IDF, a word list, a frozen embedding."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from tapereader.bundle.calibration import FloatArray
from tapereader.bundle.contract import LabelContract
from tapereader.core.errors import DataError
from tapereader.training import wordlists
from tapereader.training.linear import LinearHead

Targets = NDArray[Any]
Embed = Callable[[list[str], list[str] | None], FloatArray]

_CJK = re.compile(r"[一-鿿]")
_WORD = re.compile(r"[a-z][a-z'-]*")
#: What stands in a text where the named target was.
_TARGET = " targetmention "
#: Words (characters for Chinese) on either side of a named target that are read as being about it.
_WINDOW = 6


class Baseline(Protocol):
    """A rule that is fitted on texts and answers in the form that decoded logits have."""

    def fit(
        self, texts: list[str], targets: Targets, *, pairs: list[str] | None = None, groups: Targets | None = None
    ) -> Self:
        """Learn from N texts with targets; groups stay on one side of any inner split."""

    def outputs(self, texts: list[str], *, pairs: list[str] | None = None) -> FloatArray:
        """Return probabilities (N, C), or values (N,) for regression."""


class Majority:
    """The commonest label, or the mean: what is right without reading.

    One label a row: the shares of the labels in training, the same for every text. Multi-label: each label's share.

    Parameters
    ----------
    contract : label contract
    language, seed : taken so that every baseline is built alike; they change nothing here
    """

    def __init__(self, contract: LabelContract, *, language: str = "unknown", seed: int = 0) -> None:
        self.contract = contract
        self.language = language
        self.seed = seed
        self._answer: FloatArray | None = None

    def fit(
        self, texts: list[str], targets: Targets, *, pairs: list[str] | None = None, groups: Targets | None = None
    ) -> Self:
        """Count; see :class:`Baseline`."""
        _check(texts, pairs, targets, groups)
        if self.contract.kind == "regression" or targets.ndim == 2:
            self._answer = np.asarray(targets.mean(axis=0), dtype=np.float64)
        else:
            self._answer = np.bincount(targets, minlength=len(self.contract.names)) / len(targets)
        return self

    def outputs(self, texts: list[str], *, pairs: list[str] | None = None) -> FloatArray:
        """Return the same answer N times; see :class:`Baseline`."""
        _check(texts, pairs)
        if self._answer is None:
            raise _unfitted()
        return np.broadcast_to(self._answer, (len(texts), *self._answer.shape)).copy()


class _Linear:
    """What the three fitted baselines share: features of texts into a linear head."""

    def __init__(self, contract: LabelContract, *, language: str = "unknown", seed: int = 0) -> None:
        self.contract = contract
        self.language = language
        self.seed = seed
        self.head: LinearHead | None = None

    def fit(
        self, texts: list[str], targets: Targets, *, pairs: list[str] | None = None, groups: Targets | None = None
    ) -> Self:
        """Learn; see :class:`Baseline`."""
        _check(texts, pairs, targets, groups)
        features = self._fit_features(texts, pairs)
        self.head = LinearHead(self.contract, seed=self.seed).fit(features, targets, groups=groups)
        return self

    def outputs(self, texts: list[str], *, pairs: list[str] | None = None) -> FloatArray:
        """Answer; see :class:`Baseline`."""
        _check(texts, pairs)
        if self.head is None:
            raise _unfitted()
        return self.head.outputs(self._features(texts, pairs))

    def _fit_features(self, texts: list[str], pairs: list[str] | None) -> Any:
        raise NotImplementedError

    def _features(self, texts: list[str], pairs: list[str] | None) -> Any:
        raise NotImplementedError


class TfidfLinear(_Linear):
    """TF-IDF of words and character n-grams into a linear head: the baseline that is hard to beat.

    Words 1-2 and characters 2-5; for Chinese, characters 1-3. Where the question names a target, its mention in the
    text is masked, the words around it are features of their own, and so is the name.

    Parameters
    ----------
    contract : label contract
    language : ``en``, ``zh``, ``mixed`` or ``unknown``; the last two are decided by the training texts
    seed : of the inner split that chooses the penalty

    References
    ----------
    Wang and Manning (2012), Baselines and Bigrams, ACL.
    """

    def _fit_features(self, texts: list[str], pairs: list[str] | None) -> Any:
        self._chinese = is_chinese(texts, language=self.language)
        # Few texts would lose nearly all words to a floor of two.
        least = 2 if len(texts) >= 500 else 1
        settings: dict[str, Any] = {"sublinear_tf": True, "min_df": least, "dtype": np.float32}
        ranges = [("char", (1, 3))] if self._chinese else [("word", (1, 2)), ("char_wb", (2, 5))]
        self._views = [
            TfidfVectorizer(analyzer=analyzer, ngram_range=span, max_features=200_000, **settings)
            for analyzer, span in ranges
        ]
        if pairs is not None:
            analyzer, span = ranges[0]
            self._views += [
                TfidfVectorizer(analyzer=analyzer, ngram_range=span, **settings),
                TfidfVectorizer(analyzer=analyzer, ngram_range=(1, 1), **settings | {"min_df": 1}),
            ]
        return sparse.csr_matrix(
            sparse.hstack(
                [_fit_view(view, seen) for view, seen in zip(self._views, self._seen(texts, pairs), strict=True)]
            )
        )

    def _features(self, texts: list[str], pairs: list[str] | None) -> Any:
        views = self._seen(texts, pairs)
        if len(views) != len(self._views):
            raise DataError("A baseline fitted with named targets must be asked with them, and the other way round.")
        found = [
            view.transform(seen) if hasattr(view, "vocabulary_") else sparse.csr_matrix((len(seen), 0))
            for view, seen in zip(self._views, views, strict=True)
        ]
        return sparse.csr_matrix(sparse.hstack(found))

    def _seen(self, texts: list[str], pairs: list[str] | None) -> list[list[str]]:
        masked = texts if pairs is None else [_mask(text, pair) for text, pair in zip(texts, pairs, strict=True)]
        views = [masked] if self._chinese else [masked, masked]
        if pairs is None:
            return views
        return [*views, [_around(text, chinese=self._chinese, mark_sides=True) for text in masked], pairs]


class WordList(_Linear):
    """Counts of financial words by category into a linear head: what a dictionary knows.

    Ten numbers a text: the share of positive, negative, uncertain, litigious, hawkish and dovish words, the shares of
    negated positive and negative ones, the net tone, and the logarithm of the length. Named targets add the same
    numbers for the words around them.

    Parameters
    ----------
    contract : label contract
    language : ``en``, ``zh``, ``mixed`` or ``unknown``
    seed : of the inner split that chooses the penalty

    References
    ----------
    Tetlock (2007), Journal of Finance 62(3), for tone as counts; the lists here are the package's own.
    """

    def _fit_features(self, texts: list[str], pairs: list[str] | None) -> Any:
        self._chinese = is_chinese(texts, language=self.language)
        self._scaler = StandardScaler()
        return self._scaler.fit_transform(self._counts(texts, pairs))

    def _features(self, texts: list[str], pairs: list[str] | None) -> Any:
        counts = self._counts(texts, pairs)
        if counts.shape[1] != self._scaler.n_features_in_:
            raise DataError("A baseline fitted with named targets must be asked with them, and the other way round.")
        return self._scaler.transform(counts)

    def _counts(self, texts: list[str], pairs: list[str] | None) -> FloatArray:
        count = count_chinese if self._chinese else count_english
        if pairs is None:
            return np.asarray([count(text) for text in texts], dtype=np.float64)
        masked = [_mask(text, pair) for text, pair in zip(texts, pairs, strict=True)]
        near = [_around(text, chinese=self._chinese) for text in masked]
        return np.asarray([count(text) + count(part) for text, part in zip(masked, near, strict=True)])


class FrozenEmbedding(_Linear):
    """A network's sentence embeddings, untouched, into a linear head: what fine-tuning has to add to.

    Parameters
    ----------
    contract : label contract
    embed : function of texts and pairs to an array (N, D)
    language : of the texts; not used
    seed : of the inner split that chooses the penalty

    Notes
    -----
    Where the embeddings are at hand already, ``LinearHead`` takes the array.
    """

    def __init__(self, contract: LabelContract, *, embed: Embed, language: str = "unknown", seed: int = 0) -> None:
        super().__init__(contract, language=language, seed=seed)
        self.embed = embed

    def _fit_features(self, texts: list[str], pairs: list[str] | None) -> Any:
        self._scaler = StandardScaler()
        return self._scaler.fit_transform(self.embed(texts, pairs))

    def _features(self, texts: list[str], pairs: list[str] | None) -> Any:
        return self._scaler.transform(self.embed(texts, pairs))


#: Name to baseline, in the order of every table; ``frozen-embedding`` also needs ``embed=``.
BASELINES: dict[str, Callable[..., Baseline]] = {
    "majority": Majority,
    "word-list": WordList,
    "tfidf": TfidfLinear,
    "frozen-embedding": FrozenEmbedding,
}


def is_chinese(texts: list[str], *, language: str = "unknown") -> bool:
    """Return whether texts are read by the character: as stated, or where a third of the letters are Chinese."""
    if language in ("en", "zh"):
        return language == "zh"
    sample = "".join(texts[:1000])
    letters = sum(character.isalpha() for character in sample)
    return letters > 0 and len(_CJK.findall(sample)) > letters / 3


def count_english(text: str) -> list[float]:
    """Return the ten word-list numbers of an English text."""
    words = _WORD.findall(text.lower().replace("’", "'"))
    counts = dict.fromkeys(_LISTS_EN, 0)
    negated = {"positive": 0, "negative": 0}
    for at, word in enumerate(words):
        turned = any(before in _NEGATIONS_EN for before in words[max(at - 3, 0) : at])
        for category, known in _LISTS_EN.items():
            if word in known:
                counts[category] += 1
                if turned and category in negated:
                    negated[category] += 1
    return _shares(counts, negated, len(words))


def count_chinese(text: str) -> list[float]:
    """Return the ten word-list numbers of a Chinese text, each stretch of it counted for one word of a category."""
    counts = dict.fromkeys(_LISTS_ZH, 0)
    negated = {"positive": 0, "negative": 0}
    for category, pattern in _LISTS_ZH.items():
        for match in pattern.finditer(text):
            counts[category] += 1
            if category in negated and _NEGATIONS_ZH.search(text[max(match.start() - 3, 0) : match.start()]):
                negated[category] += 1
    return _shares(counts, negated, len(text) // 2)


def _shares(counts: dict[str, int], negated: dict[str, int], length: int) -> list[float]:
    size = max(length, 1)
    positive = counts["positive"] - negated["positive"] + negated["negative"]
    negative = counts["negative"] - negated["negative"] + negated["positive"]
    tone = (positive - negative) / (positive + negative + 1)
    return [count / size for count in (*counts.values(), *negated.values())] + [tone, float(np.log1p(length))]


def _mask(text: str, pair: str) -> str:
    name = pair.strip()
    masked = _replaced(text, name)
    if masked == text and name:
        # Headlines shorten names: "Tesco PLC" is "Tesco" there.
        first = name.split()[0]
        masked = _replaced(text, first) if len(first) > 2 else text
    return masked


def _replaced(text: str, name: str) -> str:
    return re.sub(re.escape(name), _TARGET, text, flags=re.IGNORECASE) if name else text


def _around(text: str, *, chinese: bool, mark_sides: bool = False) -> str:
    mark = _TARGET.strip()
    if chinese:
        return " ".join(left[-2 * _WINDOW :] + right[: 2 * _WINDOW] for left, right in pairwise(text.split(mark)))
    words = text.split()
    marks = [at for at, word in enumerate(words) if mark in word]
    near = []
    for at, word in enumerate(words):
        nearest = min(marks, key=lambda found: abs(found - at), default=None)
        if nearest is not None and 0 < abs(nearest - at) <= _WINDOW:
            side = ("before_" if at < nearest else "after_") if mark_sides else ""
            near.append(side + word)
    return " ".join(near)


def _fit_view(view: TfidfVectorizer, texts: list[str]) -> Any:
    try:
        return view.fit_transform(texts)
    except ValueError:
        # No text has a single n-gram of this view (targets never named in the text): the view has no columns.
        if hasattr(view, "vocabulary_"):
            del view.vocabulary_
        return sparse.csr_matrix((len(texts), 0), dtype=np.float32)


def _check(
    texts: list[str], pairs: list[str] | None, targets: Targets | None = None, groups: Targets | None = None
) -> None:
    if not texts:
        raise DataError("A baseline must be given at least one text; got none.")
    for what, values in (("pairs", pairs), ("targets", targets), ("groups", groups)):
        if values is not None and len(values) != len(texts):
            raise DataError(f"`{what}` must have one entry a text, {len(texts)}; got {len(values)}.")


def _unfitted() -> DataError:
    return DataError("A baseline must be fitted before it answers. Call `fit`.")


_LISTS_EN = wordlists.english_words()
_NEGATIONS_EN = wordlists.english_negations()
_LISTS_ZH = {name: re.compile("|".join(map(re.escape, words))) for name, words in wordlists.chinese_words().items()}
_NEGATIONS_ZH = re.compile("|".join(map(re.escape, wordlists.chinese_negations())))
