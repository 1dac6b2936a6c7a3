"""Muon for the hidden matrices and AdamW for all else, as one optimizer that any trainer and scheduler accepts."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

MUON_RATE = 5.0
"""Muon's learning rate as a multiple of AdamW's: its updates are orthogonal matrices, not signs."""
HEADS = ("lm_head", "score")


class MuonWithAdamW(Optimizer):
    """Each parameter group is stepped by the optimizer it names under `"by"`: `muon` or `adamw`.

    State and groups live here, so `state_dict`, learning rate schedulers and gradient scalers see one optimizer.
    """

    def __init__(self, groups: list[dict[str, Any]]):
        self._parts: dict[str, Optimizer] = {}
        filled = []
        for group in groups:
            part: type[Optimizer] = {"muon": Muon, "adamw": AdamW}[group["by"]]
            options = {name: value for name, value in group.items() if name not in ("params", "by")}
            inner = part(group["params"], **options)
            self._parts.setdefault(group["by"], inner)
            filled.append({**inner.param_groups[0], "by": group["by"]})
        super().__init__(filled, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One optimization step; `closure` re-evaluates the loss, as in torch."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for name, part in self._parts.items():
            part.param_groups = [group for group in self.param_groups if group["by"] == name]
            part.state = self.state
            part.step()
        return loss


def muon_with_adamw(model: nn.Module, lr: float, weight_decay: float) -> MuonWithAdamW:
    """The optimizer of `model`: hidden matrices to Muon at 5 times the rate; embeddings, heads and norms to AdamW.

    Embeddings and heads are matrices, but their rows are looked up one by one, which orthogonal updates do not suit.
    Vectors (norms, biases) are not decayed.
    """
    tables = {
        id(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) or name.rpartition(".")[2] in HEADS
    }
    groups: dict[str, dict[str, Any]] = {
        "hidden": {"by": "muon", "params": [], "lr": MUON_RATE * lr, "weight_decay": weight_decay},
        "tables": {"by": "adamw", "params": [], "lr": lr, "weight_decay": weight_decay},
        "vectors": {"by": "adamw", "params": [], "lr": lr, "weight_decay": 0.0},
    }
    for parameter in model.parameters():
        if parameter.requires_grad:
            hidden = "hidden" if parameter.ndim == 2 and id(parameter) not in tables else "tables"
            groups[hidden if parameter.ndim > 1 else "vectors"]["params"].append(parameter)
    return MuonWithAdamW([group for group in groups.values() if group["params"]])
