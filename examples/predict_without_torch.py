"""Ask a finished bundle, with the core install alone: no torch, no transformers.

python examples/predict_without_torch.py runs/own "Sales fell 12 % and the company cut its outlook"
"""

from __future__ import annotations

import argparse
import sys

from tapereader import Engine


def main() -> None:
    """Write label, calibrated probabilities and the labels that cannot be excluded, one text a line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("bundle", help="folder that a training wrote")
    options.add_argument("texts", nargs="+")
    asked = options.parse_args()

    engine = Engine(asked.bundle)  # checks every file's hash and a few sentences with known answers
    for text, found in zip(asked.texts, engine.predict(asked.texts), strict=True):
        sure = dict(zip(engine.bundle.contract.names, found.probabilities, strict=True))
        shown = ", ".join(f"{name} {share:.0%}" for name, share in sure.items())
        print(f"{found.label}: {shown}; cannot exclude {'|'.join(found.prediction_set) or 'any'}: {text}")
    assert not {"torch", "transformers"} & set(sys.modules), "nothing above needs a deep-learning library"


if __name__ == "__main__":
    main()
