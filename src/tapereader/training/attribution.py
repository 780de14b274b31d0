"""Integrated gradients: what every token adds to an answer, with the check that nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tapereader.bundle import Bundle, Calibration, LabelContract
from tapereader.bundle.tokenizer import LocatedChunk
from tapereader.core.errors import BundleError
from tapereader.training.reopening import reopen_network

#: Tokens differentiated at once.
_BUDGET = 4096
_FIRST_STEPS = 32
#: A change of the answer smaller than this is not asked to be explained to a share of itself, but of this: in logits,
#: or in standard deviations of a regression target.
_SMALL = 0.1
#: How far, in probability or standard deviations, the exported network may lie from the one that is differentiated.
_FOREIGN = 0.05
_LEAST = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenAttributions:
    """What the tokens of one text add to one label's score, and how complete that is.

    Parameters
    ----------
    spans : of L tokens of all chunks in the text; None for those that are no part of it
    values : array (L,); 0 where there is no span
    score, baseline_score : of the text, and of the text with every token of it replaced by the baseline's
    gap : absolute difference between the sum of the values and ``score - baseline_score``
    gap_share : ``gap`` as a share of that difference, or of 0.1 where it is smaller
    steps : points of the path
    complete : whether the share is as small as was asked
    """

    spans: tuple[tuple[int, int] | None, ...]
    values: NDArray[np.float64]
    score: float
    baseline_score: float
    gap: float
    gap_share: float
    steps: int
    complete: bool


class IntegratedGradients:
    """Gradients of a label's score, gathered on the way from a text of padding to the text.

    The score is the logit of the label's calibrated probability, as in occlusion: the raw output of a softmax has a
    free number added to all labels. The baseline keeps special tokens, prefix and second text, and has the padding
    token's vector in the place of every token of the text. Every bundle names one, nothing is said by it, and where
    padding, mask and unknown word were measured none was clearly the most faithful. The path is a straight line, its
    points and weights those of Gauss and Legendre; they are doubled until the sum of the
    attributions is what the score gained on the way.

    Parameters
    ----------
    bundle : loaded, one network of an encoder and a head
    most_gap : share of the gained score that may be missing from the sum
    most_steps : points of the path beyond which no more are tried
    threads : processor threads, or None for all this process may use

    Raises
    ------
    BundleError
        If the bundle's network cannot be read for gradients.

    References
    ----------
    Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks, ICML, eq. 1 and prop. 1.
    """

    def __init__(self, bundle: Bundle, *, most_gap: float, most_steps: int, threads: int | None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.bundle = bundle
        self.most_gap = most_gap
        self.most_steps = most_steps
        self._network = reopen_network(bundle)
        self._tokenizer = bundle.tokenizer()
        inner: Any = self._network.backbone
        inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
        self._embedding = inner.get_input_embeddings()
        self._baseline_id = bundle.pad_id

    def attribute(self, text: str, pair: str | None, column: int, *, expected: float) -> TokenAttributions:
        """Return what each token adds to the score of a label.

        Parameters
        ----------
        text, pair : one text, and its second text where the bundle asks about one
        column : position of the label
        expected : the score the exported network gives

        Raises
        ------
        BundleError
            If the network in ``model/`` does not answer as the exported one does.
        """
        pieces = self._tokenizer.locate(text, pair)
        chunks = [_Chunk.of(piece, self._embedding, self._baseline_id) for piece in pieces]
        lengths = torch.tensor([len(piece.chunk.ids) for piece in pieces], dtype=torch.float32)
        shares = lengths / lengths.sum()
        ends = self._scores(self._pooled(chunks, shares, torch.tensor([0.0, 1.0])))[:, column]
        baseline_score, score = map(float, ends)
        self._refuse_foreign(score, expected)
        gain = score - baseline_score
        small = _SMALL * self._unit
        steps = _FIRST_STEPS
        while True:
            values = self._sum(chunks, shares, column, steps)
            gap = abs(float(values.sum()) - gain)
            share = gap / max(abs(gain), small)
            if share <= self.most_gap or 2 * steps > self.most_steps:
                break
            steps *= 2
        return TokenAttributions(
            spans=tuple(span for piece in pieces for span in piece.spans), values=values, score=score,
            baseline_score=baseline_score, gap=gap, gap_share=share, steps=steps, complete=share <= self.most_gap,
        )  # fmt: skip

    def _sum(self, chunks: list[_Chunk], shares: Tensor, column: int, steps: int) -> NDArray[np.float64]:
        points, weights = np.polynomial.legendre.leggauss(steps)
        alphas = torch.tensor((points + 1.0) / 2.0, dtype=torch.float32)
        # The head is linear and chunks are averaged, so a chunk's share of the gradient needs the others' outputs only
        # through their mean: the chunks are differentiated one by one, whatever the length of the text.
        pulls = self._pulls(self._pooled(chunks, shares, alphas), column)
        weighted = pulls * torch.tensor(weights / 2.0, dtype=torch.float32)[:, None]
        found = []
        for chunk, share in zip(chunks, shares, strict=True):
            total = torch.zeros_like(chunk.delta)
            for part in _parts(steps, len(chunk.delta)):
                rows = chunk.rows(alphas[part]).requires_grad_(True)
                pulled = (self._logits(chunk, rows) * weighted[part]).sum() * share
                total += torch.autograd.grad(pulled, rows)[0].sum(dim=0)
            found.append((total.double() * chunk.delta.double()).sum(dim=1))
        return np.asarray(torch.cat(found).numpy(), dtype=np.float64)

    @torch.no_grad()
    def _pooled(self, chunks: list[_Chunk], shares: Tensor, alphas: Tensor) -> Tensor:
        """Return the outputs of the whole text (S, W) at S points of the path."""
        total: Tensor | None = None
        for chunk, share in zip(chunks, shares, strict=True):
            parts = [self._logits(chunk, chunk.rows(alphas[part])) for part in _parts(len(alphas), len(chunk.delta))]
            outputs = torch.cat(parts) * share
            total = outputs if total is None else total + outputs
        assert total is not None  # noqa: S101  (every text has at least one chunk)
        return total

    def _logits(self, chunk: _Chunk, rows: Tensor) -> Tensor:
        inputs = {"inputs_embeds": rows}
        if self._network.takes_type_ids:
            inputs["token_type_ids"] = chunk.type_ids.expand(len(rows), -1)
        mask = torch.ones(rows.shape[:2], dtype=torch.long)
        outputs: Tensor = self._network.head(self._network.embed(mask, **inputs))
        return outputs

    def _pulls(self, pooled: Tensor, column: int) -> Tensor:
        """Return the gradient of the score by the outputs (S, W)."""
        outputs = pooled.detach().requires_grad_(True)
        with torch.enable_grad():
            return torch.autograd.grad(self._scores(outputs)[:, column].sum(), outputs)[0]

    def _scores(self, outputs: Tensor) -> Tensor:
        return score_labels(self.bundle.contract, outputs.double(), self.bundle.calibration)

    @property
    def _unit(self) -> float:
        return self.bundle.calibration.target_scale if self.bundle.contract.kind == "regression" else 1.0

    def _refuse_foreign(self, score: float, expected: float) -> None:
        if self.bundle.contract.kind == "regression":
            apart = abs(score - expected) / self._unit
        else:
            apart = abs(float(np.tanh(score / 2.0) - np.tanh(expected / 2.0))) / 2.0
        if apart > _FOREIGN:
            raise BundleError(
                f"The network in model/ of bundle {self.bundle.id!r} must answer as the exported one does; its score "
                f"is {score:.3f}, and that of the exported one {expected:.3f}. Use the method `occlusion`, which asks "
                "the exported network."
            )


def score_labels(contract: LabelContract, logits: Tensor, calibration: Calibration) -> Tensor:
    """Return the logit of every label's calibrated probability, so that it can be differentiated.

    Parameters
    ----------
    contract : label contract
    logits : tensor (N, W)
    calibration : of the bundle

    Returns
    -------
    tensor (N, C); values of the target for regression
    """
    if contract.kind == "regression":
        return logits * calibration.target_scale + calibration.target_mean
    scaled = logits / calibration.temperature
    if contract.kind == "multi-label":
        return scaled
    if contract.kind == "ordinal":
        above = torch.cummin(torch.sigmoid(scaled), dim=1).values
        ones = torch.ones_like(above[:, :1])
        padded = torch.cat([ones, above, torch.zeros_like(ones)], dim=1)
        inside = (padded[:, :-1] - padded[:, 1:]).clamp(_LEAST, 1.0 - _LEAST)
        return torch.log(inside) - torch.log1p(-inside)
    own = torch.eye(scaled.shape[1], dtype=torch.bool)
    others = scaled[:, None, :].masked_fill(own, -torch.inf)
    return scaled - torch.logsumexp(others, dim=2)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """A chunk's vectors at the start of the path, and the way from there: (L, D) both."""

    baseline: Tensor
    delta: Tensor
    type_ids: Tensor

    @classmethod
    def of(cls, piece: LocatedChunk, embedding: Any, baseline_id: int) -> _Chunk:
        ids = torch.tensor(piece.chunk.ids)
        own = torch.tensor([span is not None for span in piece.spans])
        with torch.no_grad():
            there = embedding(ids).float()
            start = embedding(torch.where(own, torch.full_like(ids, baseline_id), ids)).float()
        return cls(start, there - start, torch.tensor(piece.chunk.type_ids))

    def rows(self, alphas: Tensor) -> Tensor:
        return self.baseline + alphas[:, None, None] * self.delta


def _parts(n: int, length: int) -> Iterator[slice]:
    size = max(1, _BUDGET // max(length, 1))
    return (slice(start, start + size) for start in range(0, n, size))
