import pytest
from hypothesis import given

from rstar.config.search import TotConfig
from rstar.core.problem import Problem
from rstar.core.tree import Terminal, Tree
from rstar.search.calls import Completion, Generate, Score, Seeds
from rstar.search.tot import opinion, tot
from tests.search.cases import Case, problems
from tests.search.generated import cases
from tests.search.steps import HEAD, PROMPTS, first, last, step
from tests.search.test_tree_properties import several
from tests.search.worlds import HandWorld, logged, of_kind, printing

PROBLEM = Problem("p", "text")
A, B = first("a"), first("b")


@pytest.mark.parametrize(
    ("said", "value"),
    [
        (" sure\n", 1.0),
        ("Sure.", 1.0),
        ("It is likely, not impossible", 0.0),
        (" impossible", -1.0),
        ("surely", 0.0),
        ("", 0.0),
    ],
)
def test_a_word_becomes_a_value(said: str, value: float):
    assert opinion(Completion(said, 1)) == value


class Judging(HandWorld):
    """Says of a step what `judged` has for the solution text, once for each evaluation."""

    judged: dict[str, list[str]]

    def __call__(self, call):
        if isinstance(call, Generate) and call.prompt.endswith("Verdict:"):
            text = next(t for t in sorted(self.judged, key=len, reverse=True) if f"So far:\n{t}\n\nDoes" in call.prompt)
            return [Completion(word, 1) for word in self.judged[text]]
        return super().__call__(call)


def search(judged: dict[str, list[str]], texts: dict[str, list[str]], **config: object) -> tuple[Tree, list]:
    world = Judging(HEAD, texts, {name: printing(name) for name in "123"})
    world.judged = judged
    return logged(tot(PROBLEM, PROMPTS, TotConfig(**config), Seeds(0, "p")), world)


TEXTS = {"": [A, B], A: [last("1"), step("c")], B: [last("2")], A + step("c"): [last("3")]}
JUDGED = {
    A: ["sure", "likely", "sure"],
    B: ["likely", "likely", "impossible"],
    A + last("1"): ["impossible"] * 3,
    A + step("c"): ["impossible", "impossible", "likely"],
    B + last("2"): ["sure", "likely", "likely"],
    A + step("c") + last("3"): ["sure"] * 3,
}


def test_breadth_first_keeps_what_the_policy_likes():
    tree, log = search(JUDGED, TEXTS, width=1, branching=2)
    scores = {node.text: node.score for node in tree.nodes[1:]}
    assert scores[A] == pytest.approx(2 / 3)
    assert scores[B] == pytest.approx(-1 / 3)
    assert scores[step("c")] == pytest.approx(-2 / 3)
    # a is kept, then c (-2/3) before 1 (-1), then 3
    assert [tree.nodes[i].answer for i in tree.leaves()] == ["1", "3"]
    asked = [call for call in of_kind(log, Generate) if call.prompt.endswith("Verdict:")]
    assert {(call.n, call.temperature, call.stop) for call in asked} == {(3, 0.7, ("\n",))}
    assert "Problem: text\n" in asked[0].prompt
    assert not of_kind(log, Score)


def test_depth_first_turns_back_where_nothing_is_good_enough():
    tree, log = search(JUDGED, TEXTS, order="dfs", branching=2)
    # a first; 1 (-1) and c (-2/3) are below -0.5; back to b (-1/3), whose 2 is 1/3
    assert tree.chosen is not None
    assert tree.nodes[tree.chosen].answer == "2"
    grown = [call.prompt for call in of_kind(log, Generate) if not call.prompt.endswith("Verdict:")]
    assert grown == [HEAD, HEAD + A, HEAD + B]


def test_a_lower_threshold_goes_on():
    tree, _ = search(JUDGED, TEXTS, order="dfs", branching=2, threshold=-0.9)
    assert tree.chosen is not None
    assert tree.nodes[tree.chosen].answer == "3"


def test_when_the_expansions_are_spent_what_is_there_may_still_answer():
    texts = {"": [A, B], A: [last("1"), step("c")]}
    judged = {A: ["sure"], B: ["likely"], A + last("1"): ["likely"], A + step("c"): ["sure"]}
    tree, log = search(judged, texts, order="dfs", branching=2, evaluations=1, expansions=2)
    assert tree.chosen is not None
    assert tree.nodes[tree.chosen].answer == "1"
    assert len([call for call in of_kind(log, Generate) if not call.prompt.endswith("Verdict:")]) == 2


def test_the_value_model_may_judge_instead():
    world = HandWorld(HEAD, TEXTS, {name: printing(name) for name in "123"}, dict.fromkeys((A, B), 0.5))
    world.scores = {**world.scores, A + last("1"): 0.9, A + step("c"): 0.1, B + last("2"): 0.2}
    cfg = TotConfig(order="dfs", judge="value", value="prm")
    tree, log = logged(tot(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world)
    assert tree.chosen is not None
    assert tree.nodes[tree.chosen].answer == "1"
    assert {call.role for call in of_kind(log, Score)} == {"prm"}
    assert not any(call.prompt.endswith("Verdict:") for call in of_kind(log, Generate))


@several
@given(cases("tot"))
def test_depth_first_stays_within_its_budget_and_above_its_threshold(case: Case):
    config = case.config.model_copy(update={"order": "dfs"})
    tree, log = logged(Case(config, case.grammar, case.hidden, case.world).search(problems(1)[0]), case.world)
    grown = [call for call in of_kind(log, Generate) if not call.prompt.endswith("Verdict:")]
    assert 1 <= len(grown) <= config.expansions
    for at, node in enumerate(tree.nodes[1:], start=1):
        if node.children:
            assert node.score is not None
            assert node.score >= config.threshold
        if node.score is not None:
            assert -1 <= node.score <= 1
        if at == tree.chosen:
            assert node.terminal is Terminal.ANSWERED
            assert (node.score or 0.0) >= config.threshold
