"""What the driver, the search and the tree cost: CPU per problem-rollout with a policy that answers at once.

    python benchmarks/search_overhead.py [--quick] [--profile ROW]

PROBLEMS problems are searched by MCTS: CANDIDATES candidates an expansion, at most DEPTH steps deep, ROLLOUTS rollouts
each. Nothing runs, nothing is graded, no model answers: every reply is made beforehand and looked up by the call's seed
or the lengths of its texts. Looking it up is counted as ours, and so are the driver's queues and batches. Trees are
let go as they finish, as they are when they have been written to disk; one row keeps all of them alive at once.

The bar: at most BAR_MS of CPU a problem-rollout and at most BAR_GB of memory, in every row. The public solver spends
180 ms on the same shape of work. Each row has a process of its own. The last line is JSON: name, ok, figures.
"""

import argparse
import asyncio
import cProfile
import json
import multiprocessing
import pstats
import resource
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from rstar.config.search import MctsConfig
from rstar.core.execution import Status, StepResult
from rstar.core.problem import Problem
from rstar.core.verdict import Judgement, Verdict
from rstar.engine.driver import Driver
from rstar.engine.scripted import lane
from rstar.search.calls import Call, Completion, Execute, Generate, Reply, Score, Seeds, Verify
from rstar.search.mcts import mcts
from rstar.text.grammar import END_STEP, Grammar, Kind, Segment
from rstar.text.prompts import Prompts

PROBLEMS, CANDIDATES, DEPTH, ROLLOUTS = 2000, 8, 8, 16
BAR_MS, BAR_GB, PUBLIC_MS = 2.0, 1.0, 180.0
LANES = ("generate:policy", "execute", "score:ppm", "verify")
SHAPE = MctsConfig(rollouts=ROLLOUTS, candidates=CANDIDATES, max_depth=DEPTH)
ROWS: dict[str, tuple[dict[str, Any], int]] = {
    "terminal-guided": ({}, 256),
    "with a PPM": ({"annotation": "ppm"}, 256),
    "with a PPM, waves of 4": ({"annotation": "ppm", "wave": 4}, 256),
    "with a PPM, 4 trees of 4 rollouts": ({"annotation": "ppm", "trees": 4, "rollouts": ROLLOUTS // 4}, 256),
    "with a PPM, all live at once": ({"annotation": "ppm"}, PROBLEMS),
}
"""What differs from SHAPE, and how many searches are live."""

COMMENT = "# Step {i}: take the total of the day before and add what came in, less what was given away\n"
FIRST = [Segment(Kind.STEP, COMMENT.format(i=i) + f"total = {i} * 12 + 7", first=True).render() for i in range(64)]
STEP = [
    Segment(Kind.STEP, COMMENT.format(i=i) + f"total = total * 3 - {i}\nleft = total % 17").render() for i in range(64)
]
LAST = [Segment(Kind.LAST_STEP, f"# Now print the final answer\nprint(total - {i})").render() for i in range(64)]
PROBLEM = (
    "A shop had {i} crates of apples, sold a third of them and bought twice as many again. How many are there now?"
)


class Instant:
    """Replies made beforehand. About a tenth of the steps fail; behind the third, one in four prints the answer."""

    def __init__(self) -> None:
        first, step, last = ([Completion(text, 40) for text in texts] for texts in (FIRST, STEP, LAST))
        self.opening = [[first[(i * 7 + k * 13) % 64] for k in range(CANDIDATES)] for i in range(64)]
        self.going_on = [[step[(i * 7 + k * 13) % 64] for k in range(CANDIDATES)] for i in range(64)]
        self.ending = [
            [(last if k % 4 == i % 4 else step)[(i * 7 + k * 13) % 64] for k in range(CANDIDATES)] for i in range(64)
        ]
        ran, printed = StepResult(Status.OK, "state"), StepResult(Status.OK, "state", stdout="480\n")
        failed = StepResult(Status.EXCEPTION, error="NameError: name 'x' is not defined (line 2)")
        self.results = {
            code_of(text): failed if i % 10 == 3 else ran for t in (FIRST, STEP) for i, text in enumerate(t)
        }
        self.results |= {code_of(text): printed for text in LAST}
        self.judged = [Judgement(Verdict.DIFFERENT, "number"), Judgement(Verdict.EQUIVALENT, "number")]

    def __call__(self, call: Call) -> Reply:
        match call:
            case Generate(prompt=prompt, seed=seed):
                if not prompt.endswith(END_STEP):
                    return self.opening[seed % 64]
                return (self.ending if prompt.count(END_STEP) > 3 else self.going_on)[seed % 64]
            case Execute(codes=codes):
                return [self.results[code] for code in codes]
            case Score(prefixes=prefixes):
                return [(len(prefix) * 37 % 255 - 127) / 128 for prefix in prefixes]
            case Verify(answers=answers):
                return [self.judged[len(answers) % 2]] * len(answers)


def code_of(text: str) -> str:
    """A step's code, as the grammar reads it."""
    segment = Grammar(answer="printed").read(text, "" if text in FIRST else FIRST[0])
    assert segment is not None
    return segment.body


def measure(name: str, problems: int) -> dict[str, float]:
    """A row's figures: CPU of all its searches, and the memory of the process at its largest."""
    changes, live = ROWS[name]
    cfg = SHAPE.model_copy(update=changes)
    prompts, world = Prompts(Grammar(answer="printed")), Instant()
    driver = Driver({lane_name: lane(world) for lane_name in LANES}, live)
    asked = [Problem(str(i), PROBLEM.format(i=i), "480") for i in range(problems)]
    count = {"rollouts": 0, "nodes": 0, "calls": 0}

    async def search() -> None:
        searches = ((p.id, mcts(p, prompts, cfg, Seeds(0, p.id))) for p in asked)
        async for outcome in driver.run(searches):
            if outcome.result is None:
                raise SystemExit(f"a search failed: {outcome.error}")
            count["rollouts"] += outcome.result.rollouts
            count["nodes"] += len(outcome.result.nodes)
            count["calls"] += outcome.result.cost.calls

    memory_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    cpu_s, clock_s = time.process_time(), time.monotonic()
    asyncio.run(search())
    cpu_s, clock_s = time.process_time() - cpu_s, time.monotonic() - clock_s
    batches = sum(one.stats.batches for one in driver.lanes.values())
    return {
        "cpu_ms": 1e3 * cpu_s / count["rollouts"],
        "cpu_us_per_node": 1e6 * cpu_s / count["nodes"],
        "nodes_per_rollout": count["nodes"] / count["rollouts"],
        "calls_per_batch": sum(one.stats.calls for one in driver.lanes.values()) / batches,
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "start_gb": memory_gb,
        "clock_s": clock_s,
        "rollouts": count["rollouts"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the problems: a look, not a measurement")
    parser.add_argument("--profile", choices=list(ROWS), help="where a row's time goes")
    options = parser.parse_args()
    problems = PROBLEMS // 10 if options.quick else PROBLEMS
    if options.profile:
        with cProfile.Profile() as profile:
            measure(options.profile, problems)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    figures = {}
    for name in ROWS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures[name] = pool.apply(measure, (name, problems))
    table = Table("MCTS", "CPU ms/rollout", "CPU us/node", "nodes/rollout", "calls/batch", "peak GB", "rollouts", "s")
    for name, row in figures.items():
        table.add_row(
            name, f"{row['cpu_ms']:.3f}", f"{row['cpu_us_per_node']:.1f}", f"{row['nodes_per_rollout']:.1f}",
            f"{row['calls_per_batch']:.1f}", f"{row['memory_gb']:.3f}", f"{row['rollouts']:.0f}",
            f"{row['clock_s']:.1f}",
        )  # fmt: skip
    Console(width=120).print(table)
    most_ms = max(row["cpu_ms"] for row in figures.values())
    most_gb = max(row["memory_gb"] for row in figures.values())
    bars = {"most_cpu_ms": most_ms, "most_gb": most_gb, "times_less_than_public": PUBLIC_MS / most_ms}
    ok = most_ms <= BAR_MS and most_gb <= BAR_GB
    rounded = {name: {key: round(value, 3) for key, value in row.items()} for name, row in figures.items()}
    print(json.dumps({"name": "search_overhead", "ok": ok, "figures": bars | {"rows": rounded}}))


if __name__ == "__main__":
    main()
