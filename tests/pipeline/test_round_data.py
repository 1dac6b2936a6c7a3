"""A round's files out of a stream of trees: what synthetic problems give, who is a suspect, what is carried over."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from rstar.config.run import SelectConfig
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.errors import Damaged
from rstar.pipeline.select import RoundData
from rstar.store.trees import TreeStore, read_grouped
from rstar.text.grammar import Grammar
from tests.select.handmade import grow


def tree(name: str, right: int, wrong: int, parent: str | None = None, said: str = "7") -> Tree:
    made = Tree(replace(Problem(name, f"What is {name}?", "1", "easy"), parent=parent, source="made"))
    for i in range(right + wrong):
        at = grow(made, f"way {i}", 0.5 if i < right else -0.5, "right" if i < right else "wrong")
        made.nodes[at].answer = "1" if i < right else said
    return made


def write(folder, trees: list[Tree], **settings) -> dict:
    folder.mkdir(exist_ok=True)
    return RoundData(folder, Grammar(), SelectConfig(**settings), 2).write([one] for one in trees)


def names(path) -> set[str]:
    return set(pq.read_table(path)["problem_id"].to_pylist())


def test_a_synthetic_problem_that_is_mostly_answered_otherwise_gives_nothing(tmp_path):
    trees = [tree("own", 1, 3), tree("half", 2, 2, "own"), tree("less", 1, 3, "own"), tree("undecided", 0, 0, "own")]
    counts = write(tmp_path, trees)
    assert names(tmp_path / "sft.parquet") == {"own", "half"} == names(tmp_path / "pairs.parquet")
    assert (counts["synthetic_dropped"], counts["solved"], counts["problems"]) == (1, 2, 4)
    assert names(tmp_path / "sft.parquet") | {"less"} == (
        write(tmp_path, trees, synthetic=0.0) and names(tmp_path / "sft.parquet")
    )


def test_suspects_are_listed_with_all_that_is_needed_to_look_at_them(tmp_path):
    counts = write(tmp_path, [tree("a", 1, 4), tree("b", 1, 3), tree("c", 0, 5, said="6.50")])
    rows = [json.loads(line) for line in (tmp_path / "suspects.jsonl").read_text().splitlines()]
    assert [(row["id"], row["reference"], row["answer"], row["agreeing"], row["right"]) for row in rows] == [
        ("a", "1", "7", 4, 1),
        ("c", "1", "6.50", 5, 0),
    ]
    assert counts["suspects"] == 2
    assert json.loads((tmp_path / "trust.json").read_text()) == counts
    assert counts["trust"]["coverage"]["source"] == {"made": {"problems": 3, "solved": 2}}


def test_trees_stream_past_in_the_problems_order_and_none_is_left_over(tmp_path):
    ids = [f"p{i}" for i in range(7)]
    for attempt, asked in enumerate((ids, ids[1:4])):
        store = TreeStore(tmp_path / "trees", asked, f"pass-{attempt}")
        for name in reversed(asked):
            store.add(replace(tree(name, 1, 1), attempt=attempt))
        store.close()
    groups = read_grouped(tmp_path / "trees", iter(ids))
    assert [(group[0].problem.id, len(group)) for group in groups] == [
        (name, 2 if name in ids[1:4] else 1) for name in ids
    ]
    with pytest.raises(Damaged, match="the tree of problem 'p2' stands out of the problems' order"):
        list(read_grouped(tmp_path / "trees", [name for name in ids if name != "p2"]))
