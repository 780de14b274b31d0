"""A seeded market with text that truly moves it: demos, placebo and known-answer tests.

Its headlines come as labelled data sets too, with unseen sentences in the test part and a known ceiling.
"""

from tapereader.sources.synthetic.datasets import Ceiling, SyntheticDataset, ceiling, load_synthetic
from tapereader.sources.synthetic.market import SyntheticMarket, SyntheticMarketConfig, SyntheticWorld

__all__ = [
    "Ceiling",
    "SyntheticDataset",
    "SyntheticMarket",
    "SyntheticMarketConfig",
    "SyntheticWorld",
    "ceiling",
    "load_synthetic",
]
