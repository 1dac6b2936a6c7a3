"""A reference that is hidden is never read, and where it is known only MCTS is guided by it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.core.tree import Tree
from rstar.search.calls import Verify, drive
from tests.search.cases import CASES, Case, problems
from tests.search.generated import cases
from tests.search.test_tree_properties import several
from tests.search.worlds import logged


@pytest.mark.parametrize("name", CASES)
def test_the_reference_goes_to_the_grader_and_to_nobody_else(name: str):
    case = CASES[name]
    problem = replace(problems(3)[2], answer="the secret reference")
    _, log = logged(case.search(problem), case.world)
    assert not any("secret" in repr(call) for call, _ in log if not isinstance(call, Verify))
    if case.hidden:
        assert not any(isinstance(call, Verify) for call, _ in log)


def shape(tree: Tree) -> list[tuple]:
    """All that a search decides: what was grown where, its scores, and the answer it chose."""
    nodes = [(n.parent, n.text, n.count, n.terminal, n.score, n.answer) for n in tree.nodes]
    return [*nodes, (tree.chosen, tree.rollouts, tree.cost)]


@several
@given(cases("qstar", "beam", "lookahead", "tot", "rest_mcts", "best_of_n", "self_consistency", "greedy"), st.text())
def test_no_reference_changes_what_is_searched(case: Case, reference: str):
    problem = problems(1)[0]
    hidden = drive(replace(case, hidden=True).search(problem), case.world)
    for answer in (problem.answer, reference):
        told = drive(replace(case, hidden=False).search(replace(problem, answer=answer)), case.world)
        assert shape(told) == shape(hidden)
