"""The questions that are asked of a text: each task's name, meaning and standard labels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question asked of a text.

    Parameters
    ----------
    name : as it is registered
    question : for people, and the instruction given to a generating model
    labels : the field's usual label names in their order; a data set's own contract always wins
    """

    name: str
    question: str
    labels: tuple[str, ...] = ()


SENTIMENT = Task(
    name="sentiment",
    question="What is the sentiment of this text for an investor?",
    labels=("negative", "neutral", "positive"),
)
TARGET_SENTIMENT = Task(
    name="target-sentiment", question="What is the sentiment of this text towards the named company?"
)
STANCE = Task(
    name="stance",
    question="Is the monetary policy stance of this text dovish, hawkish or neutral?",
    labels=("dovish", "hawkish", "neutral"),
)
TREND = Task(
    name="trend",
    question="Does this text make a rise (bull) or a fall (bear) of the asset more likely?",
    labels=("bear", "bull"),
)
RISK_EVENTS = Task(name="risk-events", question="Which risk events does this text report?")
EMOTION = Task(name="emotion", question="Which emotion does the writer of this text show?")
TOPICS = Task(name="topics", question="Which topics is this text about?")
RELATION = Task(name="relation", question="How are the two named parties related in this text?")
CLASSIFICATION = Task(name="classification", question="Which label fits this text?")
SCORE = Task(name="score", question="Which number fits this text?")
