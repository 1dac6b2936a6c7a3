# ruff: noqa: N803, N806
"""Models that answer in this process, through transformers: a policy that samples and a value model that scores.

Suffixes: N samples (continuations of all prompts), R rows that still run, V vocabulary, T new tokens, G groups (see
`rstar.engine.packed`), M scored prefixes, K labels.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.utils import logging

from rstar.engine.codec import Codec, cut
from rstar.engine.driver import Lane, Ticket
from rstar.engine.families import SHARED, Ints, families, tokens_read
from rstar.engine.ledger import Ledger
from rstar.engine.packed import NAME, Store, check, forward, slices
from rstar.engine.sampling import draw, uniforms
from rstar.errors import ConfigError, RolloutError
from rstar.search.calls import Completion, Finish, Generate, Score

Dtype = Literal["float32", "float64", "bfloat16", "float16"]

_FORWARD_TOKENS = {"cpu": 1 << 10}
"""Tokens of one forward over prompts: enough to keep the device busy, and on a CPU few enough for its caches."""
_SPARE_STEPS = 12
"""Decoding steps for which a store has room before it is copied."""
_SPARSE = 0.7
"""The share of slots still needed below which a store is copied: attention looks at every slot, ended rows' too."""
_DRAW_NUMBERS = 1 << 24
"""Vocabulary entries sampled from at once, in float64."""


@dataclass(slots=True)
class Counters:
    """What a model did since it was loaded; `prefilled` and `generated` are tokens, `scored` prefixes."""

    prompts: int = 0
    prefilled: int = 0
    generated: int = 0
    scored: int = 0
    seconds: float = 0.0


class _Model:
    """What both kinds share: weights, tokenizer, limits, counters, and one forward at a time."""

    def __init__(self, auto: Any, path: Path | str, device: str, dtype: Dtype, threads: int, **options: Any):
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # the stage has a progress of its own
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        self.forward_tokens = _FORWARD_TOKENS.get(self.device.type, 1 << 14)
        self.codec = Codec(path)
        options |= {"dtype": getattr(torch, dtype), "attn_implementation": NAME, "output_loading_info": True}
        model, loading = auto.from_pretrained(path, **options)
        # transformers would go on: a missing head gets random weights, a bias of the head is dropped.
        astray = sorted({*loading["missing_keys"], *(k for k in loading["unexpected_keys"] if k.startswith("score"))})
        if astray:
            raise ConfigError(f"{path}: weights that do not fit a {type(model).__name__}: {', '.join(astray[:3])}")
        self.model: Any = model.to(self.device).eval()
        check(self.model)
        self.positions = int(getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30)
        self.counters = Counters()
        self._lock = threading.Lock()


@dataclass(slots=True)
class _Prompt:
    """One group: a prompt's ids and the calls (by place in the batch) that continue it."""

    ids: list[int]
    calls: list[int] = field(default_factory=list)


class HfPolicy(_Model):
    """A causal language model that answers `Generate` calls.

    In float64 a call's samples do not depend on what else is in the batch: every sample draws from its own stream of
    numbers, keyed by (seed, index), and the noise of another summation order is far below what moves a draw.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        device: str = "auto",
        dtype: Dtype = "float32",
        threads: int = 1,
        max_tokens_in_flight: int = 1 << 16,
    ):
        super().__init__(AutoModelForCausalLM, path, device, dtype, threads)
        self.max_tokens_in_flight = max_tokens_in_flight

    def generate(self, calls: Sequence[Generate]) -> list[list[Completion]]:
        """The `n` completions of each call, in order. Raises RolloutError where a prompt does not fit."""
        replies = self.answer(calls)
        for reply in replies:
            if isinstance(reply, RolloutError):
                raise reply
        return cast(list[list[Completion]], replies)

    @torch.inference_mode()
    def answer(self, calls: Sequence[Generate], read: list[int] | None = None) -> list[list[Completion] | RolloutError]:
        """As `generate`, with the error in the place of a call whose prompt does not fit.

        `read` takes the tokens of each call's prompt, as many as are prefilled where no other call has the same one.
        """
        with self._lock:
            start = time.perf_counter()
            replies: list[list[Completion] | RolloutError] = [[] for _ in calls]
            prompts: dict[tuple[int, ...], _Prompt] = {}
            for i, ids in enumerate(self.codec.encode([call.prompt for call in calls])):
                fits = 0 < len(ids) < self.positions
                if read is not None:
                    read.append(len(ids) if fits else 0)
                if fits:
                    prompts.setdefault(tuple(ids), _Prompt(ids)).calls.append(i)
                else:
                    message = f"a prompt of {len(ids)} tokens; the model has room for 1 to {self.positions - 1}"
                    replies[i] = RolloutError("engine", message)
            for batch in self._batches(calls, prompts.values()):
                for i, completions in _Decoding(self, calls, batch).run():
                    replies[i] = completions
            self.counters.seconds += time.perf_counter() - start
            return replies

    def room(self, call: Generate, prompt: Sequence[int]) -> int:
        return min(call.max_tokens, self.positions - len(prompt))

    def _batches(self, calls: Sequence[Generate], prompts: Iterable[_Prompt]) -> Iterator[list[_Prompt]]:
        """Prompts of like size together, as many as are sure to stay within the token budget."""
        sized = [(len(p.ids) + sum(_width(calls[i]) * self.room(calls[i], p.ids) for i in p.calls), p) for p in prompts]
        batch: list[_Prompt] = []
        for size, prompt in sorted(sized, key=lambda pair: pair[0]):
            if batch and (len(batch) + 1) * size > self.max_tokens_in_flight:
                yield batch
                batch = []
            batch.append(prompt)
        if batch:
            yield batch


def _width(call: Generate) -> int:
    """How many continuations are computed: greedy ones are all the same."""
    return min(call.n, 1) if call.temperature == 0 else call.n


class _Decoding:
    """One batch of prompts from prefill to the last row's end."""

    def __init__(self, policy: HfPolicy, calls: Sequence[Generate], prompts: Sequence[_Prompt]):
        self.policy = policy
        self.prompts = prompts
        self.calls = calls
        owners = [(g, i) for g, prompt in enumerate(prompts) for i in prompt.calls for _ in range(_width(calls[i]))]
        self.group_N = np.array([g for g, _ in owners], dtype=np.int64)
        self.call_N = np.array([i for _, i in owners], dtype=np.int64)
        self.room_N = np.array([policy.room(calls[i], prompts[g].ids) for g, i in owners], dtype=np.int64)
        self.length_G = np.array([len(prompt.ids) for prompt in prompts], dtype=np.int64)
        self.temperature_N = np.array([calls[i].temperature for _, i in owners])
        self.top_p_N = np.array([calls[i].top_p for _, i in owners])
        stops = [policy.codec.stops(calls[i].stop) for _, i in owners]
        kinds = list(dict.fromkeys(stops))
        self.stop_N = np.array([kinds.index(stop) for stop in stops], dtype=np.int64)
        self.stop_texts = [kind.texts for kind in kinds]
        vocabulary = policy.model.config.get_text_config().vocab_size
        self.ends_KV = np.zeros((len(kinds), vocabulary), dtype=bool)
        for k, kind in enumerate(kinds):
            self.ends_KV[k, list(kind.ids)] = True
        most = int(self.room_N.max(initial=0))
        self.uniform_NT = np.concatenate(
            [uniforms(calls[i].seed, _width(calls[i]), most) for prompt in prompts for i in prompt.calls]
        )
        self.token_NT = np.zeros((len(owners), most), dtype=np.int64)
        self.count_N = np.zeros(len(owners), dtype=np.int64)
        self.logprob_N = np.zeros(len(owners))
        self.stopped_N = np.zeros(len(owners), dtype=bool)

    def run(self) -> Iterator[tuple[int, list[Completion]]]:
        policy = self.policy
        rows = np.flatnonzero(self.room_N > 0)
        store, logits_GV = self._prefill()
        logits_RV = logits_GV[store.put(self.group_N[rows])]
        group_G = np.arange(len(self.prompts))  # the store's number of each prompt, anew after keep()
        step = 0
        while len(rows):
            token_R = self._sample(logits_RV, rows, step)
            step += 1
            rows, token_R = self._running(rows, token_R, step)
            if not len(rows):
                break
            live, count_G = np.unique(self.group_N[rows], return_counts=True)
            width = int(count_G.max())
            span = int((self.length_G[live] + step * count_G).max())
            if not store.has_room(width) or len(live) * span < _SPARSE * store.groups * store.span:
                store.keep(group_G[live], rows, _SPARE_STEPS * width)
                group_G[live] = np.arange(len(live))
            group_R = self.group_N[rows]
            position_R = self.length_G[group_R] + step - 1
            # The row's number serves as its branch: it only has to differ within the group.
            logits_RV = forward(policy.model, store, token_R, group_G[group_R], rows, position_R).logits[0]
        policy.counters.generated += int(self.count_N.sum())
        return self._completions()

    def _prefill(self) -> tuple[Store, Tensor]:
        """Every prompt once, in forwards of bounded size; the logits behind each prompt (G, V)."""
        policy = self.policy
        width = int(np.bincount(self.group_N, minlength=1).max())
        store = Store(len(self.prompts), int(self.length_G.max()) + _SPARE_STEPS * width, policy.device)
        policy.counters.prompts += len(self.prompts)
        policy.counters.prefilled += int(self.length_G.sum())
        logits = []
        for groups in slices(self.length_G, policy.forward_tokens):
            length_G = self.length_G[groups]
            group_R = np.repeat(np.arange(groups.start, groups.stop), length_G)
            ids_R = np.concatenate([prompt.ids for prompt in self.prompts[groups]]).astype(np.int64)
            position_R = np.concatenate([np.arange(length) for length in length_G])
            last_G = store.put(np.cumsum(length_G) - 1)
            shared_R = np.full(len(ids_R), SHARED)
            output = forward(policy.model, store, ids_R, group_R, shared_R, position_R, logits_to_keep=last_G)
            logits.append(output.logits[0])
        return store, torch.cat(logits)

    def _sample(self, logits_RV: Tensor, rows: Ints, step: int) -> Ints:
        """Draw each row's next token and note it."""
        columns = (self.uniform_NT[:, step], self.temperature_N, self.top_p_N)
        numbers = [torch.from_numpy(column[rows]).to(logits_RV.device) for column in columns]
        nucleus = bool((self.top_p_N[rows] < 1).any())
        size = max(1, _DRAW_NUMBERS // logits_RV.shape[1])
        drawn = [
            draw(*(x[at : at + size] for x in (logits_RV, *numbers)), nucleus=nucleus)
            for at in range(0, len(rows), size)
        ]
        token_R = torch.cat([token for token, _ in drawn]).cpu().numpy()
        self.token_NT[rows, step] = token_R
        self.count_N[rows] += 1
        self.logprob_N[rows] += torch.cat([logprob for _, logprob in drawn]).cpu().numpy()
        return cast(Ints, token_R)

    def _running(self, rows: Ints, token_R: Ints, step: int) -> tuple[Ints, Ints]:
        """The rows that go on, and their last tokens."""
        stopped_R = self.ends_KV[self.stop_N[rows], token_R]
        if any(self.stop_texts):
            for r, row in enumerate(rows):
                if not stopped_R[r] and self.stop_texts[self.stop_N[row]]:
                    stopped_R[r] = self._cut(row) is not None
        self.stopped_N[rows] = stopped_R
        on_R = ~stopped_R & (self.room_N[rows] > step)
        return rows[on_R], token_R[on_R]

    def _cut(self, row: int) -> str | None:
        """The row's text up to the end of the first stop text in it."""
        text = self.policy.codec.text(self.token_NT[row, : self.count_N[row]].tolist())
        return cut(text, self.stop_texts[self.stop_N[row]])

    def _completions(self) -> Iterator[tuple[int, list[Completion]]]:
        texts: dict[tuple[int, ...], str] = {}  # siblings often write the same
        replies: dict[int, list[Completion]] = {i: [] for prompt in self.prompts for i in prompt.calls}
        for row, i in enumerate(self.call_N):
            ids = tuple(self.token_NT[row, : self.count_N[row]].tolist())
            if ids not in texts:
                texts[ids] = self.policy.codec.text(ids)
            text = (self._cut(row) if self.stop_texts[self.stop_N[row]] else None) or texts[ids]
            finish = Finish.STOP if self.stopped_N[row] else Finish.LENGTH
            replies[i].append(Completion(text, len(ids), finish, round(float(self.logprob_N[row]), 6)))
        for i, completions in replies.items():
            call = self.calls[i]
            yield i, completions * (call.n // max(1, len(completions)))


class HfValue(_Model):
    """A sequence classifier that answers `Score` calls, read at the last token, with a score in [-1, 1].

    With one label it is tanh(logit). With three (a PRM: bad, neutral, good) it is 2 P(good) - 1, where P(good) is the
    probability of good, and of neutral too if `neutral` in the checkpoint's config.json is "good".

    Prefixes that begin alike (siblings, which differ in their last step) are scored together, the common part once.
    """

    def __init__(self, path: Path | str, *, device: str = "auto", dtype: Dtype = "float32", threads: int = 1):
        labels = 3 if AutoConfig.from_pretrained(path).num_labels == 3 else 1
        super().__init__(AutoModelForSequenceClassification, path, device, dtype, threads, num_labels=labels)
        if not isinstance(getattr(self.model, "score", None), torch.nn.Module):
            raise ConfigError(f"{path}: a {type(self.model).__name__} has no `score` head behind a causal model")

    def score(self, prefixes: Sequence[str]) -> list[float]:
        """A value in [-1, 1] for each prefix, in order. Raises RolloutError where one does not fit."""
        reply = self.answer([Score(tuple(prefixes))])[0]
        if isinstance(reply, RolloutError):
            raise reply
        return reply

    @torch.inference_mode()
    def answer(self, calls: Sequence[Score], read: list[int] | None = None) -> list[list[float] | RolloutError]:
        """The values of each call's prefixes, or the error of a call with a prefix that does not fit.

        `read` takes the tokens of each call, as many as are read where it is alone: what its prefixes share, once.
        """
        with self._lock:
            start = time.perf_counter()
            coded = [tuple(ids) for ids in self.codec.encode([prefix for call in calls for prefix in call.prefixes])]
            fits = {ids for ids in coded if 0 < len(ids) <= self.positions}
            values = self._values(sorted(fits))
            self.counters.seconds += time.perf_counter() - start
        replies: list[list[float] | RolloutError] = []
        at = 0
        for call in calls:
            own = coded[at : at + len(call.prefixes)]
            at += len(own)
            bad = [len(ids) for ids in own if ids not in fits]
            if read is not None:
                read.append(tokens_read([ids for ids in own if ids in fits]))
            if bad:
                message = f"a prefix of {bad[0]} tokens; the model has room for 1 to {self.positions}"
                replies.append(RolloutError("engine", message))
            else:
                replies.append([values[ids] for ids in own])
        return replies

    def _values(self, coded: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
        """The value of each of these distinct sequences, in lexical order: siblings are neighbours."""
        ordered = sorted(families(coded), key=lambda family: family.width)
        width_F = np.array([family.width for family in ordered], dtype=np.int64)
        values: dict[tuple[int, ...], float] = {}
        for part in slices(width_F, self.forward_tokens):
            batch = ordered[part]
            store = Store(len(batch), int(width_F[part].max()), self.device)
            group_R = np.repeat(np.arange(len(batch)), width_F[part])
            pieces = [piece for family in batch for piece in family.pieces()]
            ids_R, branch_R, position_R = (np.concatenate(column) for column in zip(*pieces, strict=True))
            hidden = forward(self.model.base_model, store, ids_R, group_R, branch_R, position_R).last_hidden_state[0]
            ends = np.cumsum([len(ids) for ids, _, _ in pieces]) - 1
            last_M = ends[[i for i, (_, branch, _) in enumerate(pieces) if branch[0] != SHARED]]
            score_M = self._served(self.model.score(hidden[store.put(last_M)]).double()).tolist()
            members = [ids for family in batch for ids in family.members]
            values |= {ids: round(value, 6) for ids, value in zip(members, score_M, strict=True)}
            self.counters.prefilled += len(ids_R)
        self.counters.scored += len(coded)
        return values

    def _served(self, logits_MK: Tensor) -> Tensor:
        """The scores (M,) of the logits of K = 1 or 3 labels."""
        if logits_MK.shape[1] == 1:
            return logits_MK[:, 0].tanh()
        bad_M, _, good_M = logits_MK.softmax(1).unbind(1)
        return 1 - 2 * bad_M if getattr(self.model.config, "neutral", "bad") == "good" else 2 * good_M - 1


def policy_lane(model: HfPolicy, max_batch: int, ledger: Ledger | None = None) -> Lane:
    """Answers `Generate` calls, at most `max_batch` in one batch."""

    async def worker(tickets: Sequence[Ticket]) -> list[list[Completion] | RolloutError]:
        read: list[int] = []
        replies = await asyncio.to_thread(model.answer, [cast(Generate, ticket.call) for ticket in tickets], read)
        if ledger is not None:
            ledger.prefilled.update(_by_key(tickets, read))
        return replies

    return Lane(worker, max_batch, device=model.device.type)


def value_lane(model: HfValue, max_batch: int, ledger: Ledger | None = None) -> Lane:
    """Answers `Score` calls, at most `max_batch` in one batch."""

    async def worker(tickets: Sequence[Ticket]) -> list[list[float] | RolloutError]:
        read: list[int] = []
        replies = await asyncio.to_thread(model.answer, [cast(Score, ticket.call) for ticket in tickets], read)
        if ledger is not None:
            ledger.value_tokens.update(_by_key(tickets, read))
        return replies

    return Lane(worker, max_batch, device=model.device.type)


def _by_key(tickets: Sequence[Ticket], read: Sequence[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for ticket, tokens in zip(tickets, read, strict=True):
        counts[ticket.key] += tokens
    return counts
