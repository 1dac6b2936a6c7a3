"""`rstar grade` and `rstar exec`: JSONL in, JSONL or a summary out."""

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, PlainValidator

from rstar.answers.grader import grade_pairs
from rstar.cli import screen
from rstar.core.execution import ROOT_STATE, Status
from rstar.core.verdict import Judgement, Verdict
from rstar.data.jsonl import objects, validated
from rstar.errors import InputError, RstarError
from rstar.sandbox import Limits, Sandbox, SandboxConfig

Isolation = Literal["unsafe", "rlimits", "seccomp", "strict"]
Mode = Literal["strict", "compat"]
SHORT = {"timeout": Status.TIMEOUT_WALL, "cpu": Status.TIMEOUT_CPU, "output": Status.OUTPUT_LIMIT}
"""Words that `expected` may use beside the statuses themselves."""
SHOWN = 20
"""Rows that are shown one by one; of more, how many ended how is."""


class PairRow(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    gold: str
    candidate: str


def _code(value: Any) -> str:
    """Any text at all: what is no Unicode is for the sandbox to judge."""
    if not isinstance(value, str):
        raise ValueError("Input should be a valid string")
    return value


class StepsRow(BaseModel):
    model_config = ConfigDict(extra="ignore")

    steps: list[Annotated[str, PlainValidator(_code)]]
    expected: Any = None

    def surprises(self, status: str) -> bool:
        """Does the row list the statuses that it may end with, and this is none of them?"""
        return isinstance(self.expected, list) and status not in [SHORT.get(str(word), word) for word in self.expected]


def grade(path: Path, mode: str, workers: int, json: bool) -> None:
    """Grade every row; the whole file is validated before the first verdict is printed.

    The summary of rows with a `label` (true: equal) counts the verdicts that are wrong too, by `category`.
    """
    if mode not in get_args(Mode):
        raise InputError(f"--mode: {mode!r} is not one of {', '.join(get_args(Mode))}")
    rows = [(row, validated(path, number, row, PairRow)) for number, row in objects(path)]
    pairs = [(pair.gold, pair.candidate) for _, pair in rows]
    judged: list[tuple[dict[str, Any], Judgement]] = []
    for (row, _), judgement in zip(rows, grade_pairs(pairs, cast(Mode, mode), workers), strict=True):
        judged.append((row, judgement))
        if json:
            screen.json_line(
                {**row, "verdict": judgement.verdict, "rule": judgement.rule, "ms": round(judgement.ms, 3)}
            )
    if not json:
        _summary(path, judged)


def _summary(path: Path, judged: list[tuple[dict[str, Any], Judgement]]) -> None:
    counts = Counter(judgement.verdict.value for _, judgement in judged)
    screen.table(["verdict", "pairs"], [[name, str(count)] for name, count in sorted(counts.items())])
    labelled = [
        (str(row.get("category") or "-"), row["label"], judgement.verdict is Verdict.EQUIVALENT)
        for row, judgement in judged
        if isinstance(row.get("label"), bool)
    ]
    if labelled:
        names = sorted({category for category, *_ in labelled})
        groups = [(name, [each for each in labelled if each[0] == name]) for name in names]
        body = [_errors(name, group) for name, group in [*groups, ("all", labelled)]]
        screen.table(["category", "equal", "false rejects", "not equal", "false accepts"], body)
    times = [judgement.ms for _, judgement in judged] or [0.0]
    said = f"{path}: {len(judged)} pairs, {sum(times) / len(times):.1f} ms a pair, {max(times):.0f} ms at most"
    screen.out.print(said, highlight=False, markup=False)


def _errors(name: str, group: list[tuple[str, bool, bool]]) -> list[str]:
    """A row of the table of errors: how many pairs of each label, and to how many the other verdict was given."""
    found = Counter((label, accepted) for _, label, accepted in group)
    equal, unequal = (found[label, True] + found[label, False] for label in (True, False))
    rates = [_share(found[True, False], equal), _share(found[False, True], unequal)]
    return [name, str(equal), rates[0], str(unequal), rates[1]]


def _share(count: int, of: int) -> str:
    return f"{count} ({100 * count / of:.1f} %)" if count else "0"


def execute(path: Path, isolation: str, cpu_s: float, check: bool, json: bool) -> None:
    """Run every row's steps; the whole file is validated before the first one runs. With `check`, RstarError when a row
    ends otherwise than it expects."""
    if isolation not in get_args(Isolation):
        raise InputError(f"--isolation: {isolation!r} is not one of {', '.join(get_args(Isolation))}")
    rows = [(row, validated(path, number, row, StepsRow)) for number, row in objects(path, any_text=True)]
    config = SandboxConfig(isolation=cast(Isolation, isolation), limits=Limits(cpu_s=cpu_s))
    ended, surprises = asyncio.run(_execute(rows, config, json))
    if not json:
        if len(ended) <= SHOWN:
            screen.table(["row", "ended as", "at step", "printed, or its error"], ended, str(path))
        else:
            counts = Counter(status for _, status, *_ in ended)
            body = [[name, str(count)] for name, count in sorted(counts.items())]
            screen.table(["status of the last step run", "rows"], body, f"{path} (--json has each row)")
        if surprises:
            screen.table(["row", "ended as", "expected"], surprises, "not as expected")
    if check and surprises:
        told = ", ".join(f"{name} ({status})" for name, status, _ in surprises)
        raise RstarError(f"{path}: {len(surprises)} of {len(rows)} rows did not end as expected: {told}")


async def _execute(
    rows: list[tuple[dict[str, Any], StepsRow]], config: SandboxConfig, json: bool
) -> tuple[list[list[str]], list[list[str]]]:
    """Several rows at a time, printed in the file's order. How each ended; and id, status, expected of those that
    ended otherwise than they expect."""
    ended, surprises = [], []
    gate = asyncio.Semaphore(2 * (os.cpu_count() or 1))
    async with Sandbox(config) as sandbox, asyncio.TaskGroup() as group:
        runs = [group.create_task(_run(sandbox, gate, str(n), its.steps)) for n, (_, its) in enumerate(rows)]
        for number, ((row, its), run) in enumerate(zip(rows, runs, strict=True), 1):
            results = await run
            status = str(results[-1]["status"]) if results else "no steps"
            name = str(row.get("id", f"row {number}"))
            last = results[-1] if results else {}
            said = last.get("error") or last.get("output", "").strip() or last.get("value") or ""
            ended.append([name, status, str(len(results)), said])
            if its.surprises(status):
                surprises.append([name, status, " ".join(map(str, its.expected))])
            if json:
                screen.json_line({**row, "results": results})
    return ended, surprises


async def _run(sandbox: Sandbox, gate: asyncio.Semaphore, name: str, steps: list[str]) -> list[dict[str, Any]]:
    """The results of one row's steps, up to the first that fails. `ms` is the step's own time on the clock."""
    results: list[dict[str, Any]] = []
    state = ROOT_STATE
    async with gate:
        for code in steps:
            result = await sandbox.run(state, code, group=name)
            ms = round(1000 * result.wall_s, 3)
            results.append(
                {
                    "status": result.status,
                    "output": result.stdout,
                    "value": result.value,
                    "error": result.error,
                    "ms": ms,
                }
            )
            if result.state is None:
                break
            state = result.state
        await sandbox.release(name)
    return results
