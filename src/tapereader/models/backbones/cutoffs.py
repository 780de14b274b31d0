"""How late the text of well-known published networks can be: a curated table of hub ids.

Every date is an upper bound, never an estimate. Even where the authors date their corpora, the bound is the release:
what a model card says about pretraining text leaves out what the network was tuned on. A network that is not here has
no bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class HubFacts:
    """What is known of a hub id without asking the hub.

    Parameters
    ----------
    cutoff : latest possible day of its text
    note : where the date comes from, and what else a judge of results must know
    licence : as stated by its publisher, or ``not stated``
    languages : ISO 639-1 codes
    """

    cutoff: date
    note: str
    licence: str
    languages: tuple[str, ...] = ("en",)


_APACHE = "Apache-2.0"
_MANY = ("en", "zh", "de", "fr", "es", "ja", "ko", "ru")


def _facts(year: int, month: int, day: int, note: str, licence: str, languages: tuple[str, ...] = ("en",)) -> HubFacts:
    return HubFacts(cutoff=date(year, month, day), note=note, licence=licence, languages=languages)


# Facts, then the ids they hold for.
_GROUPS: tuple[tuple[HubFacts, tuple[str, ...]], ...] = (
    (
        _facts(2018, 11, 30, "month of release; Wikipedia and BookCorpus", _APACHE),
        (
            "google-bert/bert-base-cased",
            "google-bert/bert-base-uncased",
            "google-bert/bert-large-cased",
            "google-bert/bert-large-uncased",
        ),
    ),
    (
        _facts(2018, 11, 30, "month of release; Wikipedia in 104 languages", _APACHE, _MANY),
        ("google-bert/bert-base-multilingual-cased",),
    ),
    (
        _facts(2018, 11, 30, "month of release; Chinese Wikipedia", _APACHE, ("zh",)),
        ("google-bert/bert-base-chinese",),
    ),
    (
        _facts(
            2019,
            8,
            31,
            "month of the paper; BERT, Reuters TRC2 (2008 to 2010), then Financial PhraseBank itself: scores on that "
            "set are contaminated",
            "not stated",
        ),
        ("ProsusAI/finbert",),
    ),
    (
        _facts(2020, 6, 30, "month of the paper; company reports, calls and analyst reports to 2019", "not stated"),
        ("yiyanghkust/finbert-pretrain", "yiyanghkust/finbert-tone"),
    ),
    (
        _facts(2019, 7, 31, "month of release; CC-News to February 2019, OpenWebText, Wikipedia, books", "MIT"),
        ("FacebookAI/roberta-base", "FacebookAI/roberta-large"),
    ),
    (
        _facts(2019, 11, 30, "month of release; CC-100, web text of 2018", "MIT", _MANY),
        ("FacebookAI/xlm-roberta-base", "FacebookAI/xlm-roberta-large"),
    ),
    (
        _facts(2020, 3, 31, "no later than the paper's last revision; the text of BERT", _APACHE),
        ("distilbert/distilbert-base-cased", "distilbert/distilbert-base-uncased"),
    ),
    (
        _facts(2019, 12, 31, "year of release; OpenWebText", _APACHE),
        ("distilbert/distilgpt2", "distilbert/distilroberta-base"),
    ),
    (_facts(2020, 1, 31, "month of release; the text of BERT", _APACHE), ("albert/albert-base-v2",)),
    (
        _facts(2020, 3, 31, "month of release; the text of BERT", _APACHE),
        ("google/electra-base-discriminator", "google/electra-small-discriminator"),
    ),
    (
        _facts(2020, 12, 31, "year of release; 160 GB of text as for RoBERTa", "not stated"),
        ("microsoft/mpnet-base",),
    ),
    (
        _facts(2021, 12, 31, "year of release; 160 GB of text as for RoBERTa", "MIT"),
        (
            "microsoft/deberta-v3-base",
            "microsoft/deberta-v3-large",
            "microsoft/deberta-v3-small",
            "microsoft/deberta-v3-xsmall",
        ),
    ),
    (
        _facts(2024, 12, 31, "month of release; web text, code and papers", _APACHE),
        ("answerdotai/ModernBERT-base", "answerdotai/ModernBERT-large"),
    ),
    (
        _facts(2021, 8, 31, "month of release; sentence pairs from Reddit, Stack Exchange, papers", _APACHE),
        ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-mpnet-base-v2"),
    ),
    (
        _facts(2023, 6, 30, "month after release; mC4, CCNews, Wikipedia, NLLB and Reddit pairs", "MIT", _MANY),
        ("intfloat/multilingual-e5-base", "intfloat/multilingual-e5-small"),
    ),
    (_facts(2023, 6, 30, "month after release; web text pairs", "MIT"), ("intfloat/e5-small-v2",)),
    (
        _facts(2023, 9, 30, "month of release; nothing closer is stated", "MIT"),
        ("BAAI/bge-base-en-v1.5", "BAAI/bge-small-en-v1.5"),
    ),
    (
        _facts(2023, 9, 30, "month of release; nothing closer is stated", "MIT", ("zh",)),
        ("BAAI/bge-base-zh-v1.5", "BAAI/bge-small-zh-v1.5"),
    ),
    (
        _facts(2019, 9, 30, "month of release; Chinese Wikipedia, news, questions and answers", _APACHE, ("zh",)),
        ("hfl/chinese-bert-wwm-ext", "hfl/chinese-roberta-wwm-ext"),
    ),
    (
        _facts(2020, 11, 30, "month of release; Chinese Wikipedia, news, questions and answers", _APACHE, ("zh",)),
        ("hfl/chinese-macbert-base",),
    ),
    (
        _facts(2019, 11, 30, "month of the last size's release; WebText, links to December 2017", "MIT"),
        (
            "openai-community/gpt2",
            "openai-community/gpt2-large",
            "openai-community/gpt2-medium",
            "openai-community/gpt2-xl",
        ),
    ),
    (
        _facts(2019, 10, 31, "month of release; C4, the web of April 2019", _APACHE, ("en", "de", "fr")),
        ("google-t5/t5-base", "google-t5/t5-small"),
    ),
    (
        _facts(2020, 11, 30, "month after release; C4, the web of April 2019", _APACHE),
        ("google/t5-v1_1-base", "google/t5-v1_1-small"),
    ),
    (
        _facts(2022, 10, 31, "month of release; C4, then instructions", _APACHE, _MANY),
        ("google/flan-t5-base", "google/flan-t5-small"),
    ),
    (
        _facts(2020, 11, 30, "month after release; mC4", _APACHE, _MANY),
        ("google/mt5-base", "google/mt5-small"),
    ),
    (
        _facts(2020, 6, 30, "no later than the conference of its paper; 160 GB of text as for RoBERTa", _APACHE),
        ("facebook/bart-base", "facebook/bart-large"),
    ),
    (
        _facts(2020, 12, 31, "day on which its text, the Pile, was published", _APACHE),
        ("EleutherAI/pythia-160m", "EleutherAI/pythia-70m"),
    ),
    (
        _facts(2024, 9, 30, "month of release; nothing closer is stated", _APACHE, _MANY),
        (
            "Qwen/Qwen2.5-0.5B",
            "Qwen/Qwen2.5-0.5B-Instruct",
            "Qwen/Qwen2.5-1.5B",
            "Qwen/Qwen2.5-1.5B-Instruct",
        ),
    ),
    (
        _facts(2025, 5, 31, "month after release; nothing closer is stated", _APACHE, _MANY),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B-Base", "Qwen/Qwen3-1.7B", "Qwen/Qwen3-1.7B-Base"),
    ),
    (
        _facts(
            2024,
            9,
            30,
            "month of release; the card states December 2023 for pretraining, tuning text may be later",
            "Llama 3.2 Community License",
            _MANY,
        ),
        ("meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.2-1B-Instruct"),
    ),
    (
        _facts(2025, 2, 28, "month of the paper; web text, code and instructions", _APACHE),
        (
            "HuggingFaceTB/SmolLM2-135M",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "HuggingFaceTB/SmolLM2-360M",
            "HuggingFaceTB/SmolLM2-360M-Instruct",
        ),
    ),
    (
        _facts(
            2025,
            8,
            31,
            "month of release; the card states August 2024 for pretraining, tuning text may be later",
            "Gemma terms of use",
            _MANY,
        ),
        ("google/gemma-3-270m", "google/gemma-3-270m-it"),
    ),
)

HUB_FACTS: dict[str, HubFacts] = {name: facts for facts, names in _GROUPS for name in names}

#: Ids as they were written before every network had an owner: ``bert-base-uncased``, ``gpt2``, ``t5-small``.
OLD_IDS: dict[str, str] = {
    name.partition("/")[2]: name
    for name in HUB_FACTS
    if name.partition("/")[0] in ("google-bert", "FacebookAI", "distilbert", "albert", "openai-community", "google-t5")
}
