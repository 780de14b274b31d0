"""Write ``docs/results.md`` from the measured cells: ``python benchmarks/tables.py`` (needs ``TAPEREADER_DATA``)."""

from __future__ import annotations

import functools
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from best import ADAPTED_DOCUMENTS, MEMBERS, choose
from best import SETS as BEST_SETS
from cells import RESULTS, cells, stored
from experiments import METHODS, PHRASEBANK, SETS, Experiment
from inference import inference_section
from invariance import invariance_section
from numpy.typing import NDArray
from streaming import streaming_section
from text_sets import cell_key, splits_of
from train_speed import CACHED, CONTENDERS, OURS, accuracy_key, accuracy_split, recipe_key
from variants import variants_section

from tapereader.bundle import LabelContract
from tapereader.bundle.conformal import answers
from tapereader.dataset import NearDuplicates, Split, near_duplicate_groups
from tapereader.metrics import accuracy
from tapereader.sources import DatasetCard, LabelledText, load_dataset
from tapereader.training.evaluation import Comparison, compare, headline_metric
from tapereader.training.optimization import peak_rate

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
_TITLES = {
    "majority": "Majority (or mean)",
    "word-list": "Financial word list",
    "tfidf": "TF-IDF + linear",
    "frozen-embedding": "Frozen embedding + linear",
    "before": "Before tuning",
    "ours": "Fine-tuned",
}
_METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "micro_f1": "micro-F1", "r2": "R²", "spearman": "rank corr.",
            "mae": "MAE", "exact_match": "exact match"}  # fmt: skip
_SHOWN = {
    "single-label": ("accuracy", "macro_f1"),
    "multi-label": ("macro_f1", "micro_f1", "exact_match"),
    "regression": ("r2", "spearman", "mae"),
}


@dataclass(frozen=True)
class Measured:
    """All measured cells of one experiment at the current revision, and the rows they answer."""

    experiment: Experiment
    labelled: LabelledText
    near: NearDuplicates
    splits: list[Split]
    cells: list[dict[str, Any]]

    @property
    def contract(self) -> LabelContract:
        """Of the data set."""
        return self.labelled.card.contract

    def scores(self, model: str, metric: str) -> list[float]:
        """One score a fold."""
        found = [cell["result"]["models"].get(model, {}).get("metrics", {}).get(metric) for cell in self.cells]
        return [value for value in found if value is not None]

    def pooled(self, model: str) -> NDArray[np.float64]:
        """Answers of all folds one after the other, as outputs that decide alike."""
        given = [answer for cell in self.cells for answer in cell["result"]["models"][model]["answers"]]
        if self.contract.kind == "regression":
            return np.asarray(given, dtype=np.float64)
        out = np.zeros((len(given), len(self.contract.names)))
        for n, answer in enumerate(given):
            out[n, answer] = 1.0
        return out

    def rows(self) -> NDArray[np.int64]:
        """Positions of the test rows of all folds."""
        position = {row: n for n, row in enumerate(self.labelled.frame["row"].tolist())}
        return np.asarray([position[row] for cell in self.cells for row in cell["result"]["test_rows"]])

    def against(self, model: str, other: Measured | None = None) -> Comparison:
        """Ours against another model on pooled out-of-fold answers, groups resampled whole."""
        rows = self.rows()
        theirs = (other or self).pooled(model)
        return compare(
            self.contract, self.labelled.targets()[rows], self.pooled("ours"), theirs, groups=self.near.groups[rows]
        )

    def pairs_across(self) -> int:
        """Pairs of near-copies, summed over the folds, of which a test part holds one and its other rows the other."""
        return sum(
            self.near.pairs_between(np.concatenate([split.train, split.validation]), split.test)
            for split in self.splits
        )

    def best_baseline(self) -> str | None:
        """Name of the baseline with the best mean headline score."""
        metric = headline_metric(self.contract)
        names = [name for name in self.experiment.baselines if self.scores(name, metric)]
        return max(names, key=lambda name: statistics.mean(self.scores(name, metric)), default=None)


def load(experiment: Experiment) -> Measured | None:
    """Return what was measured of an experiment, or None for nothing yet: cells whose whole key is the expected one."""
    labelled, near = _rows(experiment.dataset)
    found = [
        (split, cell)
        for fold, split in enumerate(splits_of(experiment, labelled, near.groups), start=1)
        if (cell := stored(experiment.name, cell_key(experiment, labelled, split, fold))) is not None
    ]
    if not found:
        return None
    return Measured(experiment, labelled, near, [split for split, _ in found], [cell for _, cell in found])


@functools.cache
def _rows(dataset: str) -> tuple[LabelledText, NearDuplicates]:
    labelled = load_dataset(dataset)
    return labelled, near_duplicate_groups(labelled.texts)


def spread(values: list[float], *, percent: bool = True) -> str:
    """Write mean and standard deviation over folds."""
    if not values:
        return "–"
    scale, digits = (100, 1) if percent else (1, 3)
    mean = f"{scale * statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {scale * statistics.stdev(values):.{digits}f}"


def score_table(parts: list[Measured]) -> Iterator[str]:
    """Yield one Markdown table: a line a model, over the folds of one data set."""
    first = parts[0]
    metrics = _SHOWN[first.contract.kind]
    percent = first.contract.kind != "regression"
    yield "| model | folds | " + " | ".join(_METRICS[metric] for metric in metrics) + " | minutes a fold, median |"
    yield "|---|---:|" + "---:|" * (len(metrics) + 1)
    base = max(parts, key=lambda part: len(part.experiment.baselines))
    for name in ("majority", "word-list", "tfidf", "frozen-embedding", "before"):
        if base.scores(name, metrics[0]):
            values = " | ".join(spread(base.scores(name, metric), percent=percent) for metric in metrics)
            yield f"| {_TITLES[name]} | {len(base.cells)} | {values} | |"
    for part in parts:
        values = " | ".join(f"**{spread(part.scores('ours', metric), percent=percent)}**" for metric in metrics)
        yield (
            f"| {_recipe(part.experiment)} | {len(part.cells)} of {part.experiment.folds if not part.experiment.official else 1} "
            f"| {values} | {minutes(part)} |"
        )


def minutes(part: Measured) -> str:
    """Write the median minutes of a fold for each number of threads it was trained with."""
    threads = sorted({cell["result"]["threads"] for cell in part.cells})
    taken = {
        n: statistics.median(cell["result"]["seconds"] / 60 for cell in part.cells if cell["result"]["threads"] == n)
        for n in threads
    }
    return ", ".join(f"{taken[n]:.1f} ({n} thread{'s' if n > 1 else ''})" for n in threads)


def verdict(part: Measured) -> str:
    """Say in one sentence how ours stands to the best baseline on the pooled answers."""
    best = part.best_baseline()
    if best is None:
        return ""
    found = part.against(best)
    metric = _METRICS.get(found.metric, found.metric)
    gap = f"{found.difference:+.3f} {metric} ({found.low:+.3f} to {found.high:+.3f}, p = {found.p_value:.3f})"
    said = {"ours": "Fine-tuning wins", "theirs": "**The baseline wins**", "unclear": "Cannot be told apart"}
    return f"{said[found.better]} against the best baseline, {_TITLES[best].lower()}: {gap}, {found.n:,} rows."


def left_open(part: Measured) -> str:
    """Say how many near-copies the measured splits still part."""
    if part.experiment.official and part.experiment.overlap == "published":
        shared = sum(cell["result"]["rows_shared"] for cell in part.cells)
        return f"{shared} test rows have a near-copy in training: this score is flattered."
    n = part.pairs_across()
    least = "" if part.near.complete else "at least "
    tested = sum(len(split.test) for split in part.splits)
    pairs = f"{n} pair{'' if n == 1 else 's'} of near texts" if n else "no pair of near texts"
    splits = f"its {len(part.splits)} measured splits" if len(part.splits) > 1 else "its split"
    return f"{_recipe(part.experiment)}: {least}{pairs} parted by {splits}, {tested:,} test rows."


def origin(card: DatasetCard) -> str:
    """Say which copy of a data set was measured."""
    return f"`{card.name}` ({card.origin}; licence: {card.licence.name})"


def _recipe(experiment: Experiment) -> str:
    config = experiment.config
    return f"Fine-tuned {config.backbone}, {config.epochs} epochs"


def page() -> str:
    """Return the whole page."""
    lines = [
        "# Results",
        "",
        "Written by `python benchmarks/tables.py` from the cells in `benchmarks/results`; do not edit. Each cell is one",
        "measurement, of a set one training on one split; `python benchmarks/text_sets.py NAME --again FOLD` measures it again,",
        "`best.py` and `train_speed.py` take `--again` as well. Scores are means ±",
        "standard deviations over test folds, in per cent except for regression. Near-duplicates (Jaccard 0.8 of character",
        "shingles, numbers masked) are grouped so that every two texts of a group are near, and a group never stands on two",
        "sides of a split, unless a line says *as published*. Two near texts can still be in two groups, where one of them",
        "is not near to all the others of the other's group: under each table stands how many such pairs its splits part.",
        "Intervals are 95 %, from 1,000 resamples of whole near-duplicate groups. Within a training test rows chose nothing:",
        "no stopping, no threshold, no calibration. Baselines choose their penalty on inner splits.",
        "",
        "## Financial PhraseBank",
        "",
        "Test rows of this section are not quite untouched: the profiles' learning rates (`_RATES` in",
        "`src/tapereader/training/optimization.py`) were compared on one random tenth of `financial-phrasebank`, and folds make",
        "every row a test row once, the sentences on which all annotators agree among them. So these scores may be a little",
        "flattered, and so may those of *Ways of learning* and *Training speed*, which stand on the same set. The other sets",
        "took the recipe over, with 5 epochs for SemEval and texts cut at 64 tokens for `gold-news` and `stockemotions`, both",
        "written down before their first cell was measured.",
        "",
    ]
    for title, prefix in (("50 % agreement or more", "phrasebank-50"), ("all annotators agree", "phrasebank-100")):
        parts = [part for part in map(load, PHRASEBANK) if part and part.experiment.name.startswith(prefix)]
        if parts:
            lines += [f"### {title}", "", origin(parts[0].labelled.card), "", *score_table(parts), ""]
            lines += [*map(left_open, parts), ""]
            lines += [f"{_recipe(part.experiment)}: {verdict(part)}" for part in parts if part.experiment.baselines]
            lines += [""]
    lines += list(_best())
    lines += ["Published on other splits of the whole set: FinBERT (110M) 86 / 97 accuracy, FinGPT (13B) 88.2 weighted F1.",
              "", "## Other sets", ""]  # fmt: skip
    found = {experiment.name: load(experiment) for experiment in SETS}
    summary, details = [], []
    for experiment in SETS:
        part = found[experiment.name]
        if part is None:
            continue
        title = f"{part.labelled.card.title}"
        if experiment.official:
            said = "as published" if experiment.overlap == "published" else "training texts that stand in test left out"
            title += f" – authors' split `{experiment.official}`, {said}"
        details += [f"### {title}", "", origin(part.labelled.card), "", *score_table([part]), ""]
        details += [left_open(part), "", *(line for said in _remarks(part) for line in (said, ""))]
        if experiment.baselines:
            details += [verdict(part), ""]
            if experiment.official is None:
                summary.append((part, part.best_baseline()))
    if missing := [experiment.name for experiment in SETS if found[experiment.name] is None]:
        lines += [
            f"Not measured yet, or taken out to be measured again: {', '.join(f'`{name}`' for name in missing)}.",
            "",
        ]
    if summary:
        lines += [
            "| set | metric | best baseline | its score | fine-tuned | difference (95 %) | |",
            "|---|---|---|---:|---:|---:|---|",
        ]
        for part, best in summary:
            metric = headline_metric(part.contract)
            against = part.against(str(best))
            percent = part.contract.kind != "regression"
            who = {"ours": "ahead", "theirs": "**behind**", "unclear": "level"}[against.better]
            lines.append(
                f"| {part.labelled.card.name} | {_METRICS[metric]} | {_TITLES[str(best)]} "
                f"| {spread(part.scores(str(best), metric), percent=percent)} "
                f"| {spread(part.scores('ours', metric), percent=percent)} "
                f"| {against.difference:+.3f} ({against.low:+.3f} to {against.high:+.3f}) | {who} |"
            )
        lines.append("")
    lines += details
    lines += list(_methods())
    lines += list(speed_section())
    for section in (inference_section, variants_section, streaming_section, invariance_section):
        lines += list(section())
    lines += list(_hardware(_every_cell()))
    return "\n".join(lines).rstrip() + "\n"


#: Weighted F1 of Shah et al. (2023), means over the authors' splits.
_FOMC_PUBLISHED = {"FinBERT": 0.630, "RoBERTa-base": 0.698, "RoBERTa-large": 0.711}
_RARE_ROWS = 50


def _remarks(part: Measured) -> Iterator[str]:
    """Yield what a reader must know of one set before comparing: published scores, thresholds, rare labels."""
    labelled = part.labelled
    if labelled.card.name == "fomc-stance":
        ours = f"Weighted F1 of ours: {spread(part.scores('ours', 'weighted_f1'), percent=False)}"
        published = ", ".join(f"{name} {value:.3f}" for name, value in _FOMC_PUBLISHED.items())
        first = part.experiment.name == "fomc-stance"
        yield (
            f"{ours}. Published (Shah, Paturi and Chava 2023, *Trillion Dollar Words*): {published}. Theirs is another split: a "
            "mean over three random ones of the authors, with near-copies on both sides. We read their file in which long "
            "sentences are split (2,480 rows); the figures were quoted, and not checked to be for that file."
            if first
            else f"{ours}; published ones, on other splits: {published}."
        )
    if part.contract.kind == "multi-label" and part.experiment.baselines:
        given = ", ".join(f"{cell['result']['calibration']['threshold']:.2f}" for cell in part.cells)
        yield (
            f"Not an even comparison: ours gives a label from a probability of {given}, fitted on the validation part, while "
            "the baselines keep 0.5. They learn from the validation part as well, so they have no rows left to fit a threshold on."
        )
    if part.experiment.config.backbone == "multilingual-e5-small":
        yield (
            "This backbone's embeddings are standardised before the head since a first result on `cn-finese`, 22.5 macro-F1 on "
            "this test part, showed that it learnt nothing; the remedy was found on a draw of all rows, some of that test "
            "part among them, and confirmed on training rows alone ([log](log.md))."
        )
    if part.contract.kind != "regression":
        targets = labelled.targets()
        many = targets.ndim == 2
        counts = targets.sum(axis=0) if many else np.bincount(targets, minlength=len(part.contract.names))
        rare = [
            f"`{name}` {count:.0f}"
            for name, count in zip(part.contract.names, counts, strict=True)
            if count < _RARE_ROWS
        ]
        if rare:
            yield f"Labels with fewer than {_RARE_ROWS} of the {len(labelled):,} rows: {', '.join(rare)}."
        elif many:
            yield f"No label has fewer than {_RARE_ROWS} of the {len(labelled):,} rows; the rarest has {counts.min():,.0f}."


def _best() -> Iterator[str]:
    found = {name: ensemble for name in BEST_SETS if (ensemble := choose(name)) is not None}
    if not found:
        return
    yield from (
        "### The best of it",
        "",
        "`python benchmarks/best.py`: one fixed grouped split (the first of five folds), the quality recipe, MPNet as it comes",
        f"and adapted to {ADAPTED_DOCUMENTS:,} unlabelled news headlines and first sentences, seeds averaged. What is chosen is chosen on the",
        "inner validation part; the test column of the others is shown and chose nothing. *Single seeds* are means ± standard",
        "deviations over members alone, where more than one is measured. Baselines learn from train and validation together.",
        "",
        "| set | model | validation accuracy | validation macro-F1 | test accuracy | test macro-F1 | |",
        "|---|---|---:|---:|---:|---:|---|",
    )
    for name, ensemble in found.items():
        for kind, scores in ensemble.baselines.items():
            yield f"| {name} | {_TITLES[kind]} | | | {' | '.join(f'{100 * value:.1f}' for value in scores)} | |"
        for backbone, parts in ensemble.seeds.items():
            columns = [list(column) for part in ("validation", "test") for column in zip(*parts[part], strict=True)]
            n = len(parts["test"])
            yield f"| {name} | {backbone}, {n} single seeds | {' | '.join(map(spread, columns))} | |"
        for title, validation in ensemble.validation.items():
            values = " | ".join(f"{100 * value:.1f}" for value in (*validation, *ensemble.test[title]))
            yield f"| {name} | {title} | {values} | {'**chosen**' if title == ensemble.chosen else ''} |"
    yield ""
    for name, ensemble in found.items():
        ends = ", ".join(
            f"{_METRICS[metric]} {100 * (score['value'] or 0):.1f} ({100 * (score['low'] or 0):.1f} to {100 * (score['high'] or 0):.1f})"
            for metric, score in ensemble.intervals.items()
        )
        gap = ensemble.against
        beside = "" if gap is None else (
            f"; against the best baseline {gap.difference:+.3f} {_METRICS[gap.metric]} "
            f"({gap.low:+.3f} to {gap.high:+.3f}, p = {gap.p_value:.3f}), {gap.n:,} rows"
        )  # fmt: skip
        yield from (f"{name}, chosen among {ensemble.n_members} of {len(MEMBERS)} members: {ends} on test{beside}.", "")


def _methods() -> Iterator[str]:
    parts = [(experiment.extra["method"], part) for experiment in METHODS if (part := load(experiment))]
    if not parts:
        return
    n = len(parts[0][1].cells[0]["result"]["test_rows"])
    first = statistics.median(part.scores("ours", "accuracy")[0] for _, part in parts)
    yield from (
        "## Ways of learning",
        "",
        f"One fold of ten of `financial-phrasebank`, one seed: on its {n} test rows the standard error of an accuracy of",
        f"{100 * first:.0f} % is {100 * (first * (1 - first) / n) ** 0.5:.1f} points, so a difference of a point or two says little. The last column is the number",
        "of parameters that learn at four bytes each, not a file: LoRA, AdaLoRA and IA3 are merged into the network after",
        "training, and a bundle holds whole weights whatever learnt. Share: of all parameters, added ones included.",
        "",
    )
    yield (
        "| what learns | epochs | accuracy | macro-F1 | parameters that learn | share | minutes | threads "
        "| size of what learns, float32 |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for label, part in parts:
        result = part.cells[0]["result"]
        size = result["trainable"] * 4 / 2**20
        yield (
            f"| {label} | {part.experiment.config.epochs} | {spread(part.scores('ours', 'accuracy'))} "
            f"| {spread(part.scores('ours', 'macro_f1'))} | {result['trainable']:,} "
            f"| {100 * result['trainable'] / result['parameters']:.2f} % | {result['seconds'] / 60:.1f} "
            f"| {result['threads']} | {size:.2f} MiB |"
        )
    yield ""


def speed_section() -> Iterator[str]:
    """Yield the section on training speed: a table a machine, then the accuracies of whole trainings."""
    recipe = recipe_key()
    found = [
        cell for cell in cells("train-speed") if all(cell["key"].get(name) == value for name, value in recipe.items())
    ]
    if not found:
        return
    width = 384  # of the backbone they share
    ours, cached = (peak_rate(config.optimizer, config.adapter, width) for config in (OURS, CACHED[2]))
    yield from (
        "## Training speed",
        "",
        "`python benchmarks/train_speed.py`: real tokens a second (padding does not count), set-up included, medians of rounds",
        "taken in alternation in one process on Financial PhraseBank sentences; ratios to the tutorial loop. A training takes a",
        "time proportional to its epochs over its tokens a second: the ratio of whole trainings says how many times sooner one",
        "of the same sentences ends, and is the one to go by where epochs differ.",
        "",
        "The loops are different recipes on one backbone, and each difference has its share in the ratio. The tutorial pads every",
        "text to 128 tokens, the others to the batch. The first two take batches of 16, float32 and all weights, at peak learning",
        f"rates of 2e-5 and 5e-5. Ours takes batches of {OURS.batch_size} of like length, bfloat16 with float32 masters where the processor",
        f"multiplies it, frozen embeddings and {_power(ours)}. The cached ones train the top layers alone, at {_power(cached)}, for {CACHED[2].epochs} epochs instead",
        f"of {OURS.epochs}. What these recipes score stands in the table of accuracies, for those measured.",
        "",
    )
    for cell in found:
        result = cell["result"]
        peak = result["peak_gflops"]
        n, rows = cell["key"]["rounds"], cell["key"]["rows"]
        order = "with another first in each" if result.get("order") == "rotated" else "each in the order of the table"
        yield (
            f"{cell['hardware']['processor']}, {result['threads']} threads, oneDNN instruction set: {result['isa']}; matrix "
            f"peak {peak['float32']:.0f} (float32) and {peak['bfloat16']:.0f} (bfloat16) GFLOP/s. {n} rounds of "
            f"{rows} sentences, {order}."
        )
        yield from (
            "",
            "| loop | epochs | tokens/s | ratio | ratio, lowest to highest round | ratio of a whole training | useful work, share of that peak |",
            "|---|---:|---:|---:|---|---:|---:|",
        )
        epochs = {contender.title: contender.epochs for contender in CONTENDERS}
        tutorial = CONTENDERS[0]
        for title, median in result["median"].items():
            rounds = result["ratios_by_round"][title]
            share = 100 * result["share_of_peak"][title]
            yield (
                f"| {title} | {epochs[title]} | {median:,} | {result['ratio'][title]} | {min(rounds)} to {max(rounds)} "
                f"| {result['ratio'][title] * tutorial.epochs / epochs[title]:.2f} | {share:.0f} % |"
            )
        yield ""
    yield from _speed_accuracy()


def _power(rate: float) -> str:
    return f"{rate:.0e}".replace("e-0", "e-")


def _speed_accuracy() -> Iterator[str]:
    rows, split, groups = accuracy_split()
    outputs = {
        contender.title: np.asarray(cell["result"]["outputs"])
        for contender in CONTENDERS
        if (cell := stored("train-accuracy", accuracy_key(contender, rows, split))) is not None
    }
    tutorial = outputs.get(CONTENDERS[0].title)
    if tutorial is None:
        return
    contract, targets = rows.card.contract, rows.take(split.test).targets()
    yield from (
        f"Accuracy of whole trainings on one grouped split, {len(targets):,} test sentences (`--accuracy`); differences to",
        "the tutorial loop with 95 % intervals from resampled near-duplicate groups.",
        "",
        "| loop | accuracy | difference |",
        "|---|---:|---|",
    )
    for contender in CONTENDERS:
        found = outputs.get(contender.title)
        if found is None:
            continue
        against = compare(contract, targets, found, tutorial, groups=groups[split.test], metric="accuracy")
        gap = f"{100 * against.difference:+.1f} ({100 * against.low:+.1f} to {100 * against.high:+.1f})"
        score = 100 * accuracy(targets, answers(contract, found))
        yield f"| {contender.title} | {score:.1f} | {'' if found is tutorial else gap} |"
    yield ""


def _hardware(used: list[dict[str, Any]]) -> Iterator[str]:
    machines: Counter[str] = Counter()
    for cell in used:
        hardware = cell["hardware"]
        machines[f"{hardware['processor']}, {hardware['cores']} cores, {' '.join(hardware['flags'])}"] += 1
    yield from (
        "## Where this was measured",
        "",
        f"{len(used)} cells stand in `benchmarks/results`, each counted once:",
        "",
    )
    for name, count in machines.most_common():
        yield f"- {count} on {name}"
    yield ""
    yield "Minutes are wall time and were often shared with other work on the machine; only the ratios above are timings."


def _every_cell() -> list[dict[str, Any]]:
    folders = sorted(path for path in RESULTS.iterdir() if path.is_dir())
    return [cell for folder in folders for cell in cells(folder.name)]


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")


if __name__ == "__main__":
    main()
