"""Which leaf answers: the best-scored one, or the best of the class that wins a vote."""

import pytest

from rstar.answers import compare
from rstar.config.search import GreedyConfig, MctsConfig
from rstar.core.tree import Tree
from rstar.core.verdict import Verdict
from rstar.evaluate.answer import choose, vote
from tests.select.handmade import grow, problem

BEST = MctsConfig(answer="best")
VOTE = MctsConfig(answer="vote")
WEIGHTED = MctsConfig(answer="weighted")


def answered(*leaves: tuple[str, float | None, float]) -> Tree:
    """A tree of answers, each with its score and its Q-value."""
    tree = problem()
    for number, (answer, score, q) in enumerate(leaves):
        at = grow(tree, f"s{number}", q, "wrong", score=score)
        tree.nodes[at].answer = answer
    return tree


def chosen(tree: Tree, cfg) -> str | None:
    leaf = choose(tree, cfg)
    return None if leaf is None else tree.nodes[leaf].text


def test_without_an_answer_nothing_is_chosen():
    tree = problem()
    grow(tree, "a", 1.0, "error", score=1.0)
    grow(tree, "b", 1.0, score=1.0)
    grow(tree, "c", 1.0, "deep")
    assert [choose(tree, cfg) for cfg in (BEST, VOTE, GreedyConfig())] == [None] * 3


def test_the_best_scored_leaf_answers():
    tree = answered(("1", 0.2, 0.9), ("2", 0.7, 0.1), ("3", 0.5, 0.5))
    assert chosen(tree, BEST) == "s1"
    assert chosen(tree, GreedyConfig()) == "s1"


def test_ties_in_score_go_by_q_and_then_by_birth():
    assert chosen(answered(("1", 0.5, 0.1), ("2", 0.5, 0.3)), BEST) == "s1"
    assert chosen(answered(("1", 0.5, 0.3), ("2", 0.5, 0.3)), BEST) == "s0"


def test_a_vote_goes_to_the_largest_class_and_its_best_leaf():
    tree = answered(("7", 0.9, 0), ("4", 0.1, 0), ("4.0", 0.3, 0), ("8/2", 0.2, 0))
    assert chosen(tree, VOTE) == "s2"
    assert chosen(tree, BEST) == "s0"


def test_only_the_best_vote():
    tree = answered(("7", 0.9, 0), ("8", 0.8, 0), ("8", 0.7, 0), ("7", 0.1, 0), ("7", 0.0, 0))
    assert chosen(tree, VOTE.model_copy(update={"top_k": 3})) == "s1"
    assert chosen(tree, VOTE) == "s0"


def test_a_tied_vote_goes_to_the_class_with_the_best_leaf():
    assert chosen(answered(("1", 0.1, 0), ("2", 0.9, 0), ("1", 0.2, 0), ("2", 0.0, 0)), VOTE) == "s1"


def test_without_scores_the_best_is_a_vote():
    assert chosen(answered(("1", None, 0.9), ("2", None, 0.1), ("2", None, 0.2)), BEST) == "s2"


def test_a_vote_over_leaves_in_the_order_given():
    tree = answered(("1", None, 0), ("2", None, 0), ("2", None, 0), ("1", None, 0))
    assert [vote(tree, order) for order in ([1, 2, 3, 4], [3, 1, 2, 4])] == [1, 3]


@pytest.mark.parametrize("same", [("1/2", "0.5"), ("1,000", "1000"), (" 5 ", "5")])
def test_plain_numbers_vote_by_value(same):
    tree = answered(("9", 0.9, 0), (same[0], 0.1, 0), (same[1], 0.0, 0))
    assert chosen(tree, VOTE) == "s1"


def test_a_weighted_vote_counts_scores():
    few, many = ("7", 0.9, 0), [("8", -0.6, 0), ("8", -0.7, 0), ("8", -0.5, 0)]
    assert chosen(answered(few, *many), VOTE) == "s3"
    assert chosen(answered(few, *many), WEIGHTED) == "s0"  # 0.95 against 0.2 + 0.15 + 0.25
    assert chosen(answered(few, ("8", 0.2, 0), ("8", 0.1, 0)), WEIGHTED) == "s1"  # 0.6 + 0.55: more is never less
    assert chosen(answered(("7", None, 0.9), ("8", None, 0), ("8", None, 0)), WEIGHTED) == "s1"


def test_the_grader_may_say_which_answers_are_equal():
    tree = answered(("9", 0.9, 0), ("x+1", 0.2, 0), ("1+x", 0.1, 0), (r"\frac{1}{2}", 0.0, 0))
    assert chosen(tree, VOTE) == "s0"

    def equal(left: str, right: str) -> bool:
        return compare(left, right).verdict is Verdict.EQUIVALENT

    leaf = choose(tree, VOTE, equal)
    assert leaf is not None
    assert tree.nodes[leaf].text == "s1"


def test_leaves_without_an_answer_do_not_vote():
    tree = answered(("", None, 0), ("", None, 0), ("3", None, 0))
    assert [vote(tree, order) for order in ([1, 2, 3], [1, 2])] == [3, 1]
