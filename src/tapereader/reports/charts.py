"""One function a chart: data in, figure out, in a light and a dark style."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tapereader.core.errors import DataError, missing_extra
from tapereader.governance.facts import METRIC_TITLES, MODEL_TITLES, ModelFacts, models_compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Style = Literal["light", "dark"]


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours of one style; accent and contrast are told apart by colour-blind readers and in grey.

    Parameters
    ----------
    paper, ink, muted, line : ground, text, secondary text, rules
    accent, contrast : ours, and what it is held against
    """

    paper: str
    ink: str
    muted: str
    line: str
    accent: str
    contrast: str


PALETTES: dict[Style, Palette] = {
    "light": Palette(
        paper="#fbfaf6", ink="#1d1c1a", muted="#6b675f", line="#dcd8cf", accent="#0b5fa0", contrast="#b8520a"
    ),
    "dark": Palette(
        paper="#15171b", ink="#ecebe7", muted="#a09c94", line="#363a41", accent="#72b4e8", contrast="#eda35b"
    ),
}
_FONTS = ["DejaVu Sans", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans SC", "SimHei"]
_WIDTH = 4.7


def metric_chart(rows: Sequence[Mapping[str, Any]], *, metric: str, style: Style = "light") -> Figure:
    """Draw one score of several models with their intervals, ours marked.

    Parameters
    ----------
    rows : ``title``, ``value``, ``low``, ``high`` (the last two may be None) and ``ours``, from top to bottom
    metric : name under the axis
    style : ``light`` or ``dark``
    """
    if not rows:
        raise DataError("A metric chart must have at least one row; got none.")
    with _drawing(style) as (figure, colours):
        figure.set_size_inches(_WIDTH, 0.8 + 0.36 * len(rows))
        axes = figure.subplots()
        for at, row in enumerate(reversed(rows)):
            colour = colours.accent if row["ours"] else colours.muted
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot(row["value"], at, "o" if row["ours"] else "D", color=colour, markersize=7 if row["ours"] else 5)
            end = row["value"] if row["high"] is None else row["high"]
            axes.annotate(
                f"{row['value']:.3f}",
                (end, at),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                color=colours.ink if row["ours"] else colours.muted,
                fontweight="bold" if row["ours"] else "normal",
                bbox={"facecolor": colours.paper, "edgecolor": "none", "pad": 1.2},
            )
        axes.set_yticks(range(len(rows)), [row["title"] for row in reversed(rows)])
        for label, row in zip(axes.get_yticklabels(), reversed(rows), strict=True):
            label.set_color(colours.ink if row["ours"] else colours.muted)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.margins(x=0.16)
        axes.set_xlabel(metric)
        axes.grid(axis="x", color=colours.line, linewidth=0.7)
        axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def reliability_chart(points: Sequence[Mapping[str, float]], *, style: Style = "light") -> Figure:
    """Draw stated confidence against the share that came true; the size of a point is its number of rows.

    Parameters
    ----------
    points : ``confidence``, ``accuracy`` and ``n``
    style : ``light`` or ``dark``
    """
    if not points:
        raise DataError("A reliability chart must have at least one point; got none.")
    with _drawing(style) as (figure, colours):
        figure.set_size_inches(_WIDTH, 3.5)
        axes = figure.subplots()
        lowest = min(min(point["confidence"], point["accuracy"]) for point in points)
        start = max(0.0, int(lowest * 10) / 10)
        axes.plot([start, 1], [start, 1], color=colours.muted, linewidth=1, linestyle=(0, (4, 3)))
        stated = [point["confidence"] for point in points]
        true = [point["accuracy"] for point in points]
        most = max(point["n"] for point in points)
        axes.plot(stated, true, color=colours.accent, linewidth=1.6)
        sizes = [20 + 50 * point["n"] / most for point in points]
        axes.scatter(stated, true, s=sizes, color=colours.accent, zorder=3)
        axes.set_xlim(start - 0.02, 1.02)
        axes.set_ylim(start - 0.02, 1.02)
        axes.set_xlabel("stated confidence")
        axes.set_ylabel("share that came true")
        axes.grid(color=colours.line, linewidth=0.7)
    return figure


def confusion_chart(counts: Sequence[Sequence[int]], names: Sequence[str], *, style: Style = "light") -> Figure:
    """Draw counts by true label (down) and answer (across), shaded by the share of each true label.

    Parameters
    ----------
    counts : C x C
    names : C labels
    style : ``light`` or ``dark``
    """
    if len(counts) != len(names) or any(len(row) != len(names) for row in counts):
        raise DataError(f"A confusion chart must have {len(names)} rows and columns of counts; got other shapes.")
    with _drawing(style) as (figure, colours):
        size = len(names)
        figure.set_size_inches(_WIDTH, min(1.5 + 0.55 * size, 6.5))
        axes = figure.subplots()
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                share = count / max(sum(row), 1)
                axes.fill(
                    [j, j + 0.96, j + 0.96, j], [i, i, i + 0.94, i + 0.94], color=colours.accent, alpha=share, lw=0
                )
                if size <= 13:
                    text = colours.paper if share > 0.55 else colours.ink
                    axes.text(j + 0.48, i + 0.47, f"{count:,}", ha="center", va="center", color=text)
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        middles = [k + 0.48 for k in range(size)]
        long = size > 4 or max(len(name) for name in names) * size > 42
        axes.set_xticks(middles, names, rotation=40 if long else 0, ha="right" if long else "center")
        axes.set_yticks(middles, names)
        axes.tick_params(length=0)
        axes.set_xlabel("answer")
        axes.set_ylabel("truth")
        axes.spines[:].set_visible(False)
    return figure


def learning_chart(rows: Sequence[Mapping[str, Any]], *, style: Style = "light") -> Figure:
    """Draw training and held-out loss by step.

    Parameters
    ----------
    rows : ``step`` with ``train_loss`` and ``held_out_loss``, either of which may be None
    style : ``light`` or ``dark``
    """
    with _drawing(style) as (figure, colours):
        figure.set_size_inches(_WIDTH, 2.9)
        axes = figure.subplots()
        series = (("train_loss", "training", colours.muted), ("held_out_loss", "held out", colours.accent))
        drawn = 0
        for key, title, colour in series:
            points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
            if points:
                drawn += 1
                axes.plot(
                    *zip(*points, strict=True), color=colour, linewidth=1.8, label=title, marker="o", markersize=3
                )
        if not drawn:
            raise DataError("A learning chart must have at least one loss; got none.")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.grid(color=colours.line, linewidth=0.7)
        axes.legend(frameon=False, labelcolor=colours.ink)
    return figure


def coverage_chart(coverage: Mapping[str, float | None], *, style: Style = "light") -> Figure:
    """Draw the share of prediction sets that held the truth, with its interval, against the promise.

    Parameters
    ----------
    coverage : ``value``, ``low``, ``high`` and ``promised``
    style : ``light`` or ``dark``
    """
    value, low, high, promised = (coverage.get(key) for key in ("value", "low", "high", "promised"))
    if value is None:
        raise DataError("A coverage chart must have a `value`; got None.")
    with _drawing(style) as (figure, colours):
        figure.set_size_inches(_WIDTH, 1.35)
        axes = figure.subplots()
        if low is not None and high is not None:
            axes.plot([low, high], [0, 0], color=colours.accent, linewidth=2.6, solid_capstyle="round")
        axes.plot(value, 0, "o", color=colours.accent, markersize=8)
        if promised is not None:
            axes.axvline(promised, color=colours.contrast, linewidth=1.4, linestyle=(0, (4, 3)))
            axes.annotate(
                f"promised {100 * promised:.0f} %",
                (promised, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-6, -2),
                textcoords="offset points",
                ha="right",
                va="top",
                color=colours.contrast,
            )
        ends = [end for end in (value, low, high, promised) if end is not None]
        axes.set_xlim(max(0.0, min(ends) - 0.08), min(1.0, max(ends) + 0.04) + 0.005)
        axes.set_ylim(-1, 1.6)
        axes.set_yticks([])
        axes.set_xlabel("share of prediction sets that hold the truth")
        axes.spines["left"].set_visible(False)
    return figure


def model_charts(facts: ModelFacts, *, style: Style = "light") -> dict[str, Figure]:
    """Return every chart that a model's facts allow: comparison, confusion, reliability, coverage, learning.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    evaluation = facts["evaluation"]
    headline = evaluation["headline"]
    rows = [
        {"title": MODEL_TITLES.get(name, name), "ours": name == "ours", **scored["metrics"][headline]}
        for name, scored in models_compared(facts).items()
        if scored["metrics"].get(headline, {}).get("value") is not None
    ]
    found = {}
    if rows:
        found["comparison"] = metric_chart(rows, metric=METRIC_TITLES.get(headline, headline), style=style)
    if evaluation["confusion"]:
        found["confusion"] = confusion_chart(evaluation["confusion"], facts["contract"]["names"], style=style)
    if evaluation["reliability"]:
        found["reliability"] = reliability_chart(evaluation["reliability"], style=style)
    if evaluation["coverage"]:
        found["coverage"] = coverage_chart(evaluation["coverage"], style=style)
    curve = facts.get("learning_curve") or []
    if any(row.get(key) is not None for row in curve for key in ("train_loss", "held_out_loss")):
        found["learning"] = learning_chart(curve, style=style)
    return found


def to_svg(figure: Figure, *, name: str) -> str:
    """Return a figure as SVG text: no date, no metadata, ids that begin with ``name``; equal figures, equal text."""
    import matplotlib

    out = io.StringIO()
    # Text stays text: any reader's fonts can show it, whatever this machine has.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), _quiet_glyphs():
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)


def to_png(figure: Figure, *, dots_per_inch: int = 160) -> bytes:
    """Return a figure as PNG bytes on its own ground."""
    out = io.BytesIO()
    with _quiet_glyphs():
        figure.savefig(out, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return out.getvalue()


@contextmanager
def _drawing(style: Style) -> Iterator[tuple[Figure, Palette]]:
    if style not in PALETTES:
        raise DataError(f"A chart's `style` must be light or dark; got {style!r}.")
    try:
        import matplotlib
        from matplotlib import font_manager
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("report", needed_for="Drawing a chart") from error
    colours = PALETTES[style]
    installed = {font.name for font in font_manager.fontManager.ttflist}
    settings: dict[Any, Any] = {
        "font.family": [font for font in _FONTS if font in installed] or ["sans-serif"],
        "font.size": 9,
        "axes.unicode_minus": False,
        "axes.edgecolor": colours.line,
        "axes.labelcolor": colours.muted,
        "axes.labelsize": 9,
        "axes.facecolor": colours.paper,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "figure.facecolor": colours.paper,
        "figure.constrained_layout.use": True,
        "text.color": colours.ink,
        # A label with two dollar signs is a label, not a formula.
        "text.parse_math": False,
        "xtick.color": colours.muted,
        "ytick.color": colours.muted,
        "xtick.labelcolor": colours.ink,
        "ytick.labelcolor": colours.ink,
    }
    with matplotlib.rc_context(settings):
        yield Figure(), colours


@contextmanager
def _quiet_glyphs() -> Iterator[None]:
    # Without a Chinese font the layout is measured with boxes; an SVG still carries the characters themselves.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
