"""A whole evolution, looked at from all sides: what it leaves on disk is what it says it did."""

import json
from collections import Counter
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from rstar.core.tree import Terminal, Tree
from rstar.evaluate.metrics import pair_accuracy
from rstar.pipeline import inspect
from rstar.pipeline.status import status
from rstar.pipeline.train import control_steps
from rstar.select.trajectories import best
from rstar.store import manifest
from rstar.store.trees import read_trees
from tests.pipeline import tiny


def trees(stage: Path, pattern: str = "*") -> list[Tree]:
    return list(read_trees(stage / "trees", pattern))


def ids(some: list[Tree]) -> list[str]:
    return [tree.problem.id for tree in some]


def is_solved(tree: Tree) -> bool:
    return any(node.correct for node in tree.nodes)


def report(run: Path, number: int) -> dict:
    return json.loads((run / f"round-{number}" / "eval" / "report" / "report.json").read_text())


def metrics(run: Path, stage: str) -> dict:
    return manifest.read(run / stage).metrics


def test_every_stage_is_complete_and_none_is_missing(run):
    rows = status(run)
    assert [row["stage"] for row in rows] == list(tiny.STAGES)
    assert {row["status"] for row in rows} == {"complete"}
    assert all(row["seconds"] is not None for row in rows)


def test_everything_is_as_it_was_sealed(run):
    assert inspect.check(run) == (len(tiny.STAGES), [], [])


def test_nothing_half_written_is_left(run):
    leftovers = [path for path in run.rglob("*") if path.name.endswith(".tmp") or path.suffix == ".jsonl"]
    assert {path.name for path in leftovers} == {
        *("train.jsonl", "test.jsonl", "bootstrap.jsonl"),
        *("suspects.jsonl", "answers.jsonl"),
    }


def test_every_file_is_listed_in_its_manifest(run):
    for stage in tiny.STAGES:
        listed = {part.path for part in manifest.read(run / stage).parts}
        found = {str(path.relative_to(run / stage)) for path in (run / stage).rglob("*") if path.is_file()}
        assert found - listed <= {"manifest.json", ".lock", "train.log"}


def test_the_run_and_its_rounds_are_written_down(run, finished):
    cfg = tiny.config(finished)
    stored = json.loads((run / "run.json").read_text())["config"]
    assert stored["rounds"] == cfg.model_dump(mode="json")["rounds"]
    assert stored["problems"]["train"] == "train.jsonl"
    for number, one in enumerate(cfg.rounds, start=1):
        spec = json.loads((run / f"round-{number}" / "spec.json").read_text())
        assert spec == one.model_dump(mode="json")


def test_inputs_name_the_stages_that_were_used(run):
    made_by = {manifest.read(run / stage).fingerprint: stage for stage in tiny.STAGES}

    def inputs(stage: str) -> dict[str, str]:
        return {name: made_by.get(value, "") for name, value in manifest.read(run / stage).inputs.items()}

    assert inputs("round-1/search") == {"problems": ""}
    assert inputs("round-1/policy") == {"select": "round-1/select", "start": "base"}
    assert inputs("round-1/ppm") == {"select": "round-1/select", "policy": "round-1/policy"}
    assert inputs("round-2/search") == {"problems": "", "policy": "round-1/policy", "ppm": "round-1/ppm"}
    assert inputs("round-2/select") == {"search": "round-2/search", "earlier": "round-1/select"}
    assert inputs("round-2/policy") == {"select": "round-2/select", "start": "round-1/policy"}
    assert inputs("round-2/control") == {"select": "round-1/select", "start": "round-1/policy"}
    assert inputs("round-2/eval/control") == {"problems": "", "policy": "round-2/control"}
    assert inputs("round-2/eval/search") == {"problems": "", "policy": "round-2/policy", "ppm": "round-2/ppm"}


def test_the_bootstrap_searches_its_problems_and_later_rounds_the_training_problems(run):
    assert ids(trees(run / "round-1" / "search")) == [row["id"] for row in tiny.KNOWN]
    first = trees(run / "round-2" / "search", "pass-0-*")
    assert ids(first) == [row["id"] for row in tiny.KNOWN[:4] + tiny.NEW]
    unsolved = [tree.problem.id for tree in first if not is_solved(tree)]
    second = trees(run / "round-2" / "search", "pass-1-*")
    assert ids(second) == unsolved
    assert {tree.attempt for tree in second} == {1}
    assert all(tree.rollouts <= 3 for tree in second)


def test_the_evolution_is_one_in_which_something_happens(run):
    """What the tests below look at is there: right and wrong ends, scores, pairs, rows carried over and replaced."""
    second = trees(run / "round-2" / "search")
    ends = Counter(node.terminal for tree in second for node in tree.nodes)
    assert ends[Terminal.ANSWERED]
    assert ends[Terminal.CODE_ERROR]
    assert any(is_solved(tree) for tree in second)
    assert not all(is_solved(tree) for tree in second)
    assert any(node.score is not None for tree in second for node in tree.nodes)
    data = report(run, 2)["data"]
    assert 0 < data["sft_fresh"] < data["sft_rows"]
    assert 0 < data["pairs_fresh"] < data["pair_rows"]
    assert 0 < report(run, 2)["policy"]["accuracy"]["right"] < len(tiny.HELD_OUT)


@pytest.mark.parametrize("number", [1, 2])
def test_coverage_is_that_of_the_trees(run, number):
    found = trees(run / f"round-{number}" / "search")
    levels = {tree.problem.id: tree.problem.level for tree in found}
    solved = {tree.problem.id for tree in found if is_solved(tree)}
    told = report(run, number)["coverage"]
    assert (told["problems"], told["solved"]) == (len(levels), len(solved))
    assert told["levels"] == {
        level: {
            "problems": sum(its == level for its in levels.values()),
            "solved": sum(levels[name] == level for name in solved),
        }
        for level in set(levels.values())
    }
    assert told["cost"]["nodes"] == sum(len(tree.nodes) for tree in found)
    assert told["cost"]["executions"] == sum(tree.cost.executions for tree in found)
    assert sum(told["terminals"].values()) == sum(1 for tree in found for _ in tree.leaves())


@pytest.mark.parametrize(
    ("number", "name"), [(1, "policy"), (2, "policy"), (2, "control"), (1, "search"), (2, "search")]
)
def test_accuracy_is_that_of_the_answers_and_those_are_the_trees(run, number, name):
    stage = run / f"round-{number}" / "eval" / name
    answers = [orjson.loads(line) for line in (stage / "answers.jsonl").read_bytes().splitlines()]
    found = {tree.problem.id: tree for tree in trees(stage)}
    asked = tiny.HELD_OUT if name != "search" else [tiny.HELD_OUT[i] for i in (0, 1, 3, 4)]  # two a level
    assert [row["id"] for row in answers] == [row["id"] for row in asked]
    for row, problem in zip(answers, asked, strict=True):
        tree = found[row["id"]]
        assert row["reference"] == problem["answer"]
        assert row["correct"] == (row["answer"] == problem["answer"])
        ended = [node for node in tree.nodes if node.answer is not None]
        assert row["trajectories"] == len(ended)
        assert row["any_correct"] == any(node.answer == problem["answer"] for node in ended)
        if name == "search" and ended:
            assert row["score"] == max(node.score for node in ended)
    told = report(run, number)[name]
    right = sum(row["correct"] for row in answers)
    assert (told["accuracy"]["right"], told["accuracy"]["n"]) == (right, len(asked))
    assert sum(level["right"] for level in told["levels"].values()) == right
    assert set(told["levels"]) == {"easy", "new"}


def test_held_out_searches_never_see_the_reference(run):
    """Rewards are known only after the search: no answered node was valued by its verdict."""
    for tree in trees(run / "round-2" / "eval" / "search"):
        for node in tree.nodes:
            if node.terminal is Terminal.ANSWERED:
                assert node.score is not None
                assert (node.visits, node.value_sum) == (1, node.score)
                assert node.verdict is not None


@pytest.mark.parametrize("number", [1, 2])
def test_pair_accuracy_is_that_of_the_searched_trees(run, number):
    rates = pair_accuracy(trees(run / f"round-{number}" / "eval" / "search"))
    assert report(run, number)["pairs"] == {name: rate.to_json() for name, rate in rates.items()}


@pytest.mark.parametrize(("tokens", "batch", "steps"), [(1500, 10, 20), (3000, 10, 30), (6001, 20, 31)])
def test_a_control_has_no_fewer_steps_and_no_fewer_tokens(tokens, batch, steps):
    first = {"steps": 10, "tokens": 1000}  # ten a row
    assert control_steps(first, 10, {"steps": 20, "tokens": tokens}, batch) == steps


def test_round_one_is_its_own_control(run):
    assert report(run, 1)["control"] == report(run, 1)["policy"]
    control, policy = metrics(run, "round-2/control"), metrics(run, "round-2/policy")
    assert policy["steps"] == 20
    assert control["steps"] == control_steps(metrics(run, "round-1/policy"), 16, policy, 16) >= 20
    assert control["tokens"] >= 0.95 * policy["tokens"]
    assert metrics(run, "round-2/control")["rows"] == metrics(run, "round-1/policy")["rows"]


def rows(run: Path, number: int, name: str) -> list[dict]:
    return pq.read_table(run / f"round-{number}" / "select" / f"{name}.parquet").to_pylist()


@pytest.mark.parametrize("number", [1, 2])
def test_fresh_rows_are_the_best_trajectories_of_the_trees(run, number):
    grouped: dict[str, list[Tree]] = {}
    for tree in trees(run / f"round-{number}" / "search"):
        grouped.setdefault(tree.problem.id, []).append(tree)
    expected = [
        (name, t.text, t.answer, number, t.attempt, t.leaf, round(t.mean_q, 6))
        for name, its in grouped.items()
        for t in best(its, 2)
    ]
    fresh = [row for row in rows(run, number, "sft") if row["round"] == number]
    columns = ("problem_id", "solution", "answer", "round", "attempt", "leaf", "mean_q")
    found = [tuple(row[name] for name in columns) for row in fresh]
    order = [tree.problem.id for tree in trees(run / f"round-{number}" / "search", "pass-0-*")]
    assert found == sorted(expected, key=lambda item: order.index(item[0]))
    texts = {row["id"]: row["problem"] for row in tiny.KNOWN + tiny.NEW}
    for row in fresh:
        assert texts[row["problem_id"]] in row["prompt"]


@pytest.mark.parametrize("name", ["sft", "pairs"])
def test_the_newest_rows_of_each_problem_make_the_pool(run, name):
    first, second = rows(run, 1, name), rows(run, 2, name)
    counts = json.loads((run / "round-2" / "select" / "trust.json").read_text())
    fresh = counts[f"{name}_fresh"]
    renewed = {row["problem_id"] for row in second[:fresh]}
    assert renewed
    assert second[fresh:] == [row for row in first if row["problem_id"] not in renewed]
    assert renewed & {row["problem_id"] for row in first}, "nothing was replaced"


def test_the_counts_add_up(run):
    for number in (1, 2):
        counts = json.loads((run / f"round-{number}" / "select" / "trust.json").read_text())
        assert counts == report(run, number)["data"]
        assert counts["sft_rows"] == len(rows(run, number, "sft"))
        assert counts["pair_rows"] == len(rows(run, number, "pairs"))
        assert counts["step_pairs"] + counts["answer_pairs"] == counts["pairs_fresh"]
        assert counts["correct"] + counts["wrong"] + counts["undecided"] == counts["answered"]
        assert sum(counts[name] for name in counts if name.startswith("difficulty.")) == counts["problems"]
        assert sum(counts[name] for name in counts if name.startswith("rule.")) == counts["correct"]
        kinds = Counter(row["kind"] for row in rows(run, number, "pairs")[: counts["pairs_fresh"]])
        assert (kinds["step"], kinds["answer"]) == (counts["step_pairs"], counts["answer_pairs"])


def test_pairs_share_their_prompt_and_part_behind_it(run):
    for row in rows(run, 2, "pairs"):
        assert row["prompt"].endswith("solve the problem with code.")
        assert row["chosen"] != row["rejected"]
        assert row["margin"] > 0
        assert 0 < row["weight"] <= 1


def test_the_page_shows_both_rounds(run):
    lines = (run / "report.md").read_text().splitlines()
    assert lines[0] == "# tiny"
    table = [line.split(" | ") for line in lines[4:6]]
    assert [cells[0] for cells in table] == ["| 1", "| 2"]
    assert [cells[1] for cells in table] == ["bootstrap", "policy of round 1"]
    for number, cells in enumerate(table, start=1):
        told = report(run, number)
        solved, problems = told["coverage"]["solved"], told["coverage"]["problems"]
        assert cells[2] == f"{100 * solved / problems:.1f} of {problems}"
        assert cells[3].startswith(f"{100 * told['policy']['accuracy']['share']:.1f} (")
        assert cells[4].startswith(f"{100 * told['control']['accuracy']['share']:.1f} (")


def test_what_the_command_printed_is_the_page(finished, run):
    said = (finished / "stdout").read_text()
    for number in (1, 2):
        told = report(run, number)
        assert f"{100 * told['coverage']['solved'] / told['coverage']['problems']:.1f} of" in said
    assert str(Path("runs") / "tiny" / "report.md") in said
    progress = (finished / "stderr").read_text()
    for stage in ("round 1 search", "round 1 policy", "round 2 search, retry 1", "round 2 control", "round 2 ppm"):
        assert f"{stage}: " in progress
    assert "Traceback" not in progress
