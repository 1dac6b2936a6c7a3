from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.config.search import MctsConfig
from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.core.problem import Problem
from rstar.core.show import show
from rstar.core.tree import ROOT, Terminal
from rstar.search.calls import Execute, Generate, Score, Seeds, Together, Verify, drive
from rstar.search.mcts import mcts
from rstar.text.grammar import Grammar, Kind, Segment
from rstar.text.prompts import Prompts
from tests.search.cases import Case, problems
from tests.search.generated import cases
from tests.search.test_tree_properties import several
from tests.search.worlds import HandWorld, logged, of_kind, printing

PROBLEM = Problem("p", "text", "2")
GRAMMAR = Grammar(answer="printed")
HEAD = GRAMMAR.prompt("text")


def first(code: str) -> str:
    return Segment(Kind.STEP, code, first=True).render()


def step(code: str) -> str:
    return Segment(Kind.STEP, code).render()


def last(code: str) -> str:
    return Segment(Kind.LAST_STEP, code).render()


def search(world: HandWorld, problem: Problem = PROBLEM, **config: object) -> tuple:
    cfg = MctsConfig(**{"rollouts": 10, "candidates": 2, **config})
    return logged(mcts(problem, Prompts(GRAMMAR), cfg, Seeds(0, problem.id)), world)


TWO_WAYS = HandWorld(
    HEAD,
    {
        "": [first("a"), first("b"), first("a")],
        first("a"): [last("right"), step("fails")],
        first("b"): [step("c"), step("c")],
        first("b") + step("c"): [last("wrong"), step("slow")],
    },
    {
        "right": printing("2"),
        "wrong": printing("3"),
        "fails": StepResult(Status.EXCEPTION, error="NameError: y (line 1)"),
        "slow": StepResult(Status.TIMEOUT_CPU, error="5 s"),
    },
    {first("a"): 0.5, first("b"): -0.5, first("b") + step("c"): 0.25},
)


def test_a_whole_search_by_hand():
    tree, log = search(TWO_WAYS)
    assert show(tree) == (
        "p: text\n"
        "[0] N=4 Q=-0.50 closed\n"
        "  [1] N=2 Q=+0.00 x2 closed  | <code> / a / <end_of_step>\n"
        "    [3] N=1 Q=+1.00 answered answer '2' equivalent  | right / <end_of_code>\n"
        "    [4] N=1 Q=-1.00 code_error: NameError: y (line 1)  | fails / <end_of_step>\n"
        "  [2] N=2 Q=-1.00 closed  | <code> / b / <end_of_step>\n"
        "    [5] N=2 Q=-1.00 x2 closed  | c / <end_of_step>\n"
        "      [6] N=1 Q=-1.00 answered answer '3' different  | wrong / <end_of_code>\n"
        "      [7] N=1 Q=-1.00 timeout: 5 s  | slow / <end_of_step>\n"
    )
    assert tree.rollouts == 2  # nothing is left to explore
    assert of_kind(log, Execute) == [
        Execute(ROOT_STATE, ("a", "b")),
        Execute("after a", ("right", "fails")),
        Execute("after b", ("c",)),
        Execute("after c", ("wrong", "slow")),
    ]


def test_a_search_with_enough_right_answers_stops():
    tree, _ = search(TWO_WAYS, enough=1)
    assert tree.rollouts == 1
    assert [node.answer for node in tree.nodes if node.correct] == ["2"]
    assert search(TWO_WAYS, enough=2)[0] == search(TWO_WAYS)[0]  # there is but one


def test_a_whole_search_with_a_ppm_by_hand():
    tree, log = search(TWO_WAYS, annotation="ppm")
    # 1: .5 + 1 - 1 over three visits; 2: -.5 - 1 - 1 over three; 5: .25 - 1 - 1 over three; the root has no score
    assert [(node.visits, node.value_sum, node.score) for node in tree.nodes] == [
        (4, -2.0, None),
        (3, 0.5, 0.5),
        (3, -2.5, -0.5),
        (1, 1.0, None),
        (1, -1.0, None),
        (3, -1.75, 0.25),
        (1, -1.0, None),
        (1, -1.0, None),
    ]
    assert [call.prefixes for call in of_kind(log, Score)] == [
        (HEAD + first("a"), HEAD + first("b")),
        (HEAD + first("b") + step("c"),),
    ]
    assert tree.cost.scored == 3


def test_the_ppm_decides_where_the_first_rollout_goes():
    world = HandWorld(HEAD, TWO_WAYS.texts, TWO_WAYS.results, {**TWO_WAYS.scores, first("a"): -0.9})
    tree, log = search(world, annotation="ppm", rollouts=1)
    assert [call.prompt for call in of_kind(log, Generate)] == [
        HEAD,
        HEAD + first("b"),
        HEAD + first("b") + step("c"),
    ]
    assert tree.rollouts == 1
    assert tree.is_open(ROOT)
    assert not tree.nodes[1].children


@pytest.mark.parametrize("annotation", ["terminal", "ppm"])
def test_a_hidden_reference_is_never_consulted(annotation: str):
    scores = {
        **TWO_WAYS.scores,
        first("a") + last("right"): 0.75,
        first("b") + step("c") + last("wrong"): -0.25,
    }
    world = HandWorld(HEAD, TWO_WAYS.texts, TWO_WAYS.results, scores)
    tree, log = search(world, PROBLEM.hidden(), annotation=annotation)
    assert not of_kind(log, Verify)
    answers = [node for node in tree.nodes if node.terminal is Terminal.ANSWERED]
    assert [node.answer for node in answers] == ["2", "3"]
    assert all(node.verdict is None and node.reward is None for node in answers)
    assert not any(node.correct or node.wrong for node in answers)
    assert [node.q for node in answers] == ([0.75, -0.25] if annotation == "ppm" else [0.0, 0.0])


@pytest.mark.parametrize(("steps", "worth"), [("last", 0.75), ("min", 0.5), ("mean", 0.625), ("product", 0.3125)])
def test_an_answer_nobody_can_grade_is_worth_what_its_steps_are_together(steps: str, worth: float):
    scores = {
        **TWO_WAYS.scores,
        first("a") + last("right"): 0.75,
        first("b") + step("c") + last("wrong"): -0.25,
    }
    world = HandWorld(HEAD, TWO_WAYS.texts, TWO_WAYS.results, scores)
    tree, _ = search(world, PROBLEM.hidden(), annotation="ppm", steps=steps)
    right = next(node for node in tree.nodes if node.answer == "2")
    assert right.score == right.q == pytest.approx(worth)  # of steps worth .5 and .75; as chances .75 x .875
    assert tree.nodes[1].score == 0.5


def test_the_reference_is_sent_to_the_grader_and_to_nobody_else():
    _, log = search(TWO_WAYS, Problem("p", "text", "the secret reference"), annotation="ppm")
    assert {call.reference for call in of_kind(log, Verify)} == {"the secret reference"}
    assert not any("secret" in repr(call) for call, _ in log if not isinstance(call, Verify))


def test_a_policy_that_says_nothing_at_the_root_ends_the_search():
    tree, log = search(HandWorld(HEAD, {"": []}))
    assert show(tree) == "p: text\n[0] N=1 Q=-1.00 dead_end\n"
    assert tree.rollouts == 1
    assert len(log) == 1
    assert list(tree.leaves()) == []


@pytest.mark.parametrize("annotation", ["terminal", "ppm"])
def test_a_policy_that_says_nothing_deeper_closes_that_node_and_goes_on(annotation: str):
    texts = {"": [first("a"), first("b")], first("a"): [], first("b"): [last("right")]}
    world = HandWorld(HEAD, texts, TWO_WAYS.results, TWO_WAYS.scores)
    tree, log = search(world, annotation=annotation)
    assert tree.nodes[1].terminal is Terminal.DEAD_END
    assert tree.nodes[1].reward == -1.0
    assert tree.nodes[1].visits == (2 if annotation == "ppm" else 1)
    assert tree.nodes[3].correct
    assert (tree.nodes[ROOT].visits, tree.nodes[ROOT].value_sum) == (2, 0.0)
    assert [call.prompt for call in of_kind(log, Generate)].count(HEAD + first("a")) == 1


def test_a_failed_step_is_kept_as_a_child_and_never_extended():
    tree, log = search(TWO_WAYS)
    failed = [i for i, node in enumerate(tree.nodes) if node.terminal in (Terminal.CODE_ERROR, Terminal.TIMEOUT)]
    assert [tree.nodes[i].text for i in failed] == [step("fails"), step("slow")]
    for i in failed:
        assert i in tree.nodes[tree.nodes[i].parent].children
        assert not tree.nodes[i].children
    assert not any(step("fails") in call.prompt or step("slow") in call.prompt for call in of_kind(log, Generate))


def test_no_path_is_longer_than_max_depth():
    texts = {"": [first("a")], first("a"): [step("b")], first("a") + step("b"): [step("c")]}
    tree, log = search(HandWorld(HEAD, texts), max_depth=3)
    assert [node.depth for node in tree.nodes] == [0, 1, 2, 3]
    assert tree.nodes[3].terminal is Terminal.MAX_DEPTH
    assert len(of_kind(log, Generate)) == 3
    assert tree.rollouts == 1


def test_every_call_has_its_own_seed_and_the_configured_sampling():
    _, log = search(TWO_WAYS, candidates=7, temperature=0.5, top_p=0.25, max_tokens=11)
    calls = of_kind(log, Generate)
    seeds = Seeds(0, "p")
    assert [call.seed for call in calls] == [seeds.next() for _ in calls]
    assert {(c.n, c.temperature, c.top_p, c.max_tokens) for c in calls} == {(7, 0.5, 0.25, 11)}


def test_zero_stays_with_the_first_good_step_and_infinity_tries_each():
    """Unvisited children worth nothing (the public code's rule) are not tried while a visited one has a positive Q."""
    right = last("right")
    everywhere = [right, step("c"), step("d")]
    depth_two = [first(a) + step(b) for a in "ab" for b in "cd"]
    texts = {"": [first("a"), first("b")], **dict.fromkeys([first("a"), first("b"), *depth_two], everywhere)}
    world = HandWorld(HEAD, texts, {"right": printing("2")})

    def first_steps(fpu: str) -> list[bool]:
        tree, _ = search(world, fpu=fpu, rollouts=2, candidates=3, c=0, max_depth=3)
        return [tree.nodes[i].visits > 0 for i in tree.nodes[ROOT].children]

    assert first_steps("infinity") == [True, True]
    assert first_steps("zero") == [True, False]


# -- waves and several trees


def test_a_wave_grows_several_leaves_at_once():
    """Behind the root's turn a and b are grown together, where one rollout after the other would go down a first."""
    turns = []

    def noted(call):
        turns.append(call)
        return TWO_WAYS(call)

    searching = mcts(PROBLEM, Prompts(GRAMMAR), MctsConfig(rollouts=2, candidates=2, wave=2), Seeds(0, "p"))
    asked = [next(searching)]
    try:
        while True:
            now = asked[-1]
            reply = [noted(one) for one in now.calls] if isinstance(now, Together) else noted(now)
            asked.append(searching.send(reply))
    except StopIteration as stop:
        tree = stop.value
    first_together = next(one for one in asked if isinstance(one, Together))
    assert [call.prompt for call in first_together.calls] == [HEAD + first("a"), HEAD + first("b")]
    assert tree.rollouts == 2
    assert not tree.is_open(ROOT)
    assert [call.prompt for call in turns if isinstance(call, Generate)] == [
        HEAD,
        HEAD + first("a"),
        HEAD + first("b"),
        HEAD + first("b") + step("c"),
    ]


def test_two_rollouts_cannot_take_one_leaf():
    texts = {"": [first("a")], first("a"): [step("b")], first("a") + step("b"): [step("c"), last("right")]}
    tree, log = search(HandWorld(HEAD, texts, TWO_WAYS.results), wave=3, rollouts=3, max_depth=3)
    assert [call.prompt for call in of_kind(log, Generate)] == [HEAD, HEAD + first("a"), HEAD + first("a") + step("b")]
    assert not tree.is_open(ROOT)


def test_joined_trees_by_hand():
    one, log = search(TWO_WAYS, annotation="ppm")
    both, twice = search(TWO_WAYS, annotation="ppm", trees=2)
    size = len(one.nodes) - 1
    assert [node.text for node in both.nodes[1:]] == [node.text for node in one.nodes[1:]] * 2
    assert both.nodes[ROOT].children == [1, 2, 1 + size, 2 + size]
    assert [both.nodes[i].parent for i in range(1 + size, 1 + 2 * size)] == [
        one.nodes[i].parent and one.nodes[i].parent + size for i in range(1, 1 + size)
    ]
    assert (both.nodes[ROOT].visits, both.nodes[ROOT].value_sum) == (8, -4.0)
    assert (both.rollouts, both.cost.calls, both.cost.executions) == (4, 8, 14)
    assert len(twice) == 2 * len(log)
    assert len({call.seed for call in of_kind(twice, Generate)}) == 8
    assert not both.is_open(ROOT)


def test_trees_that_say_nothing_leave_no_trace_beside_others():
    silent = HandWorld(HEAD, {"": []})
    tree, _ = search(silent, trees=3)
    assert show(tree) == "p: text\n[0] N=1 Q=-1.00 dead_end\n"
    assert tree.cost.calls == 3


@several
@given(cases("mcts").filter(lambda case: case.config.trees == 1))
def test_the_first_of_several_trees_is_what_it_would_be_alone(case: Case):
    alone = drive(case.search(problems(1)[0]), case.world)
    config = case.config.model_copy(update={"trees": 2})
    both = drive(replace(case, config=config).search(problems(1)[0]), case.world)
    if alone.nodes[ROOT].children:
        assert [n.text for n in both.nodes[1 : len(alone.nodes)]] == [n.text for n in alone.nodes[1:]]
        assert [n.value_sum for n in both.nodes[1 : len(alone.nodes)]] == [n.value_sum for n in alone.nodes[1:]]
    assert both.rollouts <= 2 * case.config.rollouts


@several
@given(cases("mcts").filter(lambda case: case.config.trees == 1), st.integers(2, 5))
def test_a_wave_makes_as_many_rollouts(case: Case, wave: int):
    """As many as one after the other, unless nothing is left; and each still ends with something new."""
    one = replace(case, config=case.config.model_copy(update={"wave": 1}))
    several_at_once = replace(case, config=case.config.model_copy(update={"wave": wave}))
    first_tree, tree = (drive(each.search(problems(1)[0]), case.world) for each in (one, several_at_once))
    assert tree.rollouts == case.config.rollouts or not tree.is_open(ROOT)
    assert first_tree.rollouts == case.config.rollouts or not first_tree.is_open(ROOT)
    grown = sum(bool(node.children) or node.terminal is Terminal.DEAD_END for node in tree.nodes)
    assert tree.cost.calls == grown
    assert tree.rollouts <= grown
