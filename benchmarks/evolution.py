"""An evolution over several seeds against its control.

    python benchmarks/evolution.py configs/demo.yaml --seeds 1 2 3

Prints each round's held-out pass@1 of policy and control by seed, and the difference with a paired bootstrap over
problems; the last line is JSON. The bar: in the last round the policy beats its control by `--points` for the mean over
seeds, and the interval of the difference lies above 0. Finished runs are reused.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from scipy.stats import bootstrap

from rstar.cli.screen import progress
from rstar.evaluate.report import markdown
from rstar.pipeline.inspect import config
from rstar.pipeline.prepare import paths_of
from rstar.pipeline.round import evolve
from rstar.store.layout import ANSWERS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="+", help="config files and overrides, as `rstar evolve` takes them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--points", type=float, default=10.0, help="the bar, in points of held-out pass@1")
    asked = parser.parse_args()
    rows: list[list[str]] = []
    last: list[np.ndarray] = []
    table: list[dict[str, Any]] = []
    for seed in asked.seeds:
        cfg = config([*asked.config, f"seed={seed}", "control=true"])
        cfg = cfg.model_copy(update={"name": f"{cfg.name}-seed-{seed}"})
        with progress(quiet=False) as report:
            rounds = evolve(cfg, report)
        for one in rounds:
            policy, control = one["policy"]["accuracy"]["share"], one["control"]["accuracy"]["share"]
            search, pairs = one["search"], one["pairs"]
            table.append({"seed": seed, "round": one["round"], "policy": policy, "control": control})
            cells = [str(seed), str(one["round"]), _share(one["coverage"]), _percent(policy), _percent(control)]
            cells.append(_percent(search["accuracy"]["share"]) if search else "–")
            cells += [_percent(pairs[kind]["share"]) if pairs else "–" for kind in ("step", "answer")]
            rows.append(cells)
        final = paths_of(cfg).round(len(rounds))
        policy_right, control_right = _right(final.eval_policy), _right(final.eval_control)
        last.append(np.array([policy_right[name] - control_right[name] for name in policy_right], dtype=float))
    header = ["seed", "round", "coverage", "policy pass@1", "control pass@1", "search", "step pairs", "answer pairs"]
    print(markdown(header, rows))
    gains = [100 * float(difference.mean()) for difference in last]
    every = np.concatenate(last)
    ends = bootstrap((every,), np.mean, n_resamples=2000, rng=np.random.default_rng(0)).confidence_interval
    result = {
        "name": "evolution",
        "ok": bool(np.mean(gains) >= asked.points and ends.low > 0),
        "points_over_control": [round(gain, 2) for gain in gains],
        "mean": round(float(np.mean(gains)), 2),
        "interval": [round(100 * float(ends.low), 2), round(100 * float(ends.high), 2)],
        "rounds": table,
    }
    print(orjson.dumps(result).decode())
    return 0 if result["ok"] else 1


def _right(folder: Path) -> dict[str, bool]:
    rows = [orjson.loads(line) for line in (folder / ANSWERS).read_bytes().splitlines()]
    return {row["id"]: row["correct"] for row in rows}


def _share(coverage: dict[str, Any]) -> str:
    return _percent(coverage["solved"] / coverage["problems"])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


if __name__ == "__main__":
    sys.exit(main())
