import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.config.search import RestMctsConfig
from rstar.core.execution import Status, StepResult
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal
from rstar.search.calls import Completion, Generate, Seeds
from rstar.search.rest_mcts import average, quality, rest_mcts, simulated, ucb
from tests.search.cases import Case, problems
from tests.search.generated import cases
from tests.search.steps import HEAD, PROMPTS, first, last, step
from tests.search.test_tree_properties import several
from tests.search.worlds import HandWorld, logged, of_kind, printing

PROBLEM = Problem("p", "text")
A, B = first("a"), first("b")


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_right_solution_gains_the_same_with_each_step(length: int):
    value = 0.0
    for k in range(1, length + 1):
        value = quality(value, wrong=0.0, left=length - k)
        assert value == pytest.approx(k / length)


@pytest.mark.parametrize(
    ("before", "wrong", "left", "after"),
    [
        (0.5, 1.0, 1, 0.25),  # 0.5 - 0.5 / 2
        (0.25, 1.0, 0, 0.0),  # 0.25 - 0.75, and never below 0
        (0.4, 0.5, 3, 0.4),  # nobody knows
        (0.5, 0.25, 0, 0.75),  # 0.5 + 0.5 x 0.5
        (1.0, 1.0, 0, 1.0),  # nothing is left to win or to lose
    ],
)
def test_the_update_of_values_by_hand(before: float, wrong: float, left: int, after: float):
    assert quality(before, wrong, left) == pytest.approx(after)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 20))
def test_values_stay_between_0_and_1(before: float, wrong: float, left: int):
    assert 0 <= quality(before, wrong, left) <= 1 + 1e-9


def test_the_other_updates_by_hand():
    assert simulated(0.4, [0.2, 0.8, 0.6], alpha=0.5) == pytest.approx(0.6)
    assert simulated(0.4, [0.2], alpha=0.25) == pytest.approx(0.25)
    assert simulated(0.4, [], alpha=0.5) == 0.4
    assert average([(3, 0.5), (1, 0.9), (0, 7.0)], own=0.1) == pytest.approx(0.6)
    assert average([(0, 0.9)], own=0.1) == 0.1
    assert average([], own=0.1) == 0.1
    assert ucb(0.5, 0, 9, 1.0) == math.inf
    assert ucb(0.5, 2, 10, 0.5) == pytest.approx(0.5 + 0.5 * math.sqrt(math.log(10) / 2))


class Following(HandWorld):
    """Greedy calls are answered from `GREEDY text`, the critic's from `END text`."""

    def __call__(self, call):
        if isinstance(call, Generate) and call.prompt.endswith("Verdict:"):
            ends = [text for text in self.texts if text.startswith("END ") and f"\n{text[4:]}\n" in call.prompt]
            return [Completion(" end." if ends else " continue", 2)]
        if isinstance(call, Generate) and call.temperature == 0:
            text = call.prompt.removeprefix(self.head)
            return super().__call__(Generate(f"{self.head}GREEDY {text}", call.n, call.seed, call.stop))
        return super().__call__(call)


WORLD = Following(
    HEAD,
    {
        "": [A, B],
        f"GREEDY {A}": [step("fails")],
        f"GREEDY {A}{step('c')}": [last("1")],
        f"GREEDY {B}": [last("2")],
        A: [step("c"), last("3")],
        B: [last("2"), last("3")],
        A + step("c"): [last("1")],
    },
    {**{name: printing(name) for name in "123"}, "fails": StepResult(Status.EXCEPTION, error="E: no (line 1)")},
    {A: 0.2, B: 0.0, A + step("c"): 0.4, A + step("c") + last("1"): 0.6, A + last("3"): -0.2,
     B + last("2"): 0.0, B + last("3"): -0.8},
)  # fmt: skip


def search(world: HandWorld, **config: object) -> tuple:
    cfg = RestMctsConfig(**{"candidates": 2, "simulation": 1, **config})
    return logged(rest_mcts(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world)


def test_a_whole_search_by_hand():
    tree, log = search(WORLD, iterations=3)
    # 1: v(a) = .6, v(b) = .5; a is simulated and fails: v(a) = (.6 + 0) / 2 = .3, n(a) = 1
    # 2: b has no visit; 2 is worth .5, 3 .1; 2 has no simulation: n(b) = 1, v(b) = .5
    # 3: n(root) = 2, equal visits: b's .5 > a's .3, but b is exhausted; a grows c (.7) and 3 (.4); c leads to 1 (.8)
    grown = [call.prompt for call in of_kind(log, Generate)]
    assert grown == [HEAD, HEAD + A, HEAD + B, HEAD + A, HEAD + A + step("c")]
    assert tree.chosen is not None
    assert tree.nodes[tree.chosen].answer == "1"
    assert tree.rollouts == 3


def test_an_answer_worth_the_threshold_ends_the_search():
    tree, _ = search(WORLD, iterations=9, threshold=0.5)
    assert (tree.nodes[tree.chosen].answer, tree.rollouts) == ("2", 2)


def test_the_self_critics_end_is_a_dead_end_unless_something_is_there():
    world = Following(HEAD, {**WORLD.texts, f"END {B}": []}, WORLD.results, WORLD.scores)
    tree, log = search(world, iterations=2, critic=True)
    b = tree.nodes[ROOT].children[1]
    assert tree.nodes[b].terminal is Terminal.DEAD_END
    assert HEAD + B not in [call.prompt for call in of_kind(log, Generate)]
    # what was simulated stays: a is not grown, and closes with its simulation
    world = Following(HEAD, {**WORLD.texts, f"END {A}": []}, WORLD.results, WORLD.scores)
    tree, log = search(world, iterations=9, critic=True)
    a = tree.nodes[ROOT].children[0]
    assert tree.nodes[a].terminal is None
    assert [tree.nodes[i].text for i in tree.nodes[a].children] == [step("fails")]
    assert not tree.is_open(ROOT)


def test_values_made_from_rewards():
    """a is right with .6 and 1 step before the end: 1/2 x .2 = .1. c: .1 + .9 x .4 = .46; 1 behind it: .46 + .54 x .6
    = .784. 3 behind a: .1 - .9 x .2, so 0; and all behind b is 0 too."""
    just_below, _ = search(WORLD, iterations=9, process="reward", length=2, threshold=0.783, simulation=0)
    just_above, _ = search(WORLD, iterations=9, process="reward", length=2, threshold=0.785, simulation=0)
    for tree in (just_below, just_above):
        assert tree.nodes[tree.chosen].answer == "1"
    assert not just_above.is_open(ROOT)
    assert just_below.rollouts <= just_above.rollouts


@several
@given(cases("rest_mcts"))
def test_budget_and_choice(case: Case):
    tree, log = logged(case.search(problems(1)[0]), case.world)
    asked = [call for call in of_kind(log, Generate) if not call.prompt.endswith("Verdict:")]
    sampled = [call for call in asked if call.temperature]
    assert 1 <= tree.rollouts <= case.config.iterations
    assert len(sampled) <= case.config.iterations
    assert len(asked) - len(sampled) <= case.config.iterations * case.config.simulation
    answered = [i for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]
    assert (tree.chosen is None) == (not answered)
    if answered and case.config.process == "value":
        assert tree.nodes[tree.chosen].score == max(tree.nodes[i].score for i in answered)
    if tree.rollouts < case.config.iterations and tree.is_open(ROOT):
        assert tree.chosen is not None
