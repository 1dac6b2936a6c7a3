# ruff: noqa: N803, N806
"""Drawing tokens so that a sample is a function of its call alone: one stream of numbers each, inverted in float64."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstar.errors import RolloutError

_LIKELIEST = 64
"""Tokens among which a nucleus is looked for first."""


def uniforms(seed: int, n: int, length: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) (n, length): row i is the start of the stream of (seed, i), whatever n and length are."""
    rows = np.empty((n, length))
    for i in range(n):
        np.random.Generator(np.random.Philox(key=(i << 64) | (seed & (1 << 64) - 1))).random(out=rows[i])
    return rows


def draw(
    logits_RV: Tensor, uniform_R: Tensor, temperature_R: Tensor, top_p_R: Tensor, *, nucleus: bool = True
) -> tuple[Tensor, Tensor]:
    """One token a row by inverting the distribution function at `uniform_R`, and its untempered log-probability.

    All in float64. Temperature 0 takes the likeliest token; top-p keeps the fewest likeliest tokens that reach it.
    """
    logp_RV = logits_RV.double().log_softmax(-1)
    greedy_R = temperature_R == 0
    top_R = logp_RV.max(-1)
    if not torch.isfinite(top_R.values).all():
        raise RolloutError("engine", "the model's logits are not finite")
    scale_R = torch.where(greedy_R, 1.0, temperature_R)
    weight_RV = ((logp_RV - top_R.values[:, None]) / scale_R[:, None]).exp_()
    if nucleus:
        weight_RV = _nucleus(weight_RV, top_p_R * weight_RV.sum(-1))
    below_RV = weight_RV.cumsum(-1)
    total_R = below_RV[:, -1]
    # Strictly below the total, so that the first entry above it exists and has weight.
    at_R = torch.minimum(uniform_R * total_R, torch.nextafter(total_R, torch.zeros_like(total_R)))
    token_R = torch.searchsorted(below_RV, at_R[:, None], right=True)[:, 0]
    token_R = torch.where(greedy_R, top_R.indices, token_R)
    return token_R, logp_RV.gather(1, token_R[:, None])[:, 0]


def _nucleus(weight_RV: Tensor, enough_R: Tensor) -> Tensor:
    """The weights with 0 for all but the fewest largest of each row that reach `enough`; of equal ones the first go.

    A nucleus is small: only rows whose `_LIKELIEST` largest weights are not enough, or which have equals at the edge,
    are sorted whole.
    """
    if weight_RV.shape[1] <= _LIKELIEST:
        return _sorted_nucleus(weight_RV, enough_R)
    top_RK = weight_RV.topk(_LIKELIEST, dim=-1).values
    kept_R = (top_RK.cumsum(-1) - top_RK < enough_R[:, None]).sum(-1).clamp(min=1)
    edge_R = top_RK.gather(1, kept_R[:, None] - 1)
    next_R = top_RK.gather(1, kept_R[:, None].clamp(max=_LIKELIEST - 1))
    nucleus_RV = weight_RV.masked_fill(weight_RV < edge_R, 0.0)
    whole_R = (kept_R == _LIKELIEST) | (next_R == edge_R)[:, 0]
    if whole_R.any():
        nucleus_RV[whole_R] = _sorted_nucleus(weight_RV[whole_R], enough_R[whole_R])
    return nucleus_RV


def _sorted_nucleus(weight_RV: Tensor, enough_R: Tensor) -> Tensor:
    sorted_RV, order_RV = weight_RV.sort(stable=True, dim=-1, descending=True)
    out_RV = sorted_RV.cumsum(-1) - sorted_RV >= enough_R[:, None]
    out_RV[:, 0] = False
    return weight_RV.masked_fill(torch.zeros_like(out_RV).scatter_(1, order_RV, out_RV), 0.0)
