"""A long life: many executions in one pool, and whether memory, processes or descriptors grow.

    python benchmarks/soak.py [--executions 1000000] [--minutes 60] [--workers N]

Problems come one after another, as in a search: a tree of steps each (good, failing and hostile ones), released when it
is done. The pool starts bare, so that the time goes into forks and not into sympy. Every SAMPLE_EVERY executions the
memory and the descriptors of client and brokers are written down, and the processes alive between two problems; the
figures of the last quarter may not exceed those of the first by more than SLACK. It stops early when the minutes are
over, and then says how many executions were done. The last line is JSON: name, ok, figures.
"""

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from rstar.core.execution import ROOT_STATE
from rstar.sandbox import Limits, Sandbox, SandboxConfig

SAMPLE_EVERY = 20_000
SLACK = {"client_mb": 8.0, "brokers_mb": 4.0, "descriptors": 8.0, "processes": 2.0}
TREES = 8

GOOD = "x = {n}\ny = [x * i for i in range(20)]"
STEPS = (
    "z = sum(y) + {n}",
    "y.append({n})\nprint(y[-1])",
    "print('n' * 50, {n})",
    "w = {n} / 0",
    "undefined_{n}",
    "def f(k): return k + {n}\nf(3)",
    "import os\nos.fork()",
    "raise SystemExit({n})",
)


async def problem(sandbox: Sandbox, number: int) -> int:
    """One tree: a first step, then two levels of eight candidates. Returns how many steps were asked for."""
    group = str(number)
    first = await sandbox.run(ROOT_STATE, GOOD.format(n=number), group=group)
    assert first.state is not None, first
    parent, asked = first.state, 1
    for level in range(2):
        codes = [step.format(n=number + level) for step in STEPS]
        results = await sandbox.run_many(parent, codes, group=group)
        asked += len(codes)
        statuses = [str(result.status) for result in results]
        expected = ["ok", "ok", "ok", "exception", "exception", "ok", "denied", "exit"]
        assert statuses == expected, results
        parent = results[number % 2].state or parent
    await sandbox.release(group)
    return asked


def sample(sandbox: Sandbox) -> dict[str, float]:
    """Megabytes, descriptors and processes of now."""
    brokers = [link.pid for link in sandbox._links if link.pid is not None]
    nodes = [Path(f"/proc/{pid}/task/{pid}/children").read_text().split() for pid in brokers]
    return {
        "client_mb": _megabytes(os.getpid()),
        "brokers_mb": sum(_megabytes(pid) for pid in brokers),
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in [os.getpid(), *brokers]),
        "processes": len(brokers) + sum(len(pids) for pids in nodes),
    }


def _megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


async def soak(executions: int, minutes: float, workers: int | None) -> tuple[int, float, list[dict[str, float]]]:
    """Executions done, seconds, and the samples."""
    samples, began, done, number = [], time.monotonic(), 0, 0
    config = SandboxConfig(preload=(), limits=Limits(cpu_s=2.0), workers=workers)
    async with Sandbox(config) as sandbox:
        while done < executions and time.monotonic() - began < 60 * minutes:
            while sandbox.stats().executions < len(samples) * SAMPLE_EVERY + SAMPLE_EVERY:
                done += sum(await asyncio.gather(*(problem(sandbox, number + extra) for extra in range(TREES))))
                number += TREES
                if done >= executions:
                    break
            await asyncio.sleep(0.3)  # the last nodes are being buried
            samples.append(sample(sandbox) | {"executions": sandbox.stats().executions})
            print(json.dumps(samples[-1] | {"seconds": round(time.monotonic() - began)}), flush=True)
        stats = sandbox.stats()
        assert stats.restarts == 0, "a broker had to be replaced"
        assert stats.retries == 0, "the machine spoiled steps"
    return stats.executions, time.monotonic() - began, samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--workers", type=int, help="brokers; one per eight cores if absent")
    options = parser.parse_args()
    executions, seconds, samples = asyncio.run(soak(options.executions, options.minutes, options.workers))
    quarter = max(1, len(samples) // 4)
    table, growth = Table("figure", "first quarter", "last quarter", "may grow by"), {}
    for name, slack in SLACK.items():
        early, late = (fmean(row[name] for row in part) for part in (samples[:quarter], samples[-quarter:]))
        growth[name] = late - early
        table.add_row(name, f"{early:.1f}", f"{late:.1f}", f"{slack:g}")
    Console(width=100).print(table)
    ok = all(growth[name] <= slack for name, slack in SLACK.items())
    print(f"{executions} executions in {seconds:.0f} s")
    figures = {"executions": executions, "seconds": round(seconds), "growth": growth, "last": samples[-1]}
    print(json.dumps({"name": "soak", "ok": ok, "figures": figures}))


if __name__ == "__main__":
    main()
