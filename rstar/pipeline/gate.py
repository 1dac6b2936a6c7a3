"""The promotion gate: does a round solve as many held-out problems as the last promoted one?"""

import time
from pathlib import Path
from typing import Any

import orjson

from rstar.config.run import RunConfig
from rstar.errors import StageFailed
from rstar.evaluate.metrics import compared
from rstar.pipeline.prepare import paths_of, required
from rstar.store.answers import read_answers
from rstar.store.layout import GATE
from rstar.store.manifest import Manifest, stage, write_atomic


def promoted(cfg: RunConfig, number: int) -> int:
    """The round whose models go into round `number`: the one before or, with `gate.on_regression: rollback`, the last
    that did not regress."""
    last = number - 1
    if cfg.gate.on_regression == "rollback":
        while last > 1 and required(paths_of(cfg).round(last).gate).metrics["regressed"]:
            last -= 1
    return last


def gate_stage(cfg: RunConfig, number: int) -> Manifest | None:
    """Compare round `number` (from 2 on) with the round whose models went into it, problem by problem: greedy decoding
    by the policies and, where both rounds have it, search. It regressed where it solved fewer and McNemar's exact test
    gives at most `gate.p`."""
    if number == 1:
        return None
    paths, last = paths_of(cfg), promoted(cfg, number)
    before, now = paths.round(last), paths.round(number)
    pairs = {"policy": (before.eval_policy, now.eval_policy)}
    if cfg.evaluate.search is not None:
        pairs["search"] = (before.eval_search, now.eval_search)
    inputs = {}
    for name, both in pairs.items():
        inputs[f"{name}-before"], inputs[name] = (required(path).fingerprint for path in both)
    with stage(now.gate, "gate", {"round": number, "against": last, "p": cfg.gate.p}, inputs) as it:
        if not it.complete:
            started = time.monotonic()
            told: dict[str, Any] = {name: compared(*_paired(*both)) for name, both in pairs.items()}
            regressed = [name for name, one in told.items() if one["difference"] < 0 and one["p"] <= cfg.gate.p]
            told |= {"against": last, "regressed": regressed}
            write_atomic(it.folder / GATE, orjson.dumps(told, option=orjson.OPT_INDENT_2))
            it.finish({GATE: None}, told, time.monotonic() - started)
        return it.manifest


def let_pass(cfg: RunConfig, number: int, summary: dict[str, Any]) -> None:
    """Raise StageFailed when the round of this summary regressed and `gate.on_regression` is `stop`."""
    if cfg.gate.on_regression == "stop" and (found := regression(summary)) is not None:
        folder = paths_of(cfg).round(number).gate
        raise StageFailed(
            f"{found}; the evolution stops here, and all rounds so far are kept (see {folder / GATE}). To go on start"
            " it again with gate.on_regression=warn, or =rollback to go on with the models of before"
        )


def regression(summary: dict[str, Any]) -> str | None:
    """In words, in what a round of which this is the summary regressed; None where it did not."""
    told = summary["gate"]
    if not told or not told["regressed"]:
        return None
    words = [f"{name} {100 * told[name]['difference']:+.1f} points (p {told[name]['p']})" for name in told["regressed"]]
    return f"round {summary['round']} solves fewer held-out problems than round {told['against']}: {', '.join(words)}"


def _paired(before: Path, now: Path) -> tuple[list[bool], list[bool]]:
    """What each solved of the problems that both have an answer row of; a search that failed has none."""
    first, second = _solved(before), _solved(now)
    both = [name for name in first if name in second]
    return [first[name] for name in both], [second[name] for name in both]


def _solved(folder: Path) -> dict[str, bool]:
    return {row["id"]: row["correct"] for row in read_answers(folder)}
