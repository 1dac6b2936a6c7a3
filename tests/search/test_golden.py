"""Whole trees as text.

Where a change of behaviour is meant: `RSTAR_UPDATE_GOLDEN=1 pytest tests/search/test_golden.py`, and read the diff.
"""

import os
from pathlib import Path

import pytest

from rstar.core.show import show
from rstar.core.tree import Tree
from rstar.search.calls import drive
from tests.search.cases import GOLDEN, Case, problems

FOLDER = Path(__file__).parent.parent / "golden"
UPDATE = "RSTAR_UPDATE_GOLDEN"


def golden_tree(case: Case) -> Tree:
    return drive(case.search(problems(3)[2]), case.world)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_tree_is_the_golden_one(name: str):
    tree = golden_tree(GOLDEN[name])
    text = show(tree) + (f"chosen: [{tree.chosen}]\n" if tree.chosen is not None else "")
    file = FOLDER / f"{name}.txt"
    if os.environ.get(UPDATE):
        file.write_text(text, encoding="utf-8")
    assert len(tree.nodes) <= 40
    assert text == file.read_text(encoding="utf-8"), f"if this is meant: {UPDATE}=1 pytest {Path(__file__).name}"


def test_no_golden_file_is_left_over():
    assert {file.stem for file in FOLDER.glob("*.txt")} == set(GOLDEN)


def test_golden_trees_show_what_they_are_for():
    """A golden tree in which nothing happens would hold nothing."""
    text = show(golden_tree(GOLDEN["mcts-terminal"]))
    for word in ("equivalent", "different", "code_error", "x2", "closed"):
        assert word in text
    assert "score=" in show(golden_tree(GOLDEN["mcts-ppm"]))
    assert "ungraded" in show(golden_tree(GOLDEN["mcts-ppm-hidden"]))
