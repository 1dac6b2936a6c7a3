"""An evolution over several seeds against its control.

    python benchmarks/evolution.py configs/demo.yaml --seeds 1 2 3

Prints each round's held-out pass@1 of policy and control by seed, and the difference with a paired bootstrap over
problems, all seeds of a problem together; the last line is JSON. `--test-seed` asks held-out problems that are drawn
from another seed than those of the config, by which its settings were chosen; those that the run knows are left out.
`--unseen` leaves out held-out problems that stand word for word among those that the run learns from. The run's own
figures of search and PPM, which are of all its held-out problems, are shown without either.
The bars, for the mean over seeds: the policy rises in every round and ends at `--ends`; in the last round it beats its
control by `--points`, and the interval of the difference lies above 0. Finished runs are reused.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import orjson

from rstar.cli.screen import progress, told
from rstar.core.problem import Problem
from rstar.evaluate.report import markdown, percent
from rstar.evaluate.seeds import Measure, count, difference, figure, figure_of_seeds, shares
from rstar.paper.runs import Run, beside_control, finished, greedy, levels_of, right
from rstar.pipeline.inspect import summaries
from rstar.pipeline.prepare import problems as sets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="+", help="config files and overrides, as `rstar evolve` takes them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--points", type=float, default=10.0, help="the bar, in points of held-out pass@1")
    parser.add_argument("--ends", type=float, default=0.0, help="the bar for the last round's pass@1, in %%")
    parser.add_argument("--test-seed", type=int, help="ask held-out problems that are drawn from this seed instead")
    parser.add_argument("--unseen", action="store_true", help="only held-out problems whose text is not learned from")
    asked = parser.parse_args()
    paper = beside_control(asked.config, seeds=asked.seeds, test_seed=asked.test_seed)
    with progress(quiet=False) as report:
        runs = finished(paper, report)
        numbers = range(1, runs[0].last + 1)
        problems = {run.seed: _asked(run, asked.unseen) for run in runs}
        policies = [_solved(runs, number, "policy", problems) for number in numbers]
        controls = [policies[0], *(_solved(runs, number, "control", problems) for number in numbers[1:])]
    shared = [
        (figure_of_seeds(policy), figure_of_seeds(control)) for policy, control in zip(policies, controls, strict=True)
    ]
    its_own = asked.test_seed is None and not asked.unseen
    rows: list[list[str]] = []
    table: list[dict[str, Any]] = []
    for run in runs:
        for one, (policy, control) in zip(summaries(run.paths.folder)[: run.last], shared, strict=True):
            ours = {"policy": policy[run.seed], "control": control[run.seed]}
            table.append({"seed": run.seed, "round": one["round"], **ours})
            cells = [str(run.seed), str(one["round"]), percent(one["coverage"]["solved"] / one["coverage"]["problems"])]
            cells += map(percent, ours.values())
            if its_own:
                search, pairs = one["search"], one["pairs"]
                cells += [percent(search["accuracy"]["share"] if search else None)]
                cells += [percent(pairs[kind]["share"] if pairs else None) for kind in ("step", "answer")]
            rows.append(cells)
    header = ["seed", "round", "coverage", "policy pass@1", "control pass@1"]
    print(markdown([*header, "search", "step pairs", "answer pairs"] if its_own else header, rows))
    gain = difference(controls[-1], policies[-1])
    mean, (low, high) = gain.mean or 0.0, gain.interval or (0.0, 0.0)
    by_round = [figure(policy).mean or 0.0 for policy in policies]
    rises = all(before < after for before, after in pairwise(by_round))
    result = {
        "name": "evolution",
        "problems": count(policies[-1]),
        "by_level": dict(sorted(Counter(levels_of(problems[runs[0].seed]).values()).items())),
        "ok": bool(rises and 100 * by_round[-1] >= asked.ends and 100 * mean >= asked.points and low > 0),
        "policy": [round(100 * share, 2) for share in by_round],
        "points_over_control": [round(100 * (value or 0.0), 2) for value in gain.by_seed.values()],
        "mean": round(100 * mean, 2),
        "interval": [round(100 * low, 2), round(100 * high, 2)],
        "rounds": table,
    }
    print(orjson.dumps(result).decode())
    return 0 if result["ok"] else 1


def _solved(
    runs: list[Run], number: int, who: Literal["policy", "control"], problems: Mapping[int, list[Problem]]
) -> Measure:
    """What a round's policy, or its control, solved of each seed's problems."""
    return shares({run.seed: right(greedy(run, number, who), problems[run.seed]) for run in runs})


def _asked(run: Run, unseen: bool) -> list[Problem]:
    """The held-out problems, or those among them whose text the run never learns from."""
    asked = run.held_out(None)
    known = replace(sets(run.cfg)[0], test=asked).seen() if unseen else set()
    return [problem for problem in asked if problem.id not in known]


if __name__ == "__main__":
    with told():
        sys.exit(main())
