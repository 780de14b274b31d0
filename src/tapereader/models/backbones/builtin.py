"""The backbones that the package knows how to get; each is registered as an entry point."""

from __future__ import annotations

from datetime import date

from tapereader.models.backbones.records import Backbone
from tapereader.models.weights import E5_SMALL_WEIGHTS, MINILM_WEIGHTS, MPNET_WEIGHTS, SMOLLM2_WEIGHTS

MINILM = Backbone(
    name="minilm",
    title="all-MiniLM-L6-v2: small and fast, English",
    kind="encoder",
    parameters=22_713_216,
    languages=("en",),
    licence=MINILM_WEIGHTS.licence,
    pretraining_cutoff=date(2021, 8, 31),
    cutoff_note="month of release; Wikipedia, books and a billion sentence pairs (Reddit, Stack Exchange, papers)",
    source=MINILM_WEIGHTS,
)

MPNET = Backbone(
    name="mpnet",
    title="all-mpnet-base-v2: the quality choice, English",
    kind="encoder",
    parameters=109_486_464,
    languages=("en",),
    licence=MPNET_WEIGHTS.licence,
    pretraining_cutoff=date(2021, 8, 31),
    cutoff_note="month of release; 160 GB of web text and news, then the sentence pairs of MiniLM",
    source=MPNET_WEIGHTS,
)

MULTILINGUAL_E5_SMALL = Backbone(
    name="multilingual-e5-small",
    title="multilingual-e5-small from 4-bit weights: Chinese, English and a hundred more",
    kind="encoder",
    parameters=117_505_920,
    languages=("zh", "en", "de", "fr", "es", "ja", "ko", "ru"),
    licence=E5_SMALL_WEIGHTS.licence,
    pretraining_cutoff=date(2023, 6, 30),
    cutoff_note="month after release; CC-100, then mC4, CCNews, Wikipedia, NLLB and Reddit pairs",
    source=E5_SMALL_WEIGHTS,
    prefix="query: ",
)

SMOLLM2_135M = Backbone(
    name="smollm2-135m",
    title="SmolLM2-135M-Instruct from 4-bit weights: a small generating model, English",
    kind="decoder",
    parameters=134_515_008,
    languages=("en",),
    licence=SMOLLM2_WEIGHTS.licence,
    pretraining_cutoff=date(2025, 2, 7),
    cutoff_note="day on which the weight file was packaged; web text, code and instructions, 2024 and before",
    source=SMOLLM2_WEIGHTS,
    max_tokens=8192,
)
