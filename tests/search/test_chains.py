from dataclasses import dataclass, field

import pytest
from hypothesis import given

from rstar.config.search import BestOfNConfig, SelfConsistencyConfig
from rstar.core.execution import Status, StepResult
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.evaluate.answer import choose
from rstar.search.calls import Call, Generate, Reply, Score, Seeds, drive
from rstar.search.chains import best_of_n, self_consistency
from rstar.search.reward import solution_score
from tests.search.cases import Case, problems
from tests.search.generated import cases
from tests.search.steps import HEAD, PROMPTS, first, last
from tests.search.test_tree_properties import several
from tests.search.worlds import HandWorld, logged, of_kind, printing

PROBLEM = Problem("p", "text")
A, B = first("a"), first("b")


@pytest.mark.parametrize(
    ("over", "score"),
    [
        ("last", 0.5),
        ("min", -0.5),
        ("mean", 0.2),  # (0.6 - 0.5 + 0.5) / 3
        ("product", -0.7),  # 0.8 x 0.25 x 0.75 = 0.15, and 2 x 0.15 - 1
    ],
)
def test_a_solutions_score_by_hand(over: str, score: float):
    assert solution_score([0.6, -0.5, 0.5], over) == pytest.approx(score)


@dataclass
class Turns(HandWorld):
    """The n-th call behind a text is answered by the n-th of its completions."""

    asked: dict[str, int] = field(default_factory=dict)

    def __call__(self, call: Call) -> Reply:
        replies = super().__call__(call)
        if isinstance(call, Generate):
            turn = self.asked.get(call.prompt, 0)
            self.asked[call.prompt] = turn + 1
            return [replies[turn % len(replies)]] if replies else []
        return replies


def world() -> Turns:
    return Turns(
        HEAD,
        {"": [A, A, B, first("fails")], A: [last("1"), last("2")], B: [last("1.0")]},
        {"1": printing("1"), "2": printing("2"), "1.0": printing("1.0"),
         "fails": StepResult(Status.EXCEPTION, error="E: no (line 1)")},
        {A: 0.2, B: -0.6, A + last("1"): 0.1, A + last("2"): 0.8, B + last("1.0"): 0.4},
    )  # fmt: skip


def answer(tree: Tree, cfg: BestOfNConfig | SelfConsistencyConfig) -> str | None:
    leaf = choose(tree, cfg)
    return None if leaf is None else tree.nodes[leaf].answer


def test_the_best_scored_of_n_answers():
    cfg = BestOfNConfig(n=4, value="orm")
    tree, log = logged(best_of_n(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world())
    assert [tree.nodes[i].text for i in tree.nodes[ROOT].children] == [A, A, B, first("fails")]
    assert of_kind(log, Score) == [Score((HEAD + A + last("1"), HEAD + A + last("2"), HEAD + B + last("1.0")), "orm")]
    assert answer(tree, cfg) == "2"
    assert tree.rollouts == 4


@pytest.mark.parametrize(("over", "expected"), [("min", "2"), ("mean", "2"), ("product", "2"), ("last", "2")])
def test_steps_are_scored_where_they_count(over: str, expected: str):
    cfg = BestOfNConfig(n=4, steps=over)
    tree, log = logged(best_of_n(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world())
    assert sum(len(call.prefixes) for call in of_kind(log, Score)) == (3 if over == "last" else 6)
    assert answer(tree, cfg) == expected
    leaf = next(i for i in tree.leaves() if tree.nodes[i].answer == "1.0")
    by_hand = {"last": 0.4, "min": -0.6, "mean": -0.1, "product": 2 * 0.2 * 0.7 - 1}
    assert tree.nodes[leaf].score == pytest.approx(by_hand[over])


def test_samples_vote_by_class_and_ask_no_value_model():
    cfg = SelfConsistencyConfig(n=4)
    tree, log = logged(self_consistency(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world())
    assert not of_kind(log, Score)
    assert answer(tree, cfg) == "1"  # 1 and 1.0 against 2


def test_a_weighted_vote_counts_scores():
    cfg = SelfConsistencyConfig(n=4, answer="weighted")
    tree, _ = logged(self_consistency(PROBLEM, PROMPTS, cfg, Seeds(0, "p")), world())
    # (.1 + 1) / 2 + (.4 + 1) / 2 = 1.25 for 1, (.8 + 1) / 2 = .9 for 2
    assert answer(tree, cfg) == "1.0"
    alone = Turns(HEAD, {"": [A], A: [last("1"), last("2")]}, world().results, world().scores)
    tree, _ = logged(self_consistency(PROBLEM, PROMPTS, cfg.model_copy(update={"n": 2}), Seeds(0, "p")), alone)
    assert answer(tree, cfg) == "2"


def chains(tree: Tree) -> list[list[str]]:
    """Every solution as its steps, in the order of their first steps."""
    solutions = []
    for at in tree.nodes[ROOT].children:
        texts = [tree.nodes[at].text]
        while tree.nodes[at].children:
            (at,) = tree.nodes[at].children
            texts.append(tree.nodes[at].text)
        assert tree.nodes[at].terminal is not None
        solutions.append(texts)
    return solutions


def with_n(case: Case, n: int) -> Tree:
    config = case.config.model_copy(update={"n": n})
    return drive(Case(config, case.grammar, case.hidden, case.world).search(problems(1)[0]), case.world)


@several
@given(cases("best_of_n", "self_consistency"))
def test_there_are_exactly_n_chains(case: Case):
    tree = with_n(case, case.config.n)
    found = chains(tree)
    if tree.nodes[ROOT].terminal is Terminal.DEAD_END:
        assert found == []
        return
    assert len(found) == case.config.n == tree.rollouts == tree.nodes[ROOT].visits
    assert all(node.count == 1 for node in tree.nodes)
    assert sum(map(len, found)) == len(tree.nodes) - 1


@several
@given(cases("best_of_n", "self_consistency"))
def test_a_solution_is_the_same_however_many_others_there_are(case: Case):
    assert chains(with_n(case, case.config.n + 3))[: case.config.n] == chains(with_n(case, case.config.n))
