"""Terminal-guided labels on a finished tree are those of the search that saw the reference."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.config.search import MctsConfig
from rstar.core.execution import Status, StepResult
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.engine.scripted import ScriptedWorld
from rstar.search.calls import Seeds, drive
from rstar.search.mcts import mcts
from rstar.search.reward import grade_afterwards
from rstar.select.annotate import terminal_guided
from rstar.text.grammar import PROMPT_TAIL, Grammar, Kind, Segment
from rstar.text.prompts import Prompts
from tests.search.cases import Case, problems
from tests.search.worlds import HandWorld, RoughWorld, printing

several = settings(max_examples=100, deadline=None, derandomize=True)
# Policies that fall silent at the root itself leave a tree without a path; everything else is in here.
WORLDS = st.builds(
    RoughWorld,
    inner=st.builds(ScriptedWorld, seed=st.integers(0, 500), branching=st.integers(1, 6)),
    slow=st.sampled_from([0.0, 0.1]),
    undecided=st.sampled_from([0.0, 0.2]),
)
SEARCHES = st.builds(MctsConfig, rollouts=st.integers(1, 10), candidates=st.integers(1, 5), max_depth=st.integers(2, 6))


def labels(tree: Tree) -> list[tuple[int, float]]:
    return [(node.visits, node.q) for node in tree.nodes]


@several
@given(SEARCHES, WORLDS)
def test_a_terminal_guided_tree_is_left_as_it_is(config: MctsConfig, world: RoughWorld):
    tree = drive(Case(config).search(problems(2)[1]), world)
    assert labels(terminal_guided(tree)) == labels(tree)


@several
@given(SEARCHES, WORLDS)
def test_what_guided_the_search_is_forgotten(config: MctsConfig, world: RoughWorld):
    tree = drive(Case(config).search(problems(2)[1]), world)
    expected = labels(tree)
    for number, node in enumerate(tree.nodes):
        node.score, node.reward = 0.5, None
        node.visits, node.value_sum = 100 + number, -7.0
    before = copy.deepcopy(tree)
    assert labels(terminal_guided(tree)) == expected
    assert tree == before, "the tree itself was changed"


HEAD = Prompts(Grammar(answer="printed")).policy(Problem("p", "What?"))


def step(body: str, first: bool = False) -> str:
    return Segment(Kind.STEP, body, first).render()


def last(body: str) -> str:
    return Segment(Kind.LAST_STEP, body).render()


def exhaustive() -> HandWorld:
    """A world of two first steps with two ends each, one of them an error: small enough to be searched to the end."""
    a, b = step("# a\nx = 1", True), step("# b\nx = 2", True)
    return HandWorld(
        HEAD,
        {"": [a, b], a: [last("print(x)"), last("print(x + 1)")], b: [last("print(x, 0)"), last("fail()")]},
        {
            "print(x)": printing("1"),
            "print(x + 1)": printing("2"),
            "print(x, 0)": printing("20"),
            "fail()": StepResult(Status.EXCEPTION, error="NameError: fail (line 1)"),
        },
        {a: -0.5, b: 0.75, a + last("print(x)"): -0.25, a + last("print(x + 1)"): 0.5, b + last("print(x, 0)"): 1.0},
    )


@pytest.mark.parametrize("reference", ["1", "2", "20", "7"])
def test_a_search_by_scores_graded_afterwards_gets_the_labels_of_a_terminal_guided_one(reference):
    assert HEAD.endswith(PROMPT_TAIL)
    asked = Problem("p", "What?", reference)
    prompts = Prompts(Grammar(answer="printed"))
    guided = drive(mcts(asked, prompts, MctsConfig(rollouts=20), Seeds(0, "p")), exhaustive())
    scored = drive(
        mcts(asked.hidden(), prompts, MctsConfig(rollouts=20, annotation="ppm"), Seeds(0, "p")), exhaustive()
    )
    drive(grade_afterwards(scored, asked), exhaustive())

    def by_text(tree: Tree) -> dict[str, tuple[int, float]]:
        return {tree.prefix(at): (node.visits, node.q) for at, node in enumerate(tree.nodes)}

    assert len(guided.nodes) == 7
    assert by_text(scored) != by_text(guided), "the scores did not guide the search"
    assert by_text(terminal_guided(scored)) == by_text(guided)


def test_undecided_answers_are_worth_nothing_either_way():
    tree = drive(Case(MctsConfig(rollouts=6)).search(problems(1)[0]), RoughWorld(undecided=1.0))
    answered = [i for i in tree.leaves() if tree.nodes[i].answer]
    assert answered
    relabelled = terminal_guided(tree)
    assert {relabelled.nodes[i].q for i in answered} == {0.0}
