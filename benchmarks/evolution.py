"""An evolution over several seeds against its control.

    python benchmarks/evolution.py configs/demo.yaml --seeds 1 2 3

Prints each round's held-out pass@1 of policy and control by seed, and the difference with a paired bootstrap over
problems, all seeds of a problem together; the last line is JSON. The bars, for the mean over seeds: the policy rises
in every round and ends at `--ends`; in the last round it beats its control by `--points`, and the interval of the
difference lies above 0. Finished runs are reused.
"""

import argparse
import sys
from itertools import pairwise
from statistics import fmean
from typing import Any

import orjson

from rstar.cli.screen import progress
from rstar.config.paper import PaperConfig
from rstar.evaluate.report import markdown
from rstar.evaluate.seeds import Measure, difference, shares
from rstar.paper.runs import Run, finished, right
from rstar.pipeline.inspect import config, summaries


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="+", help="config files and overrides, as `rstar evolve` takes them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--points", type=float, default=10.0, help="the bar, in points of held-out pass@1")
    parser.add_argument("--ends", type=float, default=0.0, help="the bar for the last round's pass@1, in %%")
    asked = parser.parse_args()
    evolution = (*asked.config, "control=true")
    paper = PaperConfig(evolution=evolution, seeds=tuple(asked.seeds), runs=config(evolution).runtime.runs)
    with progress(quiet=False) as report:
        runs = finished(paper, report)
    rows: list[list[str]] = []
    table: list[dict[str, Any]] = []
    for run in runs:
        for one in summaries(run.paths.folder)[: run.last]:
            policy, control = one["policy"]["accuracy"]["share"], one["control"]["accuracy"]["share"]
            search, pairs = one["search"], one["pairs"]
            table.append({"seed": run.seed, "round": one["round"], "policy": policy, "control": control})
            cells = [str(run.seed), str(one["round"]), _share(one["coverage"]), _percent(policy), _percent(control)]
            cells.append(_percent(search["accuracy"]["share"]) if search else "–")
            cells += [_percent(pairs[kind]["share"]) if pairs else "–" for kind in ("step", "answer")]
            rows.append(cells)
    header = ["seed", "round", "coverage", "policy pass@1", "control pass@1", "search", "step pairs", "answer pairs"]
    print(markdown(header, rows))
    gain = difference(_solved(runs, "control"), _solved(runs, "policy"))
    mean, (low, high) = gain.mean or 0.0, gain.interval or (0.0, 0.0)
    by_round = [fmean(row["policy"] for row in table if row["round"] == n) for n in range(1, runs[0].last + 1)]
    rises = all(before < after for before, after in pairwise(by_round))
    result = {
        "name": "evolution",
        "ok": bool(rises and 100 * by_round[-1] >= asked.ends and 100 * mean >= asked.points and low > 0),
        "policy": [round(100 * share, 2) for share in by_round],
        "points_over_control": [round(100 * (value or 0.0), 2) for value in gain.by_seed.values()],
        "mean": round(100 * mean, 2),
        "interval": [round(100 * low, 2), round(100 * high, 2)],
        "rounds": table,
    }
    print(orjson.dumps(result).decode())
    return 0 if result["ok"] else 1


def _solved(runs: list[Run], who: str) -> Measure:
    """What the last round's policy, or its control, solved of the held-out problems."""
    return shares({run.seed: right(run.round(run.last).folder / "eval" / who, run.held_out(None)) for run in runs})


def _share(coverage: dict[str, Any]) -> str:
    return _percent(coverage["solved"] / coverage["problems"])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


if __name__ == "__main__":
    sys.exit(main())
