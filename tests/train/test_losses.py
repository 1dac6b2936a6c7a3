from math import exp, log

import pytest
import torch

from rstar.train.losses import bradley_terry, masked_nll


def test_masked_nll_counts_labelled_tokens_only() -> None:
    # Two positions are labelled; the one at position 0 has nothing before it to be predicted from.
    logits = torch.tensor([[[log(1.0), log(3.0)], [log(1.0), log(1.0)], [9.0, -9.0]]])
    labels = torch.tensor([[1, 1, 0]])
    assert masked_nll(logits, labels).item() == pytest.approx((log(4 / 3) + log(2)) / 2)
    assert masked_nll(logits, torch.tensor([[1, -100, 0]])).item() == pytest.approx(log(2))


def test_masked_nll_is_a_mean_over_tokens_not_over_examples() -> None:
    logits = torch.zeros(2, 4, 5)
    labels = torch.tensor([[0, 1, 2, 3], [0, -100, -100, 3]])
    assert masked_nll(logits, labels).item() == pytest.approx(log(5))
    logits[1, 2, 3] = 20.0
    assert masked_nll(logits, labels).item() == pytest.approx(3 / 4 * log(5), abs=1e-6)


def test_bradley_terry_by_hand() -> None:
    chosen, rejected = torch.tensor([0.5, 0.0]), torch.tensor([-0.5, 0.0])
    one, two = log(1 + exp(-1)), log(2)
    assert bradley_terry(chosen, rejected).item() == pytest.approx((one + two) / 2)
    weighted = bradley_terry(chosen, rejected, torch.tensor([1.0, 0.25]))
    assert weighted.item() == pytest.approx((one + 0.25 * two) / 1.25)


def test_the_scale_of_weights_does_not_matter() -> None:
    chosen, rejected, weight = torch.randn(6), torch.randn(6), torch.rand(6)
    assert bradley_terry(chosen, rejected, weight).item() == pytest.approx(
        bradley_terry(chosen, rejected, 7 * weight).item()
    )


def test_the_least_loss_of_scores_between_minus_one_and_one() -> None:
    assert bradley_terry(torch.tensor([1.0]), torch.tensor([-1.0])).item() == pytest.approx(log(1 + exp(-2)))
