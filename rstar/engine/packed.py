# ruff: noqa: N803, N806, N815
"""Attention over packed tokens: many prompts and their many continuations in one row of tokens, with no padding.

Tokens belong to *groups* (a prompt and all that grows from it) and, in a group, to a *branch* (one continuation) or to
the part that all branches share. A token sees those of its group, at positions up to its own, that are shared or of its
own branch. That one rule serves a prefill, a decoding step and the scoring of siblings; a prompt's keys and values are
computed and kept once however many continuations it has.

The models are stock transformers: they are given one row of R tokens and this attention by name, through the same
public interface that serving engines use (`AttentionInterface`, `_supports_attention_backend`).

Suffixes: G groups, C slots of a group, S slots in use, R tokens of one forward, W tokens of the group that has most of
them, H query heads, K key heads, D head width.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from rstar.engine.families import SHARED, Ints
from rstar.errors import ConfigError

NAME = "rstar_packed"
_EMPTY = -2


@dataclass(slots=True)
class _Step:
    """Where the tokens of one forward stand: in the store, and in the padded (G, W) grid that attention works on."""

    groups: slice
    width: int
    span: int
    causal: bool
    slot_R: Tensor
    cell_R: Tensor
    token_GW: Tensor
    branch_GW: Ints
    position_GW: Ints
    masks: dict[int | None, Tensor | None] = field(default_factory=dict)


class Store:
    """Keys and values of `groups` groups, by layer, each in `capacity` slots at most."""

    def __init__(self, groups: int, capacity: int, device: torch.device):
        self.device = device
        self._branch_GC = np.full((groups, capacity), _EMPTY, dtype=np.int64)
        self._position_GC = np.zeros((groups, capacity), dtype=np.int64)
        self._used_G = np.zeros(groups, dtype=np.int64)
        self._layers: dict[int, list[Tensor]] = {}
        self._step: _Step | None = None

    @property
    def groups(self) -> int:
        return len(self._used_G)

    def place(self, group_R: Ints, branch_R: Ints, position_R: Ints) -> None:
        """Make room for the tokens of the next forward; they stand group by group, in ascending order."""
        lo, hi = int(group_R[0]), int(group_R[-1]) + 1
        used_G = self._used_G[lo:hi]
        fresh = not used_G.any() and bool((branch_R == SHARED).all())
        count_G = np.bincount(group_R - lo, minlength=hi - lo)
        column_R = np.arange(len(group_R)) - (np.cumsum(count_G) - count_G)[group_R - lo]
        slot_R = self._used_G[group_R] + column_R
        used_G += count_G
        span, width = int(used_G.max()), int(count_G.max())
        self._branch_GC[group_R, slot_R] = branch_R
        self._position_GC[group_R, slot_R] = position_R
        cell_R = (group_R - lo) * width + column_R
        # A cell without a token repeats token 0: its output is never read.
        token_GW = np.zeros((hi - lo) * width, dtype=np.int64)
        token_GW[cell_R] = np.arange(len(cell_R))
        self._step = _Step(
            slice(lo, hi),
            width,
            span,
            fresh,
            self.put(group_R * self._branch_GC.shape[1] + slot_R),
            self.put(cell_R),
            self.put(token_GW),
            branch_R[token_GW].reshape(hi - lo, width),
            position_R[token_GW].reshape(hi - lo, width),
        )

    @property
    def span(self) -> int:
        """Slots in use in the fullest group."""
        return int(self._used_G.max())

    def has_room(self, tokens: int) -> bool:
        """Whether every group can take so many tokens more without moving what is stored."""
        return self.span + tokens <= self._branch_GC.shape[1]

    def keep(self, group_G: Ints, branches: Ints, spare: int) -> None:
        """Keep these groups alone, numbered anew in this order, and these branches; leave `spare` free slots."""
        branch_GC, position_GC = self._branch_GC[group_G], self._position_GC[group_G]
        live_GC = (branch_GC == SHARED) | np.isin(branch_GC, branches)
        self._used_G = live_GC.sum(1)
        capacity = self.span + spare
        from_GC = np.argsort(~live_GC, axis=1, kind="stable")  # live slots first, in their order
        from_GC = np.pad(from_GC[:, :capacity], ((0, 0), (0, max(0, capacity - from_GC.shape[1]))))
        self._position_GC = np.take_along_axis(position_GC, from_GC, 1)
        self._branch_GC = np.where(
            np.arange(capacity) < self._used_G[:, None], np.take_along_axis(branch_GC, from_GC, 1), _EMPTY
        )
        index = self.put((from_GC + group_G[:, None] * live_GC.shape[1]).ravel())
        shape = (len(group_G), capacity)
        for layer, stored in self._layers.items():
            self._layers[layer] = [x.flatten(0, 1).index_select(0, index).view(*shape, *x.shape[2:]) for x in stored]

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None
    ) -> Tensor:
        """Store keys and values (1, K, R, D) and attend with the queries (1, H, R, D); gives (1, R, H, D)."""
        step = self._step
        assert step is not None, "place() comes before a forward"
        key_RKD, value_RKD = key[0].transpose(0, 1), value[0].transpose(0, 1)
        if layer not in self._layers:
            # Zeros, not merely room: an unused slot has weight 0, and 0 times a stray NaN would still be NaN.
            shape = self._branch_GC.shape
            self._layers[layer] = [x.new_zeros((*shape, *x.shape[1:])) for x in (key_RKD, value_RKD)]
        stored = self._layers[layer]
        for into, x_RKD in zip(stored, (key_RKD, value_RKD), strict=True):
            into.view(-1, *into.shape[2:]).index_copy_(0, step.slot_R, x_RKD)
        keys, values = (x[step.groups, : step.span].transpose(1, 2) for x in stored)
        queries = (
            query[0]
            .transpose(0, 1)
            .index_select(0, step.token_GW)
            .view(-1, step.width, *query.shape[1::2])
            .transpose(1, 2)
        )
        mask = self._mask(step, window, query.dtype)
        out_GHWD = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=queries.shape[1] != keys.shape[1],
        )
        return out_GHWD.transpose(1, 2).flatten(0, 1).index_select(0, step.cell_R)[None]

    def _mask(self, step: _Step, window: int | None, dtype: torch.dtype) -> Tensor | None:
        """What to add to the scores (G, 1, W, S): 0 where a query sees a key, -inf elsewhere; None for plain causal."""
        if window is not None and window > step.span:
            window = None
        if window not in step.masks:
            step.masks[window] = None
            if not (step.causal and window is None):
                kb, kp = (x[step.groups, None, : step.span] for x in (self._branch_GC, self._position_GC))
                qb, qp = step.branch_GW[:, :, None], step.position_GW[:, :, None]
                seen_GWS = ((kb == SHARED) | (kb == qb)) & (kp <= qp)
                if window is not None:
                    seen_GWS &= qp - kp < window
                hidden = self.put(~seen_GWS)[:, None]
                step.masks[window] = torch.zeros(hidden.shape, dtype=dtype, device=self.device).masked_fill_(
                    hidden, float("-inf")
                )
        return step.masks[window]

    def put(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    store: Store,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The attention function that models call; `store` reaches it through the keyword arguments of their forward."""
    if softcap is not None or s_aux is not None or position_bias is not None:
        raise NotImplementedError("its attention has a soft cap, sinks or a bias")
    return store.attend(module.layer_idx, query, key, value, scaling, sliding_window), None


AttentionInterface.register(NAME, _attention)


def forward(
    model: Any, store: Store, ids_R: Ints, group_R: Ints, branch_R: Ints, position_R: Ints, **options: Any
) -> Any:
    """One forward of R packed tokens, whose keys and values stay in the store; gives the model's own output."""
    store.place(group_R, branch_R, position_R)
    put = store.put
    return model(
        input_ids=put(ids_R)[None], position_ids=put(position_R)[None], use_cache=False, store=store, **options
    )


def check(model: PreTrainedModel) -> None:
    """Refuse models in which tokens meet elsewhere than in plain attention, or whose attention has extras."""
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    kinds -= {"full_attention", "sliding_attention"}
    why = ", ".join(sorted(kinds)) if model._supports_attention_backend else "its attention cannot be exchanged"
    if not why:
        one = np.zeros(1, dtype=np.int64)
        try:
            with torch.inference_mode():
                forward(model.base_model, Store(1, 1, model.device), one, one, one + SHARED, one)
            return
        except (TypeError, NotImplementedError) as error:
            why = str(error)
    raise ConfigError(f"{model.config.model_type} models do not run in process ({why}); serve the model with vLLM")


def slices(size_G: Ints, budget: int) -> Iterator[slice]:
    """Consecutive slices of at most `budget` in all, or of one item."""
    start, total = 0, 0
    for i, size in enumerate(size_G.tolist()):
        if i > start and total + size > budget:
            yield slice(start, i)
            start, total = i, 0
        total += size
    if start < len(size_G):
        yield slice(start, len(size_G))
