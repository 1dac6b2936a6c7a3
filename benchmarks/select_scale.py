"""Selection at the paper's scale: how fast, how much memory, and does either depend on how many problems there are?

    python benchmarks/select_scale.py [--trees 100000] [--folder DIR] [--profile]

MADE synthetic problems are searched by MCTS with 16 rollouts and 8 candidates in a scripted world (no model answers;
steps are real text, code is really added up), and their trees are written again and again under other ids until there
are TREES of them, in sealed parts as a search leaves them. Selection then streams them: SFT rows, preference pairs,
trust report and suspects, the files hashed as a stage hashes them. A tenth of the trees is selected from first, in a
process of its own like the whole.

The bars: at least BAR trees a CPU-second and at most BAR_GB of memory at TREES, and a cost a tree that differs by less
than a tenth between the two. The last line is JSON: name, ok, figures; `projected` is for the paper's 747,000 problems.
"""

import argparse
import cProfile
import gzip
import json
import multiprocessing
import os
import pstats
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from rstar.config.run import SelectConfig
from rstar.config.search import MctsConfig
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.engine.scripted import ScriptedWorld
from rstar.pipeline.select import RoundData
from rstar.search.calls import Seeds, drive
from rstar.search.mcts import mcts
from rstar.store.fingerprint import file_sha256
from rstar.store.trees import PART_SIZE, read_grouped
from rstar.text.grammar import Grammar
from rstar.text.prompts import Prompts

TREES, MADE, PAPER, WARM = 100_000, 300, 747_000, 50
BAR, BAR_GB, BAR_DRIFT = 2_000.0, 1.5, 0.1
SEARCH = MctsConfig(rollouts=16, candidates=8)
WORLD = ScriptedWorld(1, branching=8, ending=0.4)
TEXT = (
    "A shop had {i} crates of apples, sold a third of them and bought twice as many again. Half of what it had then was"
    " given to a school, and of the rest a tenth was spoilt. How many crates were left?"
)


def searched(i: int) -> Tree:
    """The tree of one problem whose reference is the answer that it comes to most often: right ends and wrong ones."""
    tree = grown(Problem(str(i), TEXT.format(i=i), "?"), i)
    answers = Counter(node.answer for node in tree.nodes if node.answer is not None)
    reference = answers.most_common(1)[0][0] if answers else "0"
    return grown(Problem(str(i), TEXT.format(i=i), reference, f"Level {i % 5 + 1}", source=f"source {i % 7}"), i)


def grown(problem: Problem, i: int) -> Tree:
    return drive(mcts(problem, Prompts(Grammar()), SEARCH, Seeds(0, str(i))), WORLD)


def make(folder: Path, count: int) -> dict[str, float]:
    """Write `count` trees into sealed parts; returns what a tree is like on average."""
    trees = [searched(i) for i in range(MADE)]
    lines = [orjson.dumps(tree.to_json()) for tree in trees]
    marks = [b'"id":"%d"' % i for i in range(MADE)]
    packed = 0
    for start in range(0, count, PART_SIZE):
        part = b"".join(
            lines[i % MADE].replace(marks[i % MADE], b'"id":"%s"' % name(i).encode(), 1) + b"\n"
            for i in range(start, min(start + PART_SIZE, count))
        )
        path = folder / f"pass-0-{start // PART_SIZE:05d}.jsonl.gz"
        path.write_bytes(gzip.compress(part, 6, mtime=0))
        packed += path.stat().st_size
    return {
        "nodes": sum(len(tree.nodes) for tree in trees) / MADE,
        "ends": sum(sum(1 for _ in tree.leaves()) for tree in trees) / MADE,
        "bytes": sum(map(len, lines)) / MADE,
        "packed_bytes": packed / count,
    }


def name(i: int) -> str:
    return f"problem-{i:07d}"


def names(count: int) -> Iterator[str]:
    return (name(i) for i in range(count))


def select(folder: Path, count: int) -> dict[str, float]:
    """Select from the first `count` trees; figures of this process, all that it imports being there."""
    if count > WARM:
        select(folder, WARM)
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        start, clock = time.process_time(), time.monotonic()
        files = RoundData(Path(out), Grammar(), SelectConfig(), 2)
        counts = files.write(first(folder, count))
        for path in files.parts(counts):
            file_sha256(Path(out) / path)
        cpu_s, clock_s = time.process_time() - start, time.monotonic() - clock
        size = sum(path.stat().st_size for path in Path(out).iterdir())
    return {
        "trees": count,
        "trees_per_cpu_s": count / cpu_s,
        "cpu_us_per_tree": 1e6 * cpu_s / count,
        "clock_s": clock_s,
        "peak_gb": peak_gb(),
        "sft_rows": counts["sft_rows"],
        "pair_rows": counts["pair_rows"],
        "suspects": counts["suspects"],
        "bytes_per_tree": size / count,
    }


def first(folder: Path, count: int) -> Iterator[list[Tree]]:
    for done, trees in enumerate(read_grouped(folder, names(len(os.listdir(folder)) * PART_SIZE))):
        if done == count:
            return
        yield trees


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=TREES, help="how many trees (a multiple of 1000)")
    parser.add_argument("--folder", type=Path, help="where the trees are made for a while (about 0.2 GB)")
    parser.add_argument("--profile", action="store_true", help="where the time goes, over a tenth of the trees")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as work:
        folder = Path(work) / "trees"
        folder.mkdir()
        like = make(folder, options.trees)
        if options.profile:
            with cProfile.Profile() as profile:
                select(folder, options.trees // 10)
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
            return
        rows = []
        for count in (options.trees // 10, options.trees):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                rows.append(pool.apply(select, (folder, count)))
    small, whole = rows
    drift = whole["cpu_us_per_tree"] / small["cpu_us_per_tree"] - 1
    table = Table("trees", "trees/CPU-s", "CPU us/tree", "s", "peak GB", "SFT rows", "pairs", "suspects")
    for row in rows:
        table.add_row(
            f"{row['trees']:,}", f"{row['trees_per_cpu_s']:,.0f}", f"{row['cpu_us_per_tree']:.0f}",
            f"{row['clock_s']:.1f}", f"{row['peak_gb']:.2f}", f"{row['sft_rows']:,}", f"{row['pair_rows']:,}",
            f"{row['suspects']:,}",
        )  # fmt: skip
    Console(width=120).print(table)
    figures = {
        "trees_per_cpu_s": whole["trees_per_cpu_s"],
        "peak_gb": whole["peak_gb"],
        "drift": drift,
        "tree": like,
        "projected": {
            "problems": PAPER,
            "cpu_s": PAPER / whole["trees_per_cpu_s"],
            "peak_gb": whole["peak_gb"],
            "trees_gb": PAPER * like["packed_bytes"] / 1e9,
            "files_gb": PAPER * whole["bytes_per_tree"] / 1e9,
            "pair_rows": round(PAPER * whole["pair_rows"] / whole["trees"]),
        },
        "rows": rows,
    }
    ok = whole["trees_per_cpu_s"] >= BAR and whole["peak_gb"] <= BAR_GB and abs(drift) < BAR_DRIFT
    print(json.dumps({"name": "select_scale", "ok": ok, "figures": rounded(figures)}))


def rounded(value: object) -> object:
    """Figures with as many digits as they deserve."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
