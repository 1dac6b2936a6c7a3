from math import exp, log

import pytest
import torch

from rstar.train.losses import (
    binary_cross_entropy,
    bradley_terry,
    masked_nll,
    squared_error,
    three_class_cross_entropy,
)


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


def test_squared_error_by_hand() -> None:
    scores, labels = torch.tensor([0.5, -0.25]), torch.tensor([1.0, -1.0])
    assert squared_error(scores, labels).item() == pytest.approx((0.5**2 + 0.75**2) / 2)
    weighted = squared_error(scores, labels, torch.tensor([3.0, 1.0]))
    assert weighted.item() == pytest.approx((3 * 0.25 + 0.5625) / 4)


def test_binary_cross_entropy_by_hand() -> None:
    # p = (1 + tanh z) / 2: at tanh z = 0.5 it is 3/4. Labels 1 and 0 are y = 1 and 1/2.
    z = torch.atanh(torch.tensor([0.5, 0.5]))
    labels = torch.tensor([1.0, 0.0])
    one, two = -log(3 / 4), -(log(3 / 4) + log(1 / 4)) / 2
    assert binary_cross_entropy(z, labels).item() == pytest.approx((one + two) / 2)
    assert binary_cross_entropy(z, labels, torch.tensor([1.0, 3.0])).item() == pytest.approx((one + 3 * two) / 4)
    assert binary_cross_entropy(torch.tensor([50.0]), torch.tensor([-1.0])).item() == pytest.approx(100)


def test_binary_cross_entropy_is_least_where_the_score_is_the_label() -> None:
    label = torch.tensor([0.3])
    z = torch.atanh(label).requires_grad_()
    binary_cross_entropy(z, label).backward()
    assert z.grad is not None
    assert z.grad.item() == pytest.approx(0, abs=1e-6)


def test_three_class_cross_entropy_by_hand() -> None:
    # Odds 1 : 2 : 5 of bad, neutral and good.
    logits = torch.tensor([[0.0, log(2), log(5)]] * 3)
    labels = torch.tensor([-1.0, 0.0, 1.0])
    losses = [log(8), log(4), log(8 / 5)]
    assert three_class_cross_entropy(logits, labels).item() == pytest.approx(sum(losses) / 3)
    weighted = three_class_cross_entropy(logits, labels, torch.tensor([0.0, 1.0, 3.0]))
    assert weighted.item() == pytest.approx((losses[1] + 3 * losses[2]) / 4)
