from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim import Muon as TorchMuon
from torch.optim.lr_scheduler import LambdaLR

from rstar.train.optim import Muon, muon_with_adamw, orthogonal


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 6)
        self.norm = nn.LayerNorm(6)
        self.lm_head = nn.Linear(6, 7, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.lm_head(self.norm(self.hidden(self.embed(ids))))
        return out


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def backward(model: nn.Module, steps: int, seed: int = 0) -> Iterator[None]:
    rng = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        model.zero_grad()
        ids = torch.randint(7, (5,), generator=rng)
        nn.functional.cross_entropy(model(ids), ids).backward()
        yield


def test_it_steps_as_its_two_parts_would_apart() -> None:
    one, two = net(), net()
    both = muon_with_adamw(one, lr=0.01, weight_decay=0.1)
    muon = Muon([two.hidden.weight], lr=0.05, weight_decay=0.1)
    tables = AdamW([two.embed.weight, two.lm_head.weight], lr=0.01, weight_decay=0.1)
    vectors = AdamW([two.hidden.bias, *two.norm.parameters()], lr=0.01, weight_decay=0.0)
    for _ in backward(one, 3):
        both.step()
    for _ in backward(two, 3):
        muon.step()
        tables.step()
        vectors.step()
    for mine, theirs in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_muon_steps_as_torch_does_but_for_bfloat16() -> None:
    shapes = [(6, 4), (4, 6), (5, 5), (6, 4), (5, 5)]
    torch.manual_seed(0)
    mine = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(p.detach().clone()) for p in mine]
    ours, reference = Muon(mine, lr=0.1, weight_decay=0.1), TorchMuon(theirs, lr=0.1, weight_decay=0.1)
    for _ in range(4):
        for one, other in zip(mine, theirs, strict=True):
            one.grad = torch.randn(one.shape)
            other.grad = one.grad.clone()
        ours.step()
        reference.step()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=0.1 * 4 * 2e-2, rtol=0)


def test_an_update_has_singular_values_near_one_and_keeps_its_directions() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, 8, 20)
    made = orthogonal(matrices)
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.5
    assert values.max() < 1.3
    assert torch.allclose(orthogonal(matrices.mT), made.mT, atol=1e-4)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    assert torch.allclose(
        left.mT @ made @ right.mT, torch.diag_embed((left.mT @ made @ right.mT).diagonal(0, 1, 2)), atol=1e-4
    )


def test_a_schedule_moves_all_groups_and_keeps_the_ratio() -> None:
    model = net()
    optimizer = muon_with_adamw(model, lr=0.01, weight_decay=0.0)
    schedule = LambdaLR(optimizer, lambda step: 1 / (step + 1))
    for _ in backward(model, 1):
        optimizer.step()
        schedule.step()
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.005, 0.005, 0.025]


def test_a_saved_state_goes_on_as_if_nothing_had_happened() -> None:
    model = net()
    optimizer = muon_with_adamw(model, lr=0.01, weight_decay=0.1)
    for _ in backward(model, 2):
        optimizer.step()
    twin = net()
    twin.load_state_dict(model.state_dict())
    other = muon_with_adamw(twin, lr=0.01, weight_decay=0.1)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    for _ in backward(model, 2, seed=1):
        optimizer.step()
    for _ in backward(twin, 2, seed=1):
        other.step()
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs)
