"""Searching problems into a stage: failures are data up to a limit, and a stage goes on where it stopped."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from rstar.config.run import RunConfig
from rstar.core.problem import Demonstration, Problem
from rstar.data.demonstrator import Demonstrator
from rstar.errors import RolloutError, StageFailed
from rstar.pipeline.engines import Models
from rstar.pipeline.progress import silent
from rstar.pipeline.search import Pass, coverage, grammar_of, search_stage, unsolved
from rstar.search.calls import Completion, Generate
from rstar.store import manifest
from rstar.store.manifest import stage
from rstar.store.trees import read_trees
from rstar.text.prompts import Prompts
from tests.pipeline import tiny

DEMONSTRATIONS = [
    Demonstration(Problem(row["id"], row["problem"], row["answer"], row["level"]), tuple(tiny.worked(row)["steps"]))
    for row in tiny.KNOWN
]
PROBLEMS = [demonstration.problem for demonstration in DEMONSTRATIONS]
Policy = Callable[[Generate], list[Completion]]


@pytest.fixture
def cfg(tmp_path) -> RunConfig:
    tiny.prepare(tmp_path)
    return tiny.config(tmp_path, "search.rollouts=2", "search.candidates=2")


def searched(cfg: RunConfig, folder: Path, policy: Policy, retry: bool = False, finish: bool = True) -> list[tuple]:
    """Search all problems into a stage; returns what was said about progress."""
    told: list[tuple] = []
    prompts = Prompts(grammar_of(cfg))
    passes = [Pass(cfg.rounds[0].search, prompts)] + [Pass(cfg.rounds[0].search, prompts, attempt=1)] * retry
    with stage(folder, "search", {"seed": 1}, {}) as it:
        files = search_stage(
            it, cfg, PROBLEMS, Models({"policy": policy}), passes, lambda *what: told.append(what), "search"
        )
        if finish:
            it.finish(files, coverage(read_trees(folder / "trees")), 0.0)
    return told


def without(*names: str, noise: float = 0.3) -> Demonstrator:
    """A teacher that has no demonstration of some problems."""
    return Demonstrator([d for d in DEMONSTRATIONS if d.problem.id not in names], noise)


def failures(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]


def test_too_many_failures_stop_the_stage_and_a_mend_goes_on(cfg, tmp_path):
    folder = tmp_path / "stage"
    with pytest.raises(StageFailed) as caught:
        searched(cfg, folder, without("w3", "w7"))
    said = str(caught.value)
    assert "2 of 10 problems failed (w3: demonstrations: there is no demonstration for this problem)" in said
    assert str(folder / "failures.jsonl") in said
    assert failures(folder) == [
        {
            "problem": name,
            "attempt": 0,
            "boundary": "demonstrations",
            "error": "there is no demonstration for this problem",
            "times": 1,
        }
        for name in ("w3", "w7")
    ]
    assert manifest.read(folder).status == "open"
    kept = set((folder / "trees" / "pass-0-00000.jsonl").read_bytes().splitlines())
    assert len(kept) == 8

    with pytest.raises(StageFailed):
        searched(cfg, folder, without("w3", "w7"))
    assert [row["times"] for row in failures(folder)] == [2, 2]

    told = searched(cfg, folder, without())
    assert told[0] == ("search", 8, 10)
    assert failures(folder) == []
    assert manifest.read(folder).status == "complete"
    assert manifest.check(folder) == ([], [])
    mended = gzip.decompress((folder / "trees" / "pass-0-00000.jsonl.gz").read_bytes()).splitlines()
    assert kept < set(mended)

    searched(cfg, tmp_path / "undisturbed", without())
    assert (
        mended
        == gzip.decompress((tmp_path / "undisturbed" / "trees" / "pass-0-00000.jsonl.gz").read_bytes()).splitlines()
    )


def test_failures_below_the_limit_are_rows_of_the_finished_stage(cfg, tmp_path):
    folder = tmp_path / "stage"
    tolerant = cfg.model_copy(update={"runtime": cfg.runtime.model_copy(update={"max_failure_rate": 0.1})})
    searched(tolerant, folder, without("w3"))
    found = manifest.read(folder)
    assert (found.status, found.metrics["problems"]) == ("complete", 9)
    assert {part.path: part.rows for part in found.parts} == {"failures.jsonl": 1, "trees/pass-0-00000.jsonl.gz": 9}
    assert [row["problem"] for row in failures(folder)] == ["w3"]


def test_a_tree_on_disk_is_never_searched_again(cfg, tmp_path):
    """Finished trees are marked; a second search of a problem would wipe its mark out."""
    folder = tmp_path / "stage"
    with pytest.raises(StageFailed):
        searched(cfg, folder, without("w0", "w5"))
    path = folder / "trees" / "pass-0-00000.jsonl"
    trees = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(orjson.dumps(tree | {"rollouts": 777}) + b"\n" for tree in trees))
    asked: list[str] = []

    def watched(call: Generate) -> list[Completion]:
        asked.append(call.prompt)
        return without()(call)

    searched(cfg, folder, watched)
    marks = {tree.problem.id: tree.rollouts == 777 for tree in read_trees(folder / "trees")}
    assert marks == {problem.id: problem.id not in ("w0", "w5") for problem in PROBLEMS}
    assert {problem.id for problem in PROBLEMS if any(problem.text in prompt for prompt in asked)} == {"w0", "w5"}


class Moody:
    """A teacher that fails on one problem the first time it is asked about it, and always spoils its steps."""

    def __init__(self, name: str):
        self.text = next(problem.text for problem in PROBLEMS if problem.id == name)
        self.failed = False
        self.teacher = without(noise=0.0)

    def __call__(self, call: Generate) -> list[Completion]:
        if self.text in call.prompt and not self.failed:
            self.failed = True
            raise RolloutError("engine", "out of memory")
        return self.teacher(call)


def test_what_failed_in_a_pass_is_settled_once_the_next_has_begun(cfg, tmp_path):
    """A restart in the second pass neither searches the problem twice nor loses track of who was asked."""
    folder = tmp_path / "stage"
    tolerant = cfg.model_copy(update={"runtime": cfg.runtime.model_copy(update={"max_failure_rate": 0.1})})
    searched(tolerant, folder, Moody("w4"), retry=True, finish=False)
    assert [tree.problem.id for tree in read_trees(folder / "trees", "pass-1-*")] == ["w4"]
    before = {path.name: path.read_bytes() for path in (folder / "trees").iterdir()}
    # As a kill would leave the second pass: not sealed.
    sealed = folder / "trees" / "pass-1-00000.jsonl.gz"
    sealed.with_suffix("").write_bytes(gzip.decompress(sealed.read_bytes()))
    sealed.unlink()
    searched(tolerant, folder, without(noise=0.0), retry=True)
    assert {path.name: path.read_bytes() for path in (folder / "trees").iterdir()} == before
    assert [(row["problem"], row["attempt"]) for row in failures(folder)] == [("w4", 0)]


def test_a_retry_asks_for_what_no_earlier_pass_solved(cfg, tmp_path):
    folder = tmp_path / "stage"
    searched(cfg, folder, without(noise=0.7), retry=True)
    first = {tree.problem.id: tree for tree in read_trees(folder / "trees", "pass-0-*")}
    left = [name for name, tree in first.items() if not any(node.correct for node in tree.nodes)]
    assert 0 < len(left) < len(PROBLEMS)
    assert [problem.id for problem in unsolved(folder / "trees", PROBLEMS, 1)] == left
    second = list(read_trees(folder / "trees", "pass-1-*"))
    assert [tree.problem.id for tree in second] == left
    assert all(tree.nodes != first[tree.problem.id].nodes for tree in second), "the same seeds were used again"


def test_no_problems_are_no_work(cfg, tmp_path):
    with stage(tmp_path / "stage", "search", {}, {}) as it:
        assert search_stage(it, cfg, [], Models({"policy": without()}), [], silent, "search") == {}
    assert coverage(iter([])) == {"problems": 0, "solved": 0, "levels": {}, "terminals": {}, "cost": {}}


def test_a_setup_runs_in_the_sandbox_before_the_first_step(cfg, tmp_path):
    """Steps call what it defines; what it prints is nowhere; a setup that fails is its problem's failure."""
    good = "def add(n):\n    global x\n    x += n\nx = 10\nprint('hidden')"
    known = Problem("good", "Add 3 to 10.", "13", setup=good)
    wrong = Problem("bad", "Add 3 to 9.", "12", setup="x = 1 / 0")
    steps = ("# add\nadd(3)", "print(x)")
    teacher = Demonstrator([Demonstration(problem, steps) for problem in (known, wrong)], 0.0)
    cfg = cfg.model_copy(update={"runtime": cfg.runtime.model_copy(update={"max_failure_rate": 0.5})})
    with stage(tmp_path / "stage", "search", {"seed": 1}, {}) as it:
        one = Pass(cfg.rounds[0].search, Prompts(grammar_of(cfg)))
        search_stage(it, cfg, [known, wrong], Models({"policy": teacher}), [one], silent, "search")
    (tree,) = read_trees(it.folder / "trees")
    assert tree.problem == known
    assert [node.answer for node in tree.nodes if node.correct] == ["13"]
    assert "hidden" not in str(tree.to_json()["nodes"])
    (row,) = failures(it.folder)
    assert (row["problem"], row["boundary"]) == ("bad", "setup")
    assert row["error"] == "the setup of 'bad' failed (exception): ZeroDivisionError: division by zero (line 1)"
