"""The losses as plain functions of tensors: what the trainers minimise, in a form that can be checked by hand.

Suffixes: B examples, T positions, V vocabulary, N pairs.
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
    """-E_w[log sigma(r_chosen - r_rejected)], the mean weighted by `weight` (Bradley and Terry 1952; rStar-Math eq. 3).

    All three are (N,); without weights every pair counts the same.
    """
    loss = -functional.logsigmoid(chosen - rejected)
    weight = torch.ones_like(loss) if weight is None else weight
    return (weight * loss).sum() / weight.sum()
