"""Value models of every kind on one fixed set of trees.

    python benchmarks/reward_models.py --seeds 1 2 3
    python benchmarks/reward_models.py runs/demo --seeds 1 2 3

Makes the trees (or takes those of a finished run): the rounds of configs/demo.yaml without their PPMs, then one tree
for each of some held-out problems by the last round's policy, unguided, the reference hidden and graded afterwards.
Each kind of model is trained on the rounds' trees, from the last round's policy, once for every seed, for as many steps
on as many texts. On the held-out trees it is asked

- how often it ranks a step pair, and a pair of whole solutions, as the outcome does (pairs as in training, from
  terminal-guided Q-values; failed steps, which no search scores, left out);
- best@k: how often the best-scored of k solutions, drawn once from each tree, is right, where a solution's score is
  that of its last step, the least of its steps', or their product.

Beside them stand random choice (its expectation), the majority vote, and any@k, the most that choosing can reach. The
last line is JSON. The bar: the mean best@k of the PPM is above random choice.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import orjson

from rstar.cli.screen import progress
from rstar.config.run import RunConfig
from rstar.config.search import MctsConfig
from rstar.config.train import (
    FROM_PAIRS,
    AnyValueModel,
    HardConfig,
    OrmConfig,
    PpmConfig,
    PqmConfig,
    PrmConfig,
    QvmConfig,
    RestMctsConfig,
    SoftConfig,
)
from rstar.core.tree import Terminal, Tree
from rstar.engine.hf import HfValue
from rstar.evaluate.answer import vote
from rstar.evaluate.metrics import pair_accuracy
from rstar.evaluate.report import markdown
from rstar.paper.judge import HOW, paired, score
from rstar.pipeline.evaluate import evaluation, first_of_each_level
from rstar.pipeline.inspect import config
from rstar.pipeline.prepare import content, paths_of, problems
from rstar.pipeline.progress import Progress
from rstar.pipeline.round import evolve
from rstar.pipeline.search import grammar_of
from rstar.pipeline.values import Predictor, write_data
from rstar.search.reward import solution_score
from rstar.store.layout import CHECKPOINT, TREES
from rstar.store.trees import read_trees
from rstar.train.job import ValueJob
from rstar.train.value import train_value

KINDS: dict[str, type[AnyValueModel]] = {
    "ppm": PpmConfig,
    "pqm": PqmConfig,
    "orm": OrmConfig,
    "prm": PrmConfig,
    "qvm": QvmConfig,
    "qvm_fitted": QvmConfig,
    "hard": HardConfig,
    "soft": SoftConfig,
    "rest_mcts": RestMctsConfig,
}
DEFAULT = [kind for kind in KINDS if kind != "qvm_fitted"]
"""Fitted Q-iteration trains a model for each of its iterations: it is compared when asked for."""
TREES_ONLY = ["control=false", "ppm=null", "evaluate.search=null"]
SHARED = {"optimizer": "muon", "lr": 1e-3, "schedule": "cosine", "warmup": 10, "weight_decay": 0.05}


@dataclass
class HeldOut:
    """A held-out tree, the k solutions that are chosen among, and the nodes that must be scored."""

    tree: Tree
    solutions: list[int]
    asked: list[int] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "config",
        nargs="*",
        default=["configs/demo.yaml", "name=reward-models"],
        help="files and overrides, or the folder of a run",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="seeds of the trainings")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=DEFAULT)
    parser.add_argument("--k", type=int, default=8, help="solutions a problem")
    parser.add_argument("--problems", type=int, default=50, help="held-out problems a level")
    parser.add_argument("--steps", type=int, default=120, help="optimizer steps of each training")
    parser.add_argument("--texts", type=int, default=64, help="texts in one step: a pair has two")
    asked = parser.parse_args()
    started = time.process_time()
    finished = Path(asked.config[0]).is_dir()
    cfg = config(asked.config if finished else [*asked.config, *TREES_ONLY])
    with progress(quiet=False) as report:
        if not finished:
            evolve(cfg, report)
        trees = held_out(cfg, asked.problems, asked.k, report)
        figures = baselines(trees)
        with tempfile.TemporaryDirectory(prefix="rstar-reward-models-") as folder:
            for kind in asked.kinds:
                figures |= compare(cfg, kind, asked, trees, Path(folder), report)
    header = ["model", "step pairs", "answer pairs", *(f"best@{asked.k} {how}" for how in HOW)]
    print(markdown(header, list(cells(figures))))
    print(f"\n{len(trees)} held-out trees; mean over seeds {asked.seeds} (least to most)")
    ppm, chance = figures.get("ppm"), figures["random choice"]["last"][0]
    result = {
        "name": "reward_models",
        "ok": ppm is None or mean(ppm["last"]) > chance,
        "seeds": asked.seeds,
        "k": asked.k,
        "trees": len(trees),
        "cpu_seconds": round(time.process_time() - started, 1),
        "figures": {
            name: {what: [round(x, 4) for x in xs] for what, xs in row.items()} for name, row in figures.items()
        },
    }
    print(orjson.dumps(result).decode())
    return 0 if result["ok"] else 1


Figures = dict[str, list[float]]
"""What was measured -> its value for each seed."""


def held_out(cfg: RunConfig, count: int, k: int, report: Progress) -> list[HeldOut]:
    """One unguided tree a problem, the same for every model, and what is chosen from it."""
    how = MctsConfig(**{**cfg.rounds[-1].search.model_dump(), "annotation": "terminal"})
    made, manifest = problems(cfg)
    run = paths_of(cfg)
    folder = run.folder / "evaluations" / f"held-out-{count}"
    models = {"policy": run.round(len(cfg.rounds)).policy}
    chosen = first_of_each_level(made.test, count)
    evaluation(cfg, how, chosen, content(manifest), models, folder, "held-out trees", report)
    return [_prepared(tree, k) for tree in read_trees(folder / TREES)]


def _prepared(tree: Tree, k: int) -> HeldOut:
    answered = [i for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]
    drawn = random.Random(tree.problem.id).sample(answered, min(k, len(answered)))
    # A step that failed is never scored by a search; these did not.
    solutions = {i for leaf in drawn for i in tree.path(leaf)}
    return HeldOut(tree, drawn, sorted(solutions.union(paired(tree))))


def baselines(trees: Sequence[HeldOut]) -> dict[str, Figures]:
    """Choosing without a model; a tree without an answer counts as wrong."""
    right = [[one.tree.nodes[i].correct for i in one.solutions] for one in trees]
    chance = mean(mean(own) if own else 0.0 for own in right)
    voted = mean(bool(one.solutions) and one.tree.nodes[vote(one.tree, one.solutions)].correct for one in trees)
    return {
        "random choice": {"step": [0.5], "answer": [0.5], "last": [chance]},
        "majority vote": {"last": [voted]},
        "any (oracle)": {"last": [mean(any(own) for own in right)]},
    }


def compare(
    cfg: RunConfig, kind: str, asked: argparse.Namespace, trees: Sequence[HeldOut], folder: Path, report: Progress
) -> dict[str, Figures]:
    """Train a kind of model for every seed and judge it; a PRM counts neutral steps as bad, and again as good."""
    batch = asked.texts // 2 if kind in FROM_PAIRS else asked.texts
    training = {**SHARED, "steps": asked.steps, "batch": batch, "micro_batch": batch, "max_length": 256}
    augment = cfg.rounds[-1].policy.augment
    fitted = {"labels": "fitted"} if kind == "qvm_fitted" else {}
    how = KINDS[kind](**training, **fitted, augment=augment and augment.model_copy(update={"verbs": 0.0}))
    number = len(cfg.rounds)
    found: dict[str, Figures] = {}
    for seed in asked.seeds:
        last: Path | None = None
        for i in range(4 if fitted else 1):
            data, out = folder / f"{kind}-{i}.parquet", folder / f"{kind}-{seed}-{i}"
            if fitted or not data.exists():  # only fitted Q-iteration's labels depend on the seed
                predict = None if last is None else Predictor(HfValue(last, device="cpu", dtype=cfg.model.dtype))
                write_data(cfg, number, how, data, predict, kind, report)
            start = paths_of(cfg).round(number).policy / CHECKPOINT
            job = ValueJob(config=how, rows=data, start=start, out=out, seed=seed, device="cpu")
            train_value(job, lambda done, of, loss, seed=seed: report(f"{kind}, seed {seed}", done, of))
            last = out
        assert last is not None
        model = HfValue(last, device="cpu", dtype=cfg.model.dtype)
        for name, neutral in ((kind, "bad"), (f"{kind}, neutral good", "good"))[: 2 if kind == "prm" else 1]:
            model.model.config.neutral = neutral
            judged = judge(cfg, model, trees)
            print(f"{name}, seed {seed}:", ", ".join(f"{what} {100 * x:.1f}" for what, x in judged.items()), flush=True)
            for what, value in judged.items():
                found.setdefault(name, {}).setdefault(what, []).append(value)
    return found


def judge(cfg: RunConfig, model: HfValue, trees: Sequence[HeldOut]) -> dict[str, float]:
    """Pair accuracies and best@k of one model; its scores are left in the trees."""
    best: dict[str, list[bool]] = {how: [] for how in HOW}
    for one in trees:
        tree, nodes = one.tree, one.tree.nodes
        score(model, grammar_of(cfg), [(tree, one.asked)])
        for how, right in best.items():
            scores = {i: solution_score([nodes[at].score or 0.0 for at in tree.path(i)], how) for i in one.solutions}
            chosen = max(one.solutions, key=lambda i: scores[i], default=None)
            right.append(chosen is not None and nodes[chosen].correct)
    pairs = pair_accuracy(one.tree for one in trees)
    ranked = {name: rate.share if rate.share is not None else float("nan") for name, rate in pairs.items()}
    return ranked | {how: mean(right) for how, right in best.items()}


def cells(figures: dict[str, Figures]) -> Iterator[list[str]]:
    for name, row in figures.items():
        yield [name, *(_shown(row.get(what, [])) for what in ("step", "answer", *HOW))]


def _shown(values: list[float]) -> str:
    if not values:
        return "–"
    middle = f"{100 * mean(values):.1f}"
    return middle if len(values) == 1 else f"{middle} ({100 * min(values):.1f}–{100 * max(values):.1f})"


if __name__ == "__main__":
    sys.exit(main())
