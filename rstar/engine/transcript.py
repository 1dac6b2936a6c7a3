"""Record and replay: the (call, reply) pairs of a run as JSON lines, and a world that answers from them."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import orjson

from rstar.core.execution import Status, StepResult
from rstar.core.verdict import Judgement, Verdict
from rstar.engine.driver import Lane, Ticket, Worker
from rstar.errors import InputError, RolloutError
from rstar.search.calls import Call, Completion, Execute, Finish, Generate, Reply, Score, Verify


def recording(lane: Lane, out: IO[bytes]) -> Lane:
    """The same lane; every ticket that got a reply is appended to `out` as one JSON line."""
    inner: Worker = lane.worker

    async def worker(tickets: Sequence[Ticket]) -> Sequence[Reply | RolloutError]:
        replies = await inner(tickets)
        if len(replies) != len(tickets):
            return replies  # the driver refuses these, so they never reached a search
        for ticket, reply in zip(tickets, replies, strict=True):
            if not isinstance(reply, RolloutError):
                line = {"key": ticket.key, "call": fingerprint(ticket.call), "reply": [_plain(item) for item in reply]}
                out.write(orjson.dumps(line) + b"\n")
        out.flush()
        return replies

    return Lane(worker, lane.max_batch, lane.max_concurrent, lane.stats)


class Replay:
    """Answers one problem's calls from a recorded transcript. A call that was not recorded is a RolloutError."""

    def __init__(self, path: Path, key: str):
        self._replies: dict[str, list[Any]] = {}
        for number, raw in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                line = orjson.loads(raw)
                if line["key"] == key:
                    self._replies[line["call"]] = line["reply"]
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise InputError(f"{path}, line {number}: not a line of a transcript ({error})") from error

    def __call__(self, call: Call) -> Reply:
        reply = self._replies.get(fingerprint(call))
        if reply is None:
            raise RolloutError("replay", f"this {type(call).__name__} call was not recorded")
        match call:
            case Generate():
                return [Completion(**{**item, "finish": Finish(item["finish"])}) for item in reply]
            case Execute():
                return [StepResult(**{**item, "status": Status(item["status"])}) for item in reply]
            case Verify():
                return [Judgement(**{**item, "verdict": Verdict(item["verdict"])}) for item in reply]
            case Score():
                return [float(item) for item in reply]


def fingerprint(call: Call) -> str:
    """A digest of the call's kind and all its fields."""
    return hashlib.sha256(orjson.dumps([type(call).__name__, asdict(call)])).hexdigest()


def _plain(item: Any) -> Any:
    return float(item) if isinstance(item, (int, float)) else asdict(item)
