"""Models that answer on vLLM servers: the policy over /v1/completions, value models over /classify.

Prompts go out as token ids, made as training makes them, and completions come back as token ids: what a server's own
tokenizer or defaults would do does not matter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from transformers import AutoConfig

from rstar.engine.codec import Codec, cut
from rstar.engine.driver import Lane, Ticket
from rstar.engine.endpoints import Pool
from rstar.engine.families import tokens_read
from rstar.engine.ledger import Ledger
from rstar.errors import RolloutError
from rstar.search.calls import Completion, Finish, Generate, Score

FINISHED = {"stop": Finish.STOP, "length": Finish.LENGTH}


@dataclass(slots=True)
class Counters:
    """What was asked of the servers: requests, their prompts' tokens (each prompt once for its samples), the tokens
    they wrote, the prefixes they scored. What they found in their prefix caches, `Pool.metrics` says."""

    requests: int = 0
    read: int = 0
    generated: int = 0
    scored: int = 0


class ServedPolicy:
    """A causal language model on servers, which answers `Generate` calls as `HfPolicy` does, with draws of its own.

    The same call gets the same samples from the same server in float32, as far as vLLM promises; nothing in a run
    depends on it.
    """

    def __init__(self, pool: Pool):
        self.pool = pool
        self.codec = Codec(pool.model.path)
        self.counters = Counters()

    def prompt(self, call: Generate) -> list[int]:
        """Its token ids. Raises RolloutError where it does not fit."""
        ids = self.codec.encode([call.prompt])[0]
        if not 0 < len(ids) < self.pool.positions:
            room = self.pool.positions - 1
            raise RolloutError("engine", f"a prompt of {len(ids)} tokens; the model has room for 1 to {room}")
        return ids

    async def answer(self, call: Generate, key: str, ids: Sequence[int]) -> list[Completion]:
        """The `n` completions of a call of the problem `key`, whose prompt is `ids`."""
        stops = self.codec.stops(call.stop)
        width = call.n if call.temperature else min(call.n, 1)
        body = {
            "prompt": ids,
            "n": width,
            "seed": call.seed,
            "temperature": call.temperature,
            "top_p": call.top_p,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "max_tokens": min(call.max_tokens, self.pool.positions - len(ids)),
            "stop": stops.texts,
            "stop_token_ids": sorted(stops.ids),
            "include_stop_str_in_output": True,
            "skip_special_tokens": False,
            "return_token_ids": True,
            "logprobs": 0,
        }

        def read(told: Any) -> list[Completion]:
            choices = sorted(told["choices"], key=lambda choice: int(choice["index"]))
            if [choice["index"] for choice in choices] != list(range(width)):
                raise ValueError(f"{len(choices)} choices where {width} were asked for")
            return [self._completion(choice, stops.texts) for choice in choices]

        completions = await self.pool.ask("/v1/completions", body, key, read)
        self.counters.requests += 1
        self.counters.read += len(ids)
        self.counters.generated += sum(completion.tokens for completion in completions)
        return completions * (call.n // max(1, width))

    def _completion(self, choice: Any, stops: tuple[str, ...]) -> Completion:
        ids = choice["token_ids"]
        text = self.codec.text(ids)
        logprobs = choice["logprobs"]["token_logprobs"]
        if len(logprobs) != len(ids):
            raise ValueError(f"{len(logprobs)} log-probabilities of {len(ids)} tokens")
        return Completion(
            cut(text, stops) or text, len(ids), FINISHED[choice["finish_reason"]], round(sum(logprobs), 6)
        )


class ServedValue:
    """A sequence classifier on servers, which answers `Score` calls as `HfValue` does.

    Logits come back raw, read at the last token, and what they mean is decided here. The prefixes of a call, which are
    siblings, go out in one request.
    """

    def __init__(self, pool: Pool):
        self.pool = pool
        self.codec = Codec(pool.model.path)
        config = AutoConfig.from_pretrained(pool.model.path)
        self.labels = 3 if config.num_labels == 3 else 1
        self.neutral_is_good = getattr(config, "neutral", "bad") == "good"
        self.counters = Counters()

    def prefixes(self, call: Score) -> list[list[int]]:
        """Their token ids. Raises RolloutError where one does not fit."""
        coded = self.codec.encode(call.prefixes)
        for ids in coded:
            if not 0 < len(ids) <= self.pool.positions:
                message = f"a prefix of {len(ids)} tokens; the model has room for 1 to {self.pool.positions}"
                raise RolloutError("engine", message)
        return coded

    async def answer(self, key: str, coded: Sequence[Sequence[int]]) -> list[float]:
        """The values of sequences of the problem `key`, each in [-1, 1]; the same one is asked once."""
        distinct = sorted({tuple(ids) for ids in coded})

        def read(told: Any) -> list[float]:
            rows = sorted(told["data"], key=lambda row: int(row["index"]))
            if len(rows) != len(distinct):
                raise ValueError(f"{len(rows)} scores where {len(distinct)} were asked for")
            return [self._value(row["probs"]) for row in rows]

        values = await self.pool.ask("/classify", {"input": distinct, "use_activation": False}, key, read)
        self.counters.requests += 1
        self.counters.read += tokens_read(distinct)
        self.counters.scored += len(distinct)
        of = dict(zip(distinct, values, strict=True))
        return [of[tuple(ids)] for ids in coded]

    def _value(self, logits: Sequence[float]) -> float:
        """As `HfValue`: tanh of one logit; of three (bad, neutral, good) twice the probability of good, less 1."""
        if len(logits) != self.labels or not all(map(math.isfinite, logits)):
            raise ValueError(f"logits {logits} where {self.labels} were expected")
        if self.labels == 1:
            return round(math.tanh(logits[0]), 6)
        top = max(logits)
        bad, neutral, good = (math.exp(logit - top) for logit in logits)
        return round(2 * (good + (neutral if self.neutral_is_good else 0.0)) / (bad + neutral + good) - 1, 6)


def policy_lane(model: ServedPolicy, ledger: Ledger | None = None, device: str = "cpu") -> Lane:
    """Answers `Generate` calls, as many at once as the pool's settings say: the servers make batches of them."""

    async def worker(tickets: Sequence[Ticket]) -> list[list[Completion]]:
        replies = []
        for ticket in tickets:
            call = cast(Generate, ticket.call)
            ids = model.prompt(call)
            replies.append(await model.answer(call, ticket.key, ids))
            if ledger is not None:
                ledger.prefilled[ticket.key] += len(ids)
        return replies

    return Lane(worker, max_batch=1, max_concurrent=model.pool.how.concurrency, device=device)


def value_lane(model: ServedValue, ledger: Ledger | None = None, device: str = "cpu") -> Lane:
    """Answers `Score` calls, a request for each call."""

    async def worker(tickets: Sequence[Ticket]) -> list[list[float]]:
        replies = []
        for ticket in tickets:
            coded = model.prefixes(cast(Score, ticket.call))
            replies.append(await model.answer(ticket.key, coded))
            if ledger is not None:
                ledger.value_tokens[ticket.key] += tokens_read(coded)
        return replies

    return Lane(worker, max_batch=1, max_concurrent=model.pool.how.concurrency, device=device)
