import pytest

from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.core.verdict import Verdict
from rstar.search.calls import Answer, Score, Verify
from rstar.search.reward import settle
from rstar.text.grammar import Grammar
from rstar.text.prompts import Prompts
from tests.search.worlds import HandWorld, logged, of_kind

PROBLEM = Problem("p", "text", "2")
PROMPTS = Prompts(Grammar())


def world(scores: dict[str, float] | None = None, verdicts: dict[str, Verdict] | None = None) -> HandWorld:
    return HandWorld(PROMPTS.value(PROBLEM), {}, scores=scores or {}, verdicts=verdicts or {})


def answered(tree: Tree, parent: int, answer: str, **values: object) -> int:
    return tree.add(parent, answer, terminal=Terminal.ANSWERED, answer=answer, **values)


def values(tree: Tree) -> list[tuple[int, float]]:
    return [(node.visits, node.value_sum) for node in tree.nodes]


def test_terminal_guided_annotation_by_hand():
    """q(s_i)^k = q(s_i)^{k-1} + q(s_d)^k with q^0 = 0, every terminal once."""
    tree = Tree(PROBLEM)
    one, two = tree.add(ROOT, "a"), tree.add(ROOT, "b", terminal=Terminal.CODE_ERROR)
    logged(settle(tree, [one, two], PROMPTS, None), world())
    assert values(tree) == [(1, -1), (0, 0), (1, -1)]

    right, wrong, open_node = answered(tree, one, "2"), answered(tree, one, "3"), tree.add(one, "c")
    logged(settle(tree, [right, wrong, open_node], PROMPTS, None), world())
    assert values(tree) == [(3, -1), (2, 0), (1, -1), (1, 1), (1, -1), (0, 0)]

    right_too = answered(tree, open_node, "2")
    logged(settle(tree, [right_too], PROMPTS, None), world())
    assert values(tree) == [(4, 0), (3, 1), (1, -1), (1, 1), (1, -1), (1, 1), (1, 1)]
    assert tree.nodes[one].q == pytest.approx(1 / 3)
    assert all(node.closed for node in tree.nodes)


def test_the_ppm_score_is_a_nodes_first_visit_and_nobody_elses():
    tree = Tree(PROBLEM)
    one = tree.add(ROOT, "a")
    logged(settle(tree, [one], PROMPTS, "ppm"), world({"a": 0.5}))
    assert values(tree) == [(0, 0), (1, 0.5)]
    assert tree.nodes[one].score == 0.5

    born = [answered(tree, one, "2"), answered(tree, one, "3"), tree.add(one, "c", terminal=Terminal.TIMEOUT)]
    _, log = logged(settle(tree, born, PROMPTS, "ppm"), world())
    assert values(tree) == [(3, -1), (4, -0.5), (1, 1), (1, -1), (1, -1)]
    assert tree.nodes[one].q == -0.125
    assert not of_kind(log, Score)  # terminals are valued by the reference


def test_only_the_newborn_are_scored_in_one_call_as_prompt_and_solution():
    tree = Tree(PROBLEM)
    one = tree.add(ROOT, "a", observation="[seen]", visits=3, value_sum=1.0)
    born = [tree.add(one, "b"), tree.add(one, "x", terminal=Terminal.UNPARSABLE), tree.add(one, "c", observation="!")]
    _, log = logged(settle(tree, born, PROMPTS, "ppm"), world({"a[seen]b": 0.25, "a[seen]c!": -0.75, "a[seen]": 9.0}))
    head = PROMPTS.value(PROBLEM)
    assert of_kind(log, Score) == [Score((head + "a[seen]b", head + "a[seen]c!"), "ppm")]
    assert [tree.nodes[i].score for i in (one, *born)] == [None, 0.25, None, -0.75]
    assert tree.nodes[one].visits == 4  # the unparsable one was backed up
    assert tree.cost.scored == 2


def test_answers_are_graded_in_one_call_with_what_the_code_printed():
    tree = Tree(PROBLEM)
    born = [
        answered(tree, ROOT, "2", printed="1\n 2 "),
        tree.add(ROOT, "x", terminal=Terminal.MAX_DEPTH),
        answered(tree, ROOT, "4"),
    ]
    _, log = logged(settle(tree, born, PROMPTS, None), world())
    assert [call for call, _ in log] == [Verify("2", (Answer("2", "2"), Answer("4", None)))]
    assert [(tree.nodes[i].verdict, tree.nodes[i].rule, tree.nodes[i].reward) for i in born] == [
        (Verdict.EQUIVALENT, "string", 1.0),
        (None, None, -1.0),
        (Verdict.DIFFERENT, "string", -1.0),
    ]


@pytest.mark.parametrize("role", [None, "ppm"])
def test_an_undecided_answer_is_worth_nothing_and_is_neither_right_nor_wrong(role: str | None):
    tree = Tree(PROBLEM)
    leaf = answered(tree, ROOT, "?")
    logged(settle(tree, [leaf], PROMPTS, role), world(verdicts={"?": Verdict.UNVERIFIABLE}))
    node = tree.nodes[leaf]
    assert (node.reward, node.correct, node.wrong) == (0.0, False, False)
    assert values(tree) == [(1, 0), (1, 0)]


@pytest.mark.parametrize("terminal", [t for t in Terminal if t is not Terminal.ANSWERED])
@pytest.mark.parametrize("role", [None, "ppm"])
@pytest.mark.parametrize("problem", [PROBLEM, PROBLEM.hidden()], ids=["graded", "hidden"])
def test_every_other_end_is_worth_minus_one_and_asks_nobody(terminal: Terminal, role: str | None, problem: Problem):
    tree = Tree(problem)
    leaf = tree.add(ROOT, "step", terminal=terminal)
    _, log = logged(settle(tree, [leaf], PROMPTS, role), world())
    assert not log
    assert tree.nodes[leaf].reward == -1.0
    assert values(tree) == [(1, -1), (1, -1)]
    assert tree.nodes[leaf].closed


def test_with_the_reference_hidden_the_ppm_values_the_answers():
    tree = Tree(PROBLEM.hidden())
    first, second, open_node = answered(tree, ROOT, "2"), answered(tree, ROOT, "3"), tree.add(ROOT, "c")
    _, log = logged(settle(tree, [first, second, open_node], PROMPTS, "ppm"), world({"2": 0.5, "3": -0.25, "c": 0.125}))
    assert [type(call) for call, _ in log] == [Score]
    assert values(tree) == [(2, 0.25), (1, 0.5), (1, -0.25), (1, 0.125)]
    assert [tree.nodes[i].reward for i in (first, second)] == [None, None]


def test_with_the_reference_hidden_and_no_ppm_an_answer_is_worth_nothing():
    tree = Tree(PROBLEM.hidden())
    leaf = answered(tree, ROOT, "2")
    _, log = logged(settle(tree, [leaf], PROMPTS, None), world())
    assert not log
    assert values(tree) == [(1, 0), (1, 0)]
    assert (tree.nodes[leaf].correct, tree.nodes[leaf].wrong) == (False, False)


def test_a_dead_end_keeps_its_ppm_visit_and_is_backed_up_once():
    tree = Tree(PROBLEM)
    one = tree.add(ROOT, "a")
    logged(settle(tree, [one], PROMPTS, "ppm"), world({"a": 0.5}))
    tree.nodes[one].terminal = Terminal.DEAD_END
    logged(settle(tree, [one], PROMPTS, "ppm"), world())
    assert values(tree) == [(1, -1), (2, -0.5)]
    assert tree.nodes[ROOT].closed
