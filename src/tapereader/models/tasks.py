"""The questions that are asked of a text: each task's name, meaning and standard labels."""

from __future__ import annotations

from dataclasses import dataclass

from tapereader.bundle import TaskKind
from tapereader.core.errors import ConfigError
from tapereader.core.registry import Registry

#: Where tasks are registered, ours and a stranger's.
GROUP = "tapereader.tasks"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question asked of a text.

    Parameters
    ----------
    name : as it is registered
    question : for people, and the instruction given to a generating model
    kinds : the kinds of answer it can have; a data set says which one its labels are
    labels : the field's usual label names in their order; a data set's own contract always wins
    about_target : whether it is asked about something named beside the text

    Raises
    ------
    ConfigError
        If the question does not end in a question mark, or no kind of answer is given.
    """

    name: str
    question: str
    kinds: tuple[TaskKind, ...] = ("single-label",)
    labels: tuple[str, ...] = ()
    about_target: bool = False

    def __post_init__(self) -> None:
        if not self.question.strip().endswith("?"):
            raise ConfigError(f"The question of task {self.name!r} must end in a question mark; got {self.question!r}.")
        if not self.kinds:
            raise ConfigError(f"Task {self.name!r} must have a kind of answer; got none.")


def find_task(name: str) -> Task:
    """Return the registered task of that name.

    Raises
    ------
    UnknownNameError
        With the known names and the nearest one.

    Examples
    --------
    >>> find_task("stance").labels
    ('dovish', 'hawkish', 'neutral')
    """
    found: Task = Registry(GROUP).find(name)
    return found


def task_names() -> tuple[str, ...]:
    """Return the names of all registered tasks, sorted."""
    return Registry(GROUP).names()


SENTIMENT = Task(
    name="sentiment",
    question="What is the sentiment of this text for an investor?",
    kinds=("single-label", "ordinal", "regression", "multi-label"),
    labels=("negative", "neutral", "positive"),
)
TARGET_SENTIMENT = Task(
    name="target-sentiment",
    question="What is the sentiment of this text towards the named company?",
    kinds=("regression", "single-label", "ordinal"),
    labels=("negative", "neutral", "positive"),
    about_target=True,
)
STANCE = Task(
    name="stance",
    question="Is the monetary policy stance of this text dovish, hawkish or neutral?",
    kinds=("single-label", "ordinal"),
    labels=("dovish", "hawkish", "neutral"),
)
TREND = Task(
    name="trend",
    question="Does this text make a rise (bull) or a fall (bear) of the asset more likely?",
    labels=("bear", "bull"),
)
RISK_EVENTS = Task(
    name="risk-events",
    question="Which risk events does this text report?",
    kinds=("multi-label", "single-label"),
)
EMOTION = Task(
    name="emotion",
    question="Which emotion does the writer of this text show?",
    kinds=("single-label", "multi-label"),
)
TOPICS = Task(name="topics", question="Which topics is this text about?", kinds=("multi-label", "single-label"))
RELATION = Task(name="relation", question="How are the two named parties related in this text?", about_target=True)
ADVERSE_MEDIA = Task(
    name="adverse-media",
    question="Does this text report misconduct that a bank must know of before it deals with the one it names?",
)
COMMODITY_NEWS = Task(
    name="commodity-news",
    question="What does this text say about the price of the commodity?",
    kinds=("multi-label", "single-label"),
)
CREDIT_RISK = Task(
    name="credit-risk",
    question="Does this text make it less likely that the borrower pays?",
    labels=("neutral", "positive", "risky"),
)
NEGATIVE_NEWS = Task(
    name="negative-news",
    question="Is this text bad news for one of those it names?",
    labels=("not-negative", "negative"),
)
CLASSIFICATION = Task(name="classification", question="Which label fits this text?", kinds=("single-label", "ordinal"))
MULTI_LABEL = Task(name="multi-label", question="Which labels fit this text?", kinds=("multi-label",))
REGRESSION = Task(name="regression", question="Which number fits this text?", kinds=("regression",))
