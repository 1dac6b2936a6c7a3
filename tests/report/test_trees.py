"""What of the trees a page shows, and what it says was taken from them."""

import json

import orjson
import pyarrow.parquet as pq
import pytest

from rstar.config.run import SelectConfig
from rstar.core.problem import Problem
from rstar.core.tree import Terminal, Tree
from rstar.core.verdict import Verdict
from rstar.report.trees import FIELDS, NODES, Sample, taken, told
from rstar.store.trees import read_grouped
from tests.pipeline import tiny


def grown(name: str = "p", answers: int = 1, depth: int = 1, level: str = "L1", correct: bool = True) -> Tree:
    """Chains of `depth` steps from the root, each with an answer at its end."""
    tree = Tree(Problem(name, "What?", "1", level))
    for i in range(answers):
        at = 0
        for d in range(depth):
            at = tree.add(at, f"<code>\n# {d}\nx = {i}\n<end_of_step>")
        verdict = Verdict.EQUIVALENT if correct else Verdict.DIFFERENT
        end = tree.add(at, f"\n\nprint({i})\n<end_of_code>", terminal=Terminal.ANSWERED, answer=str(i), verdict=verdict)
        tree.back_up(end, 1.0 if correct else -1.0)
    return tree


def rows(tree: Tree, marks: dict[int, str] | None = None) -> list[dict]:
    return [dict(zip(FIELDS, row, strict=False)) for row in told(tree, marks or {})["nodes"]]


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_marked_is_what_the_select_stage_wrote(run, number):
    folder = run / f"round-{number}"
    ids = [row["id"] for row in (tiny.KNOWN if number == 1 else tiny.KNOWN[:4] + tiny.NEW)]
    sft = {
        (row["problem_id"], row["attempt"], row["leaf"])
        for row in pq.read_table(folder / "select" / "sft.parquet").to_pylist()
        if row["round"] == number
    }
    preferences = pq.read_table(folder / "select" / "pairs.parquet").to_pylist()
    selected, chosen, rejected = set(), set(), set()
    paired: set[str] = set()
    for trees in read_grouped(folder / "search" / "trees", ids):
        for tree, marks in zip(trees, taken(trees, SelectConfig()), strict=True):
            for at, letters in marks.items():
                name, text = tree.problem.id, tree.prefix(at)
                if "S" in letters:
                    selected.add((name, tree.attempt, at))
                    assert all("s" in marks[above] for above in tree.path(at))
                chosen |= {(name, text) for letter in "cC" if letter in letters}
                rejected |= {(name, text) for letter in "rR" if letter in letters}
                paired |= {name for letter in "cC" if letter in letters}
    assert selected == sft
    assert selected
    fresh = [row for row in preferences if row["problem_id"] in paired]  # the others are kept from the round before
    assert chosen == {(row["problem_id"], row["chosen"]) for row in fresh}
    assert rejected == {(row["problem_id"], row["rejected"]) for row in fresh}
    assert chosen


def test_a_step_is_told_in_words_and_code():
    tree = Tree(Problem("p", "What?", "1"))
    at = tree.add(
        0, "<code>\n# Step 1: add\n# them\nx = 1 # one\n<end_of_step>", observation="\n<output>1<end_of_output>"
    )
    tree.add(at, "\n<answer>It is \\boxed{1}\n<end_of_answer>", terminal=Terminal.ANSWERED, answer="1")
    _, step, answer = rows(tree, {at: "s"})
    assert (step["comment"], step["code"], step["output"]) == ("Step 1: add\nthem", "x = 1 # one", "1")
    assert step["marks"] == "s"
    assert (answer["comment"], answer["code"], answer["terminal"]) == ("It is \\boxed{1}", "", "answered")


def test_of_a_large_tree_the_marked_and_the_most_visited_are_kept_with_all_above_them():
    tree = grown(answers=NODES, depth=3)
    last = len(tree.nodes) - 1
    told_of = told(tree, {last: "S"})
    kept = {row[0] for row in told_of["nodes"]}
    assert len(kept) <= NODES
    assert told_of["left_out"] == len(tree.nodes) - len(kept)
    assert {last, *tree.path(last)} <= kept
    assert all(row[1] in kept for row in told_of["nodes"] if row[0])


def names(sample: Sample, room: int = 10**9) -> list[str]:
    return [orjson.loads(row)["id"] for row in sample.drawn(room)]


def test_problems_are_drawn_from_every_kind_and_by_their_ids_alone():
    offered = [[grown(f"{level}-{i}", level=level)] for level, n in (("L1", 90), ("L2", 3)) for i in range(n)]
    one, other = Sample(10), Sample(10)
    for trees in offered:
        one.offer(trees, lambda trees: [{} for _ in trees])
    for trees in reversed(offered):
        other.offer(trees, lambda trees: [{} for _ in trees])
    assert sorted(names(one)) == sorted(names(other))
    assert len(names(one)) == 10
    assert {name for name in names(one) if name.startswith("L2")} == {"L2-0", "L2-1", "L2-2"}
    assert names(one) == [trees[0].problem.id for trees in offered if trees[0].problem.id in names(one)]  # their order
    assert one.seen == 93


def test_no_more_is_drawn_than_there_is_room_for():
    sample = Sample(50)
    for i in range(20):
        sample.offer([grown(f"p{i}", answers=1 + i)], lambda trees: [{} for _ in trees])
    for room in (0, 500, 3000, 10_000):
        assert sum(map(len, sample.drawn(room))) <= room
    assert sample.drawn(0) == []
    assert json.loads(sample.drawn(10_000)[0])["trees"][0]["nodes"]
