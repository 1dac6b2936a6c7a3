"""The losses as plain functions of tensors: what the trainers minimise, in a form that can be checked by hand.

Those of value models are means weighted by `weight`; without weights every example counts the same.

Suffixes: B examples, T positions, V vocabulary, N pairs or steps.
"""

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -100
"""The label of a token that carries no loss."""


def masked_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over all labelled tokens of -log p(token | tokens before it).

    `logits` is (B, T, V), `labels` (B, T) with -100 where there is no loss; position t is predicted from t-1.
    """
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


def bradley_terry(chosen: Tensor, rejected: Tensor, weight: Tensor | None = None) -> Tensor:
    """-E_w[log sigma(r_chosen - r_rejected)] (Bradley and Terry 1952; rStar-Math eq. 3).

    All three are (N,).
    """
    return _mean(-functional.logsigmoid(chosen - rejected), weight)


def squared_error(scores: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """E_w[(score - label)^2], all (N,) and in [-1, 1]."""
    return _mean((scores - labels) ** 2, weight)


def binary_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """-E_w[y log p + (1 - y) log(1 - p)] with p = (1 + tanh(logit)) / 2 and y = (1 + label) / 2.

    So the served score tanh(logit) is 2 p - 1 (Math-Shepherd, eq. 2, with p for its sigmoid). All are (N,), labels in
    [-1, 1].
    """
    # (1 + tanh z) / 2 = sigma(2 z): the same p without the rounding of tanh near its ends.
    loss = functional.binary_cross_entropy_with_logits(2 * logits, (1 + labels) / 2, reduction="none")
    return _mean(loss, weight)


def three_class_cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """-E_w[log p(label)], `logits` (N, 3) for bad, neutral and good, `labels` (N,) of -1, 0 and 1."""
    return _mean(functional.cross_entropy(logits, labels.round().long() + 1, reduction="none"), weight)


def _mean(loss: Tensor, weight: Tensor | None) -> Tensor:
    weight = torch.ones_like(loss) if weight is None else weight
    return (weight * loss).sum() / weight.sum()
