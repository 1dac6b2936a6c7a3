"""Mutual reasoning: the five actions and their order, self-consistency, and what the discriminator makes of it."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rstar.config.search import MutualConfig
from rstar.core.execution import Status, StepResult
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Action, Node, Terminal, Tree
from rstar.search.calls import Call, Completion, Execute, Generate, Reply, Seeds, Verify, drive
from rstar.search.mutual import allowed, cut, mutual, question_first
from rstar.text.grammar import END_CODE, Grammar, Kind, Segment, opening_comment
from rstar.text.prompts import Prompts
from tests.search.cases import BOXED, BOXED_OBSERVED, PRINTED, TWO_SENTENCES, Case, problems
from tests.search.generated import WORLDS
from tests.search.worlds import logged, of_kind, printing

GRAMMAR = Grammar(answer="printed")
PROMPTS = Prompts(GRAMMAR)
PROBLEM = Problem("p", "Ann has 3 pears. Bo has 4. How many are there?", "7")
HEAD = GRAMMAR.prompt(PROBLEM.text)
A = Segment(Kind.STEP, "# a\na = 1", first=True).render()

some = st.sampled_from([2, 3, 1])
CASES = st.builds(
    Case,
    st.builds(
        MutualConfig,
        rollouts=st.sampled_from([4, 8, 1]),
        steps=some,
        subquestions=some,
        depth=st.sampled_from([3, 4, 2, 1]),
        max_depth=st.sampled_from([5, 7, 2]),
        discriminated=st.sampled_from([3, 8, 0]),
        discriminator=st.sampled_from(["discriminator", "policy"]),
        actions=st.sampled_from([tuple(Action), tuple(Action)[:2], (Action.SUBQUESTION, Action.REANSWER)]),
    ),
    st.sampled_from([PRINTED, BOXED, BOXED_OBSERVED]),
    st.booleans(),
    WORLDS,
    style=st.sampled_from(["fine_tuned", "instruct"]),
    text=st.sampled_from([TWO_SENTENCES, None]),
)
several = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def grown(case: Case) -> tuple[Tree, list[tuple[Call, Reply]]]:
    return logged(case.search(problems(1)[0]), case.world)


def acted(tree: Tree, at: int) -> Counter[Action]:
    """How many children of a node each action made."""
    return Counter(action for i in tree.nodes[at].children if (action := tree.nodes[i].action))


# -- the order of actions


@several
@given(CASES)
def test_actions_stand_where_they_may(case: Case):
    tree, _ = grown(case)
    cfg = case.config
    for at, node in enumerate(tree.nodes):
        made = acted(tree, at)
        assert (node.action is None) == (at == ROOT)
        assert made.keys() <= {*cfg.actions, *([Action.REMAINING_STEPS] if END_CODE in node.text else [])}
        assert made[Action.ONE_STEP] <= cfg.steps
        assert made[Action.SUBQUESTION] <= cfg.subquestions
        assert made[Action.REMAINING_STEPS] <= 1
        assert made[Action.REANSWER] <= made[Action.SUBQUESTION], "one answer anew for each sub-question"
        assert made[Action.REPHRASE] <= (at == ROOT)
        if node.action is Action.REMAINING_STEPS:
            assert made.keys() <= {Action.REMAINING_STEPS}
            assert node.terminal or node.children, "it goes on to the end"
        if END_CODE in node.text:
            assert made.keys() <= {Action.REMAINING_STEPS}
        if node.action is Action.REPHRASE:
            assert (node.text, bool(node.rephrased)) == ("", True)
        if node.action not in (None, Action.REMAINING_STEPS):
            assert node.depth <= cfg.depth or END_CODE in node.text
            assert node.depth < cfg.depth or node.terminal or END_CODE in node.text or not node.text


@several
@given(CASES)
def test_a_sub_question_is_answered_anew_in_its_own_place(case: Case):
    tree, _ = grown(case)
    for i, node in enumerate(tree.nodes):
        if node.action in (Action.REANSWER, Action.SUBQUESTION):
            elder = [tree.nodes[k] for k in tree.nodes[node.parent].children if k < i]
            assert node.terminal is Terminal.UNPARSABLE or opening_comment(node.text).endswith("\n")
            if node.action is Action.REANSWER:
                assert opening_comment(node.text) in [
                    opening_comment(e.text) for e in elder if e.action is Action.SUBQUESTION
                ]
                assert node.text not in [e.text for e in elder]


def test_the_rules_by_hand():
    one, rest, question, anew, rephrase = Action
    cfg = MutualConfig()
    last = Segment(Kind.LAST_STEP, "print(1)").render()
    assert allowed(Node(parent=-1), cfg) == [one, rest, question, rephrase]
    assert allowed(Node(parent=0, action=one), cfg) == [one, rest, question]
    assert allowed(Node(parent=0, action=question), cfg) == [one, rest, question, anew]
    assert allowed(Node(parent=0, action=anew), cfg) == [one, rest, question]
    assert allowed(Node(parent=0, action=rephrase), cfg) == [one, rest, question]
    assert allowed(Node(parent=0, action=question, text=last), cfg) == [rest]
    assert allowed(Node(parent=-1), MutualConfig(actions=(rest,))) == [rest]


@pytest.mark.parametrize("wrong", [{"actions": ("rephrase", "reanswer")}, {"cut_from": 0.9}, {"rollouts": 0}])
def test_a_config_that_leads_nowhere_is_refused(wrong: dict):
    with pytest.raises(ValidationError):
        MutualConfig(**wrong)


# -- rewards and budget


@several
@given(CASES)
def test_rewards_are_shares_and_every_terminal_is_backed_up_once(case: Case):
    tree, _ = grown(case)
    for node in tree.nodes:
        assert 0 <= node.q <= 1 + 1e-12
        if node.terminal:
            assert node.visits == 1
            assert node.reward == node.value_sum
            assert 0 <= node.reward <= 1
            assert (node.reward > 0) == (node.terminal is Terminal.ANSWERED)
        assert node.score is None or -1 <= node.score <= 1
    assert tree.nodes[ROOT].visits == sum(node.terminal is not None for node in tree.nodes)
    assert tree.nodes[ROOT].value_sum == pytest.approx(sum(node.reward or 0 for node in tree.nodes))


@several
@given(CASES)
def test_budget_and_costs(case: Case):
    tree, log = grown(case)
    cfg = case.config
    assert 1 <= tree.rollouts <= cfg.rollouts
    assert (tree.rollouts < cfg.rollouts) <= (not tree.is_open(ROOT))
    assert sum(node.score is not None for node in tree.nodes) <= (cfg.discriminated or len(tree.nodes))
    assert tree.cost.calls == len(of_kind(log, Generate))
    assert tree.cost.generated == sum(c.tokens for call, reply in log if isinstance(call, Generate) for c in reply)
    assert tree.cost.executions == sum(len(call.codes) for call in of_kind(log, Execute))
    answered = [i for i in tree.leaves() if tree.nodes[i].answer]
    assert (tree.chosen in answered) if answered else (tree.chosen is None)
    line = orjson.dumps(tree.to_json())
    assert Tree.from_json(orjson.loads(line)) == tree


# -- the reference is out of reach


@several
@given(CASES, st.text(max_size=9))
def test_no_reference_changes_anything(case: Case, reference: str):
    """The tree and every call are the same whatever the reference is, and no verdict is ever asked for."""
    hidden, asked = grown(replace(case, hidden=True))
    for answer in (reference, hidden.nodes[hidden.chosen].answer if hidden.chosen else "0"):
        problem = replace(problems(1)[0], answer=answer)
        tree, log = logged(replace(case, hidden=False).search(problem), case.world)
        assert (tree, log) == (hidden, asked)
    assert hidden.problem.answer is None
    assert {type(call) for call, _ in asked} <= {Generate, Execute}
    assert not of_kind(asked, Verify)


class Sealed(Problem):
    """A problem whose reference must not be looked at."""

    def __getattribute__(self, name: str) -> object:
        if name == "answer":
            raise AssertionError("somebody looked at the reference")
        return super().__getattribute__(name)

    def hidden(self) -> Problem:
        return Problem(self.id, self.text, None, self.level, self.setup)


def test_nobody_looks_at_the_reference():
    case = Case(MutualConfig(rollouts=8, steps=2, subquestions=2), text=None)
    sealed = Sealed("p0", "What is number 0?", "2")
    with pytest.raises(AssertionError):
        _ = sealed.answer
    tree = drive(mutual(sealed, PROMPTS, case.config, Seeds(0, "p0")), case.world)
    assert tree.chosen is not None
    assert {f.name for f in fields(tree.problem)} == {"id", "text", "answer", "level", "setup", "source", "parent"}
    assert type(tree.problem) is Problem


# -- by hand


def last(code: str) -> str:
    return Segment(Kind.LAST_STEP, code).render()


class Script:
    """What the policy and the discriminator write behind a solution text, and what code prints."""

    def __init__(self, policy: dict[str, list[str]], discriminator: dict[str, list[str]], prints: dict[str, str]):
        self.texts = {"policy": policy, "discriminator": discriminator}
        self.prints = prints
        self.asked: list[Generate] = []

    def __call__(self, call: Call) -> Reply:
        if isinstance(call, Generate):
            self.asked.append(call)
            texts = self.texts[call.role][call.prompt.removeprefix(HEAD)]
            return [Completion(text, 1) for text in texts[: call.n]]
        assert isinstance(call, Execute)
        return [self._run(code) for code in call.codes]

    def _run(self, code: str) -> StepResult:
        if code in self.prints:
            return printing(self.prints[code], f"after {code}")
        bad = code == "bad"
        return StepResult(Status.EXCEPTION, error="E: bad") if bad else StepResult(Status.OK, f"after {code}")


X, Y, BAD = last("x"), last("y"), last("bad")


@pytest.mark.parametrize(("completion", "chosen"), [(X, X), (Y, Y), (BAD, X), ("and so on", X)])
def test_the_discriminators_score_by_hand(completion: str, chosen: str):
    """One first step; behind it x (says 7) three times, y (says 9) once, and a failure.

    Rewards: 3/4, 1/4, 0; the first step's Q is their mean, 1/3. Mean Q along x: (1/3 + 3/4) / 2 = 13/24, along y:
    (1/3 + 1/4) / 2 = 7/24. Confidence 3/4 and 1/4, so reward x confidence is 13/32 and 7/96. The discriminator is
    shown the first step and completes it: with 7 it keeps x alone, with 9 y alone, with nothing neither.
    """
    world = Script({"": [A], A: [X, X, X, Y, BAD]}, {A: [completion]}, {"x": "7", "y": "9"})
    cfg = MutualConfig(actions=(Action.ONE_STEP,), depth=3, discriminator="discriminator")
    tree = drive(mutual(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world)
    assert [(n.text, n.count, n.reward) for n in tree.nodes[2:]] == [(X, 3, 0.75), (Y, 1, 0.25), (BAD, 1, 0.0)]
    assert tree.nodes[1].q == pytest.approx(1 / 3)
    x, y = 13 / 32, 7 / 96
    expected = {X: x if completion == X else x - 1, Y: y if completion == Y else y - 1}
    assert {n.text: n.score for n in tree.nodes if n.score is not None} == pytest.approx(expected)
    assert tree.nodes[tree.chosen].text == chosen
    shown = [call for call in world.asked if call.role == "discriminator"]
    assert [(call.prompt, call.n, call.temperature) for call in shown] == [(HEAD + A, 1, 1.0)] * 2


def test_without_the_discriminator_reward_times_confidence_decides():
    world = Script({"": [A], A: [Y, X, X]}, {}, {"x": "7", "y": "9"})
    cfg = MutualConfig(actions=(Action.ONE_STEP,), discriminated=0)
    tree = drive(mutual(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world)
    assert tree.nodes[tree.chosen].text == X
    assert {call.role for call in world.asked} == {"policy"}


def test_equal_answers_vote_together_however_they_are_written():
    world = Script({"": [A], A: [X, Y]}, {}, {"x": "7", "y": "7.0"})
    cfg = MutualConfig(actions=(Action.ONE_STEP,), discriminated=0)
    tree = drive(mutual(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world)
    assert [node.reward for node in tree.nodes[2:]] == [1.0, 1.0]


def test_a_sub_question_opens_with_its_comment_and_its_code_is_written_anew():
    question = GRAMMAR.opening("") + "#"
    first = question + " how many?\na = 1\n<end_of_step>"
    texts = {question: [" how many?\na = 1\n<end_of_step>"], "<code>\n# how many?\n": ["a = 2\n<end_of_step>"]}
    world = Script({**texts, first + "\n\n#": [" say it\nx\n<end_of_code>"]}, {}, {"# say it\nx": "7"})
    cfg = MutualConfig(actions=(Action.SUBQUESTION, Action.REANSWER), rollouts=1, discriminated=0)
    tree = drive(mutual(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world)
    assert [(n.parent, n.action, n.text) for n in tree.nodes[1:]] == [
        (0, "subquestion", first),
        (1, "subquestion", "\n\n# say it\nx\n<end_of_code>"),
        (0, "reanswer", "<code>\n# how many?\na = 2\n<end_of_step>"),
    ] or [n.action for n in tree.nodes[1:]] == ["subquestion", "reanswer", "subquestion"]
    assert Counter(n.action for n in tree.nodes[1:]) == {"subquestion": 2, "reanswer": 1}


def test_below_a_rephrasing_the_problem_is_put_in_other_words():
    """The model that knows only solutions gets the question first; the solution is one of the problem as it was."""
    asked: list[str] = []

    def world(call: Call) -> Reply:
        if isinstance(call, Generate):
            asked.append(call.prompt)
            return [Completion(X.replace("\n\n", "<code>\n", 1), 1)]
        assert isinstance(call, Execute)
        return [printing("7", "s") for _ in call.codes]

    cfg = MutualConfig(actions=(Action.REMAINING_STEPS, Action.REPHRASE))
    tree = drive(mutual(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world)
    words = "How many are there? Ann has 3 pears. Bo has 4."
    assert asked[:2] == [HEAD, GRAMMAR.prompt(words)]
    assert set(asked[2:]) == {HEAD}, "the discriminator is shown the problem as it was"
    node = next(n for n in tree.nodes if n.action is Action.REPHRASE)
    assert (node.rephrased, node.text, node.state) == (words, "", tree.nodes[ROOT].state)
    assert tree.prefix(node.children[0]) == X.replace("\n\n", "<code>\n", 1)


def rephrasing(text: str) -> Iterable[str]:
    """The rephrasings in the tree of an instructed model that says `text`."""

    def world(call: Call) -> Reply:
        if isinstance(call, Generate):
            return [Completion(text if call.stop == ("\n\n",) else "and so on", 1)]
        raise AssertionError("nothing is to be run")

    cfg = MutualConfig(rollouts=1)
    tree = drive(mutual(PROBLEM, Prompts(GRAMMAR, "instruct"), cfg, Seeds(0, "p")), world)
    return [node.rephrased for node in tree.nodes if node.action is Action.REPHRASE]


def test_an_instructed_model_rephrases():
    assert rephrasing(" Ann: 3. Bo: 4. Sum?\n\n") == ["Ann: 3. Bo: 4. Sum?"]
    assert rephrasing("\n\n") == []
    assert rephrasing(PROBLEM.text) == []
    assert rephrasing("a <code> of honour") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A is 1. B is 2! How much?", "How much? A is 1. B is 2!"),
        ("How much is 1.5 and 2?", "How much is 1.5 and 2?"),
        ("", ""),
    ],
)
def test_question_first(text: str, expected: str):
    assert question_first(text) == expected


@given(st.integers(1, 40), st.integers(0, 2**32), st.sampled_from([(0.2, 0.8), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)]))
def test_a_cut_shows_something_and_leaves_something(steps: int, seed: int, between: tuple[float, float]):
    shown = cut(steps, random.Random(seed), *between)
    assert 0 <= shown < steps
    assert shown >= 1 or steps == 1
    if between == (0.2, 0.8) and steps >= 5:
        assert 0.2 * steps - 0.5 <= shown <= 0.8 * steps + 0.5


def test_cuts_reach_from_a_fifth_to_four_fifths():
    shown = Counter(cut(10, random.Random(seed), 0.2, 0.8) for seed in range(2000))
    assert set(shown) == set(range(2, 9))
