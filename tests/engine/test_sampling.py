"""A nucleus is the same whether a few of the weights are looked at or all of them."""

import pytest
import torch

from rstar.engine.sampling import _nucleus, _sorted_nucleus


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("spread", [0.1, 1.0, 6.0])
@pytest.mark.parametrize("vocabulary", [3, 64, 65, 700])
def test_a_nucleus_is_that_of_all_weights_in_order(vocabulary, spread, top_p):
    generator = torch.Generator().manual_seed(7)
    weight = (torch.randn(60, vocabulary, dtype=torch.float64, generator=generator) * spread).exp()
    weight[::3] = weight[::3].round(decimals=1).clamp(min=0.1)  # many equals, also at the edge
    weight[1] = 1.0
    weight[2, 1:] = 0.0
    weight[2, 0] = 1.0
    enough = top_p * weight.sum(-1)
    found = _nucleus(weight, enough)
    assert torch.equal(found, _sorted_nucleus(weight, enough))
    assert (found.sum(-1) >= enough * (1 - 1e-12)).all()
    assert (found > 0).any(-1).all()
