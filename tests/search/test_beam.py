from collections import Counter

import pytest
from hypothesis import given

from rstar.config.search import BeamConfig, LookaheadConfig
from rstar.core.execution import Status, StepResult
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.evaluate.answer import choose
from rstar.search.beam import beam, lookahead
from rstar.search.calls import Generate, Score, Seeds
from tests.search.cases import problems
from tests.search.generated import cases
from tests.search.steps import HEAD, PROMPTS, first, last, step
from tests.search.test_tree_properties import several
from tests.search.worlds import HandWorld, logged, of_kind, printing

A, B, C = first("a"), first("b"), first("c")
ANSWERS = {name: printing(name) for name in "1234"} | {"fails": StepResult(Status.EXCEPTION, error="E: no (line 1)")}


def search(world: HandWorld, **config: object) -> tuple:
    return logged(beam(Problem("p", "text"), PROMPTS, BeamConfig(**config), Seeds(0, "p")), world)


def answers(tree: Tree) -> list[str | None]:
    return [tree.nodes[i].answer for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]


WORLD = HandWorld(
    HEAD,
    {"": [A, B, C], A: [step("fails"), step("a1")], B: [last("1"), step("b1")], A + step("a1"): [last("2")]},
    ANSWERS,
    {
        A: 0.5,
        B: 0.4,
        C: 0.3,
        A + step("a1"): 0.6,
        B + last("1"): 0.7,
        B + step("b1"): 0.5,
        A + step("a1") + last("2"): 0.1,
    },
)


def test_the_best_of_each_level_go_on():
    tree, log = search(WORLD, width=2, branching=3)
    # a and b are kept, c is not; then 1 (.7) and a1 (.6): 1 holds its place, so a1 goes on alone
    assert [call.prompt for call in of_kind(log, Generate)] == [HEAD, HEAD + A, HEAD + B, HEAD + A + step("a1")]
    assert [call.n for call in of_kind(log, Generate)] == [6, 3, 3, 3]
    assert answers(tree) == ["1", "2"]
    leaf = choose(tree, BeamConfig())
    assert leaf is not None
    assert tree.nodes[leaf].answer == "1"


def test_a_beam_of_one_follows_the_best():
    tree, log = search(WORLD, width=1, branching=2)
    assert [call.prompt for call in of_kind(log, Generate)] == [HEAD, HEAD + A, HEAD + A + step("a1")]
    assert answers(tree) == ["2"]


def test_the_first_born_wins_ties():
    world = HandWorld(HEAD, {"": [A, B], A: [last("1")]}, ANSWERS, {A: 0.5, B: 0.5, A + last("1"): 0.0})
    tree, _ = search(world, width=1)
    assert answers(tree) == ["1"]


def test_a_beam_that_fails_altogether_ends():
    tree, _ = search(HandWorld(HEAD, {"": [first("fails"), "and so on"]}, ANSWERS))
    assert not tree.is_open(ROOT)
    tree, _ = search(HandWorld(HEAD, {"": [A], A: []}, ANSWERS, {A: 0.5}))
    assert tree.nodes[1].terminal is Terminal.DEAD_END


@several
@given(cases("beam", "tot", "lookahead").filter(lambda case: getattr(case.config, "order", "bfs") == "bfs"))
def test_no_level_is_wider_than_the_beam(case):
    tree, log = logged(case.search(problems(1)[0]), case.world)
    width, branching = case.config.width, case.config.branching
    head = case.grammar.prompt(tree.problem.text)
    depth = {head + tree.prefix(i): node.depth for i, node in enumerate(tree.nodes)}
    sampled = [call for call in of_kind(log, Generate) if call.prompt in depth and call.temperature == 1.0]
    grown = Counter(depth[call.prompt] for call in sampled)
    assert max(grown.values()) <= width
    for level in grown:
        assert sum(call.n for call in sampled if depth[call.prompt] == level) <= width * branching
        assert all(call.n >= branching for call in sampled)


# -- lookahead


def ahead(world: HandWorld, **config: object) -> tuple:
    return logged(lookahead(Problem("p", "text"), PROMPTS, LookaheadConfig(**config), Seeds(0, "p")), world)


class Greedy(HandWorld):
    """Answers the greedy calls from the texts of `GREEDY text`."""

    def __call__(self, call):
        if isinstance(call, Generate) and call.temperature == 0:
            text = call.prompt.removeprefix(self.head)
            return super().__call__(Generate(f"{self.head}GREEDY {text}", call.n, call.seed, call.stop))
        return super().__call__(call)


LOOKING = Greedy(
    HEAD,
    {
        "": [A, B],
        f"GREEDY {A}": [step("a1")],
        f"GREEDY {B}": [step("b1")],
        f"GREEDY {B}{step('b1')}": [last("3")],
        f"GREEDY {B}{step('b2')}": [last("4")],
        B: [step("b1"), step("b2")],
        B + step("b2"): [last("4"), last("3")],
    },
    ANSWERS,
    {
        A + step("a1"): -0.5,
        B + step("b1"): 0.5,
        B + step("b1") + last("3"): 0.1,
        B + step("b2") + last("4"): 0.2,
        B + step("b2") + last("3"): -0.3,
    },
)


def test_a_candidate_is_worth_where_it_leads():
    tree, log = ahead(LOOKING, width=1, branching=2, steps=1)
    # a leads to -.5, b to .5; of b's children, b1 (known since then) leads to .1, b2 to .2
    scored = [prefix.removeprefix(HEAD) for call in of_kind(log, Score) for prefix in call.prefixes]
    assert scored == [
        A + step("a1"),
        B + step("b1"),
        B + step("b1") + last("3"),
        B + step("b2") + last("4"),
        B + step("b2") + last("3"),
    ]
    assert answers(tree) == ["3", "4", "3"]


def test_no_greedy_step_is_sampled_twice():
    tree, log = ahead(LOOKING, width=1, branching=2, steps=1)
    greedy = [call.prompt for call in of_kind(log, Generate) if call.temperature == 0]
    assert greedy == [HEAD + A, HEAD + B, HEAD + B + step("b1"), HEAD + B + step("b2")]
    b = tree.nodes[ROOT].children[1]
    assert [tree.nodes[i].count for i in tree.nodes[b].children] == [2, 1]  # b1 greedily, and again as a sample


@pytest.mark.parametrize("steps", [2, 3])
def test_further_ahead(steps: int):
    world = Greedy(
        HEAD,
        {"": [A, B], f"GREEDY {A}": [last("1")], f"GREEDY {B}": [step("b1")], f"GREEDY {B}{step('b1')}": [last("2")],
         A: [last("1")]},
        ANSWERS,
        {A + last("1"): 0.4, B + step("b1") + last("2"): 0.3},
    )  # fmt: skip
    tree, _ = ahead(world, width=1, branching=1, steps=steps)
    assert answers(tree) == ["1", "2"]
    assert [tree.nodes[i].score for i in tree.nodes[ROOT].children] == [None, None]
