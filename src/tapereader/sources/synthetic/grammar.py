"""The notation of headline templates, and the facts that fill them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from tapereader.core.errors import ConfigError

Split = Literal["train", "validation", "test"]
# The place of a template within its family decides its part: every family of three or more is seen in training and
# examined in words that training has not seen.
_PARTS: tuple[Split, ...] = ("train", "train", "test", "validation", "train")
_SIGNS = {"negative": -1, "neutral": 0, "positive": 1}
_MARKS = frozenset({"framed", "event", *_SIGNS})
_RULE = re.compile(r"([ab])([+\-0])([!=]?)([gm]*)")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_TWO_SIDED = re.compile(r"<([^<>|]*)\|([^<>|]*)>")
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """The words of one language that facts are made of.

    ``*_good`` metrics please shareholders when they go up, ``*_bad`` ones when they go down. A verb is its four forms:
    infinitive, past, participle, gerund.
    """

    money_good: tuple[str, ...]
    money_bad: tuple[str, ...]
    count_good: tuple[str, ...]
    count_bad: tuple[str, ...]
    up: tuple[tuple[str, ...], ...]
    down: tuple[tuple[str, ...], ...]
    rise: tuple[str, ...]
    fall: tuple[str, ...]
    higher: tuple[str, ...]
    lower: tuple[str, ...]
    above: str
    below: str
    money: tuple[str, ...]
    periods: tuple[str, ...]
    places: tuple[str, ...]
    people: tuple[str, ...]
    months: tuple[str, ...]
    agencies: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FactRule:
    """How a fact of a template relates to the headline's polarity.

    Written ``a+``: fact ``a`` is good where the headline is; ``b-``: bad where the headline is good; ``a0``: drawn.
    ``!`` after it: the metric is of the other kind than that of ``a``, so that both move in opposite directions when
    both are good ("profit rose while costs fell"). ``=``: it is about the metric of ``a``. ``g``: a metric that is
    good when it rises; ``m``: a metric in money.
    """

    name: str
    polarity: int
    relation: str
    good_only: bool
    money_only: bool


@dataclass(frozen=True, kw_only=True)
class Template:
    """One way to say one kind of thing.

    Parameters
    ----------
    id : language, family and place within the family
    family : the logic by which words become a polarity
    language : ``en`` or ``zh``
    text : ``{slots}``, ``[free|choice]`` and ``<where good|where bad>``
    rules : the facts of the text
    sentiment : -1, 0 or 1 where the text has only that; None where it can be good or bad
    event : risk event that the text reports, or ``none``
    part : the official part it belongs to
    framed : True where the text is a sentence that can stand in a frame ("it is not true that ...")
    """

    id: str
    family: str
    language: str
    text: str
    rules: tuple[FactRule, ...]
    sentiment: int | None
    event: str
    part: Split
    framed: bool


def words(text: str) -> tuple[str, ...]:
    """Split a list of words at its commas.

    Examples
    --------
    >>> words("net profit, revenue")
    ('net profit', 'revenue')
    """
    return tuple(word.strip() for word in text.split(","))


def verbs(text: str) -> tuple[tuple[str, ...], ...]:
    """Split a list of verbs at its commas, and their four forms at slashes; a verb without slashes has one form.

    Examples
    --------
    >>> verbs("rise/rose/risen/rising")
    (('rise', 'rose', 'risen', 'rising'),)
    """
    forms = (word.split("/") for word in words(text))
    return tuple(tuple(form) if len(form) > 1 else tuple(form) * 4 for form in forms)


def families(language: str, text: str) -> tuple[Template, ...]:
    r"""Read families of templates: a header line ``== name | rules | marks``, then one template a line.

    Marks are ``framed``, ``event`` (the family's name is the risk event it reports) and ``negative``, ``neutral`` or
    ``positive`` where the family is that whatever it says; rules are those of :class:`FactRule`.

    Raises
    ------
    ConfigError
        If a rule cannot be read.

    Examples
    --------
    >>> one, two = families("en", "== demo | a+ | framed\n{company} {a.metric} {a.moved}\n{a.metric} {a.moved}")
    >>> one.id, two.part, two.framed
    ('en-demo-1', 'train', True)
    """
    out: list[Template] = []
    name, marks, place = "", [""], 0
    for line in (line.strip() for line in text.strip().splitlines()):
        if line.startswith("=="):
            name, *marks = (mark.strip() for mark in line.removeprefix("==").split("|"))
            place = 0
            continue
        place += 1
        out.append(
            Template(
                id=f"{language}-{name}-{place}",
                family=name,
                language=language,
                text=line,
                rules=tuple(_rule(rule) for mark in marks if mark not in _MARKS for rule in mark.split()),
                sentiment=next((_SIGNS[mark] for mark in marks if mark in _SIGNS), None),
                event=name if "event" in marks else "none",
                part=_PARTS[(place - 1) % len(_PARTS)],
                framed="framed" in marks,
            )
        )
    return tuple(out)


def _rule(text: str) -> FactRule:
    match = _RULE.fullmatch(text)
    if match is None:
        raise ConfigError(f"A fact rule must look like `a+`, `b-!` or `a0m`; got {text!r}.")
    name, sign, relation, flags = match.groups()
    return FactRule(
        name=name,
        polarity={"+": 1, "-": -1, "0": 0}[sign],
        relation=relation,
        good_only="g" in flags,
        money_only="m" in flags,
    )


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A metric that moved, in every word form a template may ask for.

    ``fro`` is where it came from (or was expected), ``to`` where it went: ``to`` exceeds ``fro`` exactly if it rose.
    """

    metric: str
    sign: int
    verb: str
    moved: str
    risen: str
    moving: str
    move: str
    higher: str
    above: str
    below: str
    pct: str
    fro: str
    to: str

    @property
    def Metric(self) -> str:  # noqa: N802 - the slot is written as the word it becomes
        """The metric at the start of a sentence."""
        return self.metric[0].upper() + self.metric[1:]

    @property
    def Higher(self) -> str:  # noqa: N802 - likewise
        """The adjective at the start of a sentence."""
        return self.higher[0].upper() + self.higher[1:]


def pick(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    """Draw one of the options, all alike."""
    return options[int(rng.integers(len(options)))]


def draw_facts(
    rules: tuple[FactRule, ...], polarity: int, lexicon: Lexicon, rng: np.random.Generator
) -> dict[str, Fact]:
    """Draw the facts of a headline of that polarity (-1 or 1; ignored by rules that draw their own)."""
    facts: dict[str, Fact] = {}
    for rule in rules:
        first = facts.get("a")
        sign = int(rng.choice((-1, 1)))
        if rule.good_only:
            sign = 1
        elif first is not None and rule.relation:
            sign = first.sign if rule.relation == "=" else -first.sign
        good = rule.polarity * polarity if rule.polarity else int(rng.choice((-1, 1)))
        metric = first.metric if first is not None and rule.relation == "=" else None
        facts[rule.name] = _fact(sign, good * sign > 0, metric, rule.money_only, lexicon, rng)
    return facts


def _fact(
    sign: int, up: bool, metric: str | None, money_only: bool, lexicon: Lexicon, rng: np.random.Generator
) -> Fact:
    money, count = (lexicon.money_good, lexicon.count_good) if sign > 0 else (lexicon.money_bad, lexicon.count_bad)
    verb = pick(rng, lexicon.up if up else lexicon.down)
    small, large = draw_amounts(lexicon, rng)
    return Fact(
        metric=metric or pick(rng, money if money_only else money + count),
        sign=sign,
        verb=verb[0],
        moved=verb[1],
        risen=verb[2],
        moving=verb[3],
        move=pick(rng, lexicon.rise if up else lexicon.fall),
        higher=pick(rng, lexicon.higher if up else lexicon.lower),
        above=lexicon.above if up else lexicon.below,
        below=lexicon.below if up else lexicon.above,
        pct=draw_percent(rng),
        fro=small if up else large,
        to=large if up else small,
    )


def draw_percent(rng: np.random.Generator) -> str:
    """Draw a percentage, whole or with one decimal."""
    return str(int(rng.integers(2, 40))) if rng.random() < 0.5 else f"{rng.uniform(1.2, 30):.1f}"


def draw_amounts(lexicon: Lexicon, rng: np.random.Generator) -> tuple[str, str]:
    """Draw two sums of money in one currency and unit, the second 1.2 to 3 times the first."""
    pattern = pick(rng, lexicon.money)
    small = float(np.exp(rng.uniform(np.log(2), np.log(400))))
    large = small * rng.uniform(1.2, 3.0)
    digits = 1 if small < 100 else 0
    return pattern.format(f"{small:.{digits}f}"), pattern.format(f"{large:.{digits}f}")


def expand(text: str, *, good: bool, rng: np.random.Generator) -> str:
    """Resolve free choices, then two-sided ones.

    Examples
    --------
    >>> expand("[it|it] <rose|fell>", good=False, rng=np.random.default_rng(0))
    'it fell'
    """
    chosen = _CHOICE.sub(lambda match: pick(rng, match.group(1).split("|")), text)
    return _TWO_SIDED.sub(lambda match: match.group(1 if good else 2), chosen)
