"""Companies of the synthetic market, and the writing of one headline about one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tapereader.core.errors import ConfigError
from tapereader.sources.synthetic import events_en, templates_en, templates_zh
from tapereader.sources.synthetic.grammar import (
    Lexicon,
    Template,
    draw_amounts,
    draw_facts,
    draw_percent,
    expand,
    pick,
    words,
)

Tongue = Literal["en", "zh"]

TEMPLATES: tuple[Template, ...] = templates_en.TEMPLATES + templates_zh.TEMPLATES
FRAMES: tuple[Template, ...] = events_en.FRAMES + templates_zh.FRAMES
#: Risk events of the headlines; ``none`` first.
EVENTS: tuple[str, ...] = ("none", *dict.fromkeys(t.event for t in TEMPLATES if t.event != "none"))

_LEXICONS: dict[Tongue, Lexicon] = {"en": templates_en.LEXICON, "zh": templates_zh.LEXICON}
_SECTORS = (
    ("Steel", "钢铁"), ("Foods", "食品"), ("Energy", "能源"), ("Pharma", "医药"), ("Bank", "银行"),
    ("Airways", "航空"), ("Software", "软件"), ("Motors", "汽车"), ("Retail", "零售"), ("Chemicals", "化工"),
)  # fmt: skip
_NAMES = words(
    "Norvik 诺维, Halden 海登, Ostra 东澜, Brisk 博瑞, Calder 凯德, Venlo 文洛, Tamsin 泰信, Arkona 雅科, "
    "Lindor 林多, Merrow 美洛, Quill 奎立, Rasmor 瑞摩, Sorvik 索维, Ulmar 优玛, Wexby 威斯, Zelmar 泽玛, "
    "Fenwick 芬威, Garrow 嘉罗, Ilmen 伊门, Jorvan 卓凡, Kestrel 凯川, "
    "Orwin 欧文, Pelham 佩衡, Tolvar 拓华, Yarrow 雅若"
)
# A sentence that can be framed stands alone, is taken back, or (the rest) is affirmed.
_BARE_SHARE, _VOIDED_SHARE = 0.35, 0.3
_LOOK_ALIKE_SHARE = 0.25
# After a lone "a" that a vowel follows, or a number that is spoken with one.
_ARTICLE = re.compile(r"(?<=\b[aA])(?= (?:[aeio]|8|11\b|18\b))")
_HIGH, _LOW = ("A+", "A", "A-", "BBB+"), ("BB+", "BB", "BB-", "B+")


@dataclass(frozen=True, kw_only=True)
class Company:
    """An invented company: asset code, sector and name in both languages."""

    asset: str
    sector: dict[Tongue, str]
    name: dict[Tongue, str]


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A text with what is true about it."""

    text: str
    template: Template
    frame: str
    sentiment: int
    event: str


def companies(count: int) -> tuple[Company, ...]:
    """Return the first ``count`` invented companies, each with its own code and name.

    Raises
    ------
    ConfigError
        If more are asked for than there are names.
    """
    most = len(_NAMES) * len(_SECTORS)
    if not 2 <= count <= most:
        raise ConfigError(f"`n_assets` must be 2 to {most}; got {count}.")
    out = []
    for index in range(count):
        # The sector advances with every round over the names, so that each (name, sector) comes once.
        english, chinese = _NAMES[index % len(_NAMES)].split()
        sector_en, sector_zh = _SECTORS[(index % len(_NAMES) + index // len(_NAMES)) % len(_SECTORS)]
        out.append(
            Company(
                asset=f"{english[:3]}{sector_en[:2]}".upper(),
                sector={"en": sector_en.lower(), "zh": sector_zh},
                name={"en": f"{english} {sector_en}", "zh": f"{chinese}{sector_zh}"},
            )
        )
    return tuple(out)


def write_headline(
    company: Company, other: Company, *, language: Tongue, event_share: float, rng: np.random.Generator
) -> Headline:
    """Draw a template and write it about ``company``, with ``other`` as bystander.

    With probability ``event_share`` the headline comes from the world of risk events, where two in three report one
    and one in three only looks as if. Sentiment is drawn evenly where the template leaves it open.
    """
    lexicon = _LEXICONS[language]
    template = _draw_template(language, event_share, rng)
    sentiment = template.sentiment if template.sentiment is not None else int(rng.choice((-1, 1)))
    small, large = draw_amounts(lexicon, rng)
    period = pick(rng, lexicon.periods)
    slots = {
        "company": company.name[language],
        "ticker": company.asset,
        "other": other.name[language],
        "sector": company.sector[language],
        "period": period,
        "Period": period[0].upper() + period[1:],
        "place": pick(rng, lexicon.places),
        "person": pick(rng, lexicon.people),
        "month": pick(rng, lexicon.months),
        "day": int(rng.integers(1, 29)),
        "agency": pick(rng, lexicon.agencies),
        "high_grade": pick(rng, _HIGH),
        "low_grade": pick(rng, _LOW),
        "notches": int(rng.integers(2, 5)),
        "count": int(rng.integers(12, 990)) * 100,
        "pct": draw_percent(rng),
        "amount": large,
        "small": small,
        "large": large,
    }
    facts = draw_facts(template.rules, sentiment, lexicon, rng)
    frame = _draw_frame(template, rng)
    voided = frame is not None and frame.family == "voided"
    text = expand(template.text, good=sentiment > 0, rng=rng).format(**slots, **facts)
    if frame is not None:
        text = frame.text.format(**slots, clause=text)
    if language == "en":
        text = _ARTICLE.sub("n", text)
    return Headline(
        text=text[0].upper() + text[1:],
        template=template,
        frame="" if frame is None else frame.id,
        sentiment=0 if voided else sentiment,
        event="none" if voided else template.event,
    )


def _draw_template(language: Tongue, event_share: float, rng: np.random.Generator) -> Template:
    if rng.random() >= event_share:
        return pick(rng, _POOLS[language, "plain"])
    if rng.random() < _LOOK_ALIKE_SHARE:
        return pick(rng, _POOLS[language, "look-alike"])
    return pick(rng, _POOLS[language, pick(rng, EVENTS[1:])])


def _draw_frame(template: Template, rng: np.random.Generator) -> Template | None:
    chance = rng.random()
    if not template.framed or chance < _BARE_SHARE:
        return None
    kind = "voided" if chance < _BARE_SHARE + _VOIDED_SHARE else "affirmed"
    # A test sentence may stand in a known frame or in a new one; training sees neither.
    return pick(
        rng,
        [
            frame
            for frame in FRAMES
            if frame.language == template.language and frame.family == kind and frame.part in ("train", template.part)
        ],
    )


def _pools() -> dict[tuple[Tongue, str], tuple[Template, ...]]:
    pools: dict[tuple[Tongue, str], list[Template]] = {}
    tongues: tuple[Tongue, ...] = ("en", "zh")
    for language in tongues:
        for template in TEMPLATES:
            if template.language == language:
                kind = template.event
                if kind == "none":
                    kind = "look-alike" if template.family.startswith("look-alike") else "plain"
                pools.setdefault((language, kind), []).append(template)
    return {key: tuple(value) for key, value in pools.items()}


_POOLS = _pools()
