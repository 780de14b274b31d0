"""What a training leaves behind in its bundle: weights, graph, card, plots, numbers and terms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tapereader.bundle import ContractFacts, SanitySentence, decode
from tapereader.engine import Engine
from tapereader.governance import model_card
from tapereader.governance.facts import ModelFacts
from tapereader.reports import model_charts, to_svg
from tapereader.sources import LabelledText
from tapereader.training.experiment import Trial
from tapereader.training.export import export_onnx, save_weights

#: Sentences of our own whose answers are stored in each bundle and asked again whenever it is opened.
_SANITY = {
    "en": (
        "Operating profit rose to EUR 13.1 mn from EUR 8.7 mn a year earlier.",
        "The company issued a profit warning and suspended its dividend.",
        "The annual general meeting will be held in the company's head office in May.",
        "Net loss narrowed, but sales missed the analysts' expectations.",
        "The board did not rule out a rights issue.",
    ),
    "zh": (
        "公司上半年净利润同比增长35%，超出市场预期。",
        "公司因涉嫌信息披露违规被证监会立案调查。",
        "股东大会将于五月在公司总部召开。",
        "亏损收窄，但营业收入不及预期。",
        "公司否认了破产重整的传闻。",
    ),
}
_SANITY_PAIR = "ACME"
#: What of the facts goes into ``evaluation.json``.
_NUMBERS = ("evaluation", "baselines", "before", "comparisons", "slices", "split", "int8")


def write_parts(folder: Path, *, trial: Trial, labelled: LabelledText) -> None:
    """Write weights and graph of a trained network."""
    save_weights(trial.model, labelled.card.contract, folder / "model")
    export_onnx(trial.model, folder / "onnx" / "model.onnx")


def fill_bundle(folder: Path, parts: Path, *, config_yaml: str, facts: ModelFacts) -> None:
    """Write everything of a bundle that is not its contract, calibration and manifest.

    Parameters
    ----------
    folder : of the bundle
    parts : holds weights and graphs
    config_yaml, facts : as in :func:`fill_documents`
    """
    shutil.copytree(parts, folder, dirs_exist_ok=True)
    fill_documents(folder, config_yaml=config_yaml, facts=facts)


def fill_documents(folder: Path, *, config_yaml: str, facts: ModelFacts) -> None:
    """Write config, scores, card, terms and plots."""
    (folder / "config.yaml").write_text(config_yaml, encoding="utf-8")
    # Numbers only: the words of a data set are not ours to pass on with a model.
    numbers = {key: value for key, value in facts.items() if key in _NUMBERS}
    (folder / "evaluation.json").write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    plots = _plots(folder / "plots", facts)
    (folder / "README.md").write_text(model_card(facts, plots=plots), encoding="utf-8")
    (folder / "licences.txt").write_text(_licences(facts), encoding="utf-8")


def _plots(folder: Path, facts: ModelFacts) -> list[str]:
    """Draw the charts where the extra `report` is installed; a bundle without pictures is whole all the same."""
    if find_spec("matplotlib") is None:
        return []
    folder.mkdir()
    drawn = model_charts(facts)
    for name, figure in drawn.items():
        (folder / f"{name}.svg").write_text(to_svg(figure, name=name), encoding="utf-8")
    return list(drawn)


def contract_facts(labelled: LabelledText, trial: Trial) -> ContractFacts:
    """Return what a reader of the bundle must know, with the sanity sentences answered by the network just trained."""
    card, model = labelled.card, trial.model
    texts = [*_SANITY["zh" if card.language == "zh" else "en"]]
    pairs = [_SANITY_PAIR] * len(texts) if labelled.pairs is not None else None
    outputs = decode(card.contract, model.logits(texts, pairs), trial.calibration)
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    scale = trial.calibration.target_scale if card.contract.kind == "regression" else 1.0
    return ContractFacts(
        contract=card.contract,
        task=card.task,
        language=card.language,
        has_pair=pairs is not None,
        max_length=model.config.max_length,
        prefix=model.resolved.backbone.prefix,
        pooling=model.network.pooling,
        sanity=tuple(
            SanitySentence(text=text, pair=_SANITY_PAIR if pairs else None, outputs=tuple(float(v) for v in row))
            for text, row in zip(texts, outputs, strict=True)
        ),
        outputs_tolerance=1e-3 * scale,
    )


def example_answers(engine: Engine) -> list[Mapping[str, Any]]:
    """Return what a finished bundle says of the sanity sentences, read as every user will read it."""
    facts = engine.bundle.facts
    texts = [sentence.text for sentence in facts.sanity]
    pairs = [sentence.pair or "" for sentence in facts.sanity] if facts.has_pair else None
    return [
        {
            "text": text, "pair": None if pairs is None else pairs[n], "answer": found.label,
            "probabilities": list(found.probabilities),
            "value": found.value, "prediction_set": list(found.prediction_set), "abstained": found.abstained,
        }
        for n, (text, found) in enumerate(zip(texts, engine.predict(texts, pairs), strict=True))
    ]  # fmt: skip


def _licences(facts: ModelFacts) -> str:
    lines = ["What this model was made from, and on what terms.", ""]
    for item in facts["manifest"]["licences"]:
        commercial = {True: "allowed", False: "FORBIDDEN", None: "not stated"}[item.get("commercial_use")]
        lines += [f"{item['of']}: {item['name']}; commercial use {commercial}", f"  {item.get('source', '')}"]
    return "\n".join(lines) + "\n"
