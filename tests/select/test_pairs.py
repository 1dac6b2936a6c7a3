"""Preference pairs: expectations worked out by hand, and what holds of the pairs of any tree."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.config.search import MctsConfig
from rstar.core.tree import ROOT, Tree
from rstar.engine.scripted import ScriptedWorld
from rstar.search.calls import drive
from rstar.select.pairs import PairRule, answer_groups, edit_distance, pairs, step_groups
from tests.search.cases import Case, problems
from tests.search.worlds import RoughWorld
from tests.select.handmade import grow, problem


def parting() -> Tree:
    """A root whose five children lead, by name, to right (r), to wrong (w) or to both (b) ends."""
    tree = problem()
    for text, q, ends in (
        ("r1;", 0.8, ["right"]),
        ("w1;", -0.9, ["wrong"]),
        ("b1;", 0.4, ["right", "wrong"]),
        ("b2;", 0.1, ["wrong", "right"]),
        ("w2;", -0.3, ["error", "deep"]),
    ):
        at = grow(tree, text, q)
        for number, end in enumerate(ends):
            grow(tree, f"{end}{number}", {"right": 1.0}.get(end, -1.0), end, at)
    return tree


def named(tree: Tree, ids: list[int]) -> list[str]:
    return [tree.nodes[i].text for i in ids]


def by_hand(tree: Tree, most: int = 2, **rule) -> list[tuple[str, str, float, float]]:
    made = pairs([tree], PairRule(most=most, **rule))
    return [(pair.chosen, pair.rejected, pair.margin, pair.weight) for pair in made if pair.kind == "step"]


def test_the_two_highest_that_lead_right_against_the_two_lowest_that_lead_wrong():
    tree = parting()
    groups = {at: (named(tree, good), named(tree, bad)) for at, good, bad in step_groups(tree, 2)}
    assert groups[ROOT] == (["r1;", "b1;"], ["w1;", "w2;"])


def test_pairs_of_a_group_share_its_weight():
    at_root = [pair for pair in by_hand(parting()) if pair[0] in ("r1;", "b1;")]
    assert at_root == [
        ("r1;", "w1;", 1.7, 0.25),
        ("r1;", "w2;", 1.1, 0.25),
        ("b1;", "w1;", 1.3, 0.25),
        ("b1;", "w2;", 0.7, 0.25),
    ]


def test_one_against_one_weighs_one_and_two_against_one_half():
    tree = problem()
    grow(tree, "a", 1.0, "right")
    grow(tree, "x", -1.0, "wrong")
    assert by_hand(tree, answers=False) == [("a", "x", 2.0, 1.0)]
    grow(tree, "b", 0.5, "right")
    assert by_hand(tree) == [("a", "x", 2.0, 0.5), ("b", "x", 1.5, 0.5)]


def test_a_child_is_never_both():
    tree = parting()
    (good, bad) = next((good, bad) for at, good, bad in step_groups(tree, 5) if at == ROOT)
    assert named(tree, good) == ["r1;", "b1;", "b2;"]
    assert named(tree, bad) == ["w1;", "w2;"]


def test_a_third_child_that_leads_both_ways_may_be_rejected():
    tree = problem()
    for text, q in (("b1;", 0.5), ("b2;", 0.2), ("b3;", -0.1)):
        at = grow(tree, text, q)
        grow(tree, "right", 1.0, "right", at)
        grow(tree, "wrong", -1.0, "wrong", at)
    (good, bad) = next((good, bad) for at, good, bad in step_groups(tree, 2) if at == ROOT)
    assert (named(tree, good), named(tree, bad)) == (["b1;", "b2;"], ["b3;"])


def test_deeper_nodes_give_pairs_behind_their_prefix():
    tree = problem()
    a = grow(tree, "a;", 0.2)
    tree.nodes[a].observation = "[5]"
    grow(tree, "good", 1.0, "right", a)
    grow(tree, "bad", -1.0, "wrong", a)
    (pair,) = pairs([tree], PairRule(answers=False))
    assert (pair.chosen, pair.rejected) == ("a;[5]good", "a;[5]bad")
    assert (pair.problem_id, pair.group, pair.kind) == ("p", f"p/0/{a}", "step")


def test_ties_in_q_give_no_pair():
    tree = problem()
    grow(tree, "a", 0.5, "right")
    grow(tree, "b", 0.2, "right")
    grow(tree, "x", 0.5, "wrong")
    grow(tree, "y", 0.1, "wrong")
    assert by_hand(tree) == [("a", "y", 0.4, 0.25), ("b", "y", pytest.approx(0.1), 0.25)]


def test_a_wrong_step_that_looks_better_gives_no_pair():
    tree = problem()
    grow(tree, "a", -0.5, "right")
    grow(tree, "x", 0.5, "wrong")
    assert by_hand(tree) == []


@pytest.mark.parametrize("end", ["right", "wrong", "undecided"])
def test_all_of_a_kind_give_no_pair(end):
    tree = problem()
    grow(tree, "a", 0.5, end)
    grow(tree, "b", -0.5, end)
    assert pairs([tree], PairRule()) == []


def test_undecided_answers_are_on_neither_side():
    tree = problem()
    grow(tree, "a", 1.0, "right")
    grow(tree, "u", -1.0, "undecided")
    grow(tree, "n", -1.0, "ungraded")
    assert pairs([tree], PairRule()) == []


def test_the_least_margin_is_kept_and_the_weight_stays_that_of_the_group():
    tree = problem()
    grow(tree, "a", 1.0, "right")
    grow(tree, "x", 0.5, "wrong")
    grow(tree, "y", 0.51, "wrong")
    assert by_hand(tree, min_margin=0.5) == [("a", "x", 0.5, 0.5)]
    assert by_hand(tree, min_margin=0.51) == []


def test_texts_that_are_too_much_alike_give_no_pair():
    tree = problem()
    grow(tree, "x = 1 + 2", 1.0, "right")
    grow(tree, "x = 1 - 2", -1.0, "wrong")
    grow(tree, "y = 7 * 8", -1.0, "wrong")
    kept = [(pair[0], pair[1]) for pair in by_hand(tree, min_edit_distance=4)]
    assert kept == [("x = 1 + 2", "y = 7 * 8")]


def test_answer_pairs_are_whole_trajectories_over_all_trees():
    first, second = problem(), problem()
    second.attempt = 1
    a = grow(first, "a;", 0.6)
    grow(first, "1", 1.0, "right", a)  # mean 0.8
    grow(first, "2", -1.0, "wrong", a)  # mean -0.2
    grow(first, "e", -1.0, "error")  # not an answer
    grow(second, "3", 0.9, "right")
    grow(second, "4", -0.9, "wrong")
    grow(second, "5", 0.1, "right")  # third best
    good, bad = answer_groups([first, second], 2)
    assert ([t.text for t in good], [t.text for t in bad]) == (["3", "a;1"], ["4", "a;2"])
    made = [pair for pair in pairs([first, second], PairRule()) if pair.kind == "answer"]
    assert [(p.chosen, p.rejected, p.margin, p.weight) for p in made] == [
        ("3", "4", 1.8, 0.25),
        ("3", "a;2", 1.1, 0.25),
        ("a;1", "4", 1.7, 0.25),
        ("a;1", "a;2", 1.0, 0.25),
    ]
    assert {pair.group for pair in made} == {"p/answers"}
    assert {p.kind for p in pairs([first, second], PairRule(answers=False))} == {"step"}


def test_identical_answers_of_two_trees_stand_once_in_a_group():
    first, second = problem(), problem()
    for tree in (first, second):
        grow(tree, "1", 0.9, "right")
        grow(tree, "2", -0.9, "wrong")
    good, bad = answer_groups([first, second], 2)
    assert ([t.text for t in good], [t.text for t in bad]) == (["1"], ["2"])


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("ab", "ba", 2)],
)
def test_edit_distance(a, b, distance):
    assert edit_distance(a, b) == distance
    assert edit_distance(b, a) == distance


WORLDS = st.builds(
    RoughWorld,
    inner=st.builds(
        ScriptedWorld,
        seed=st.integers(0, 500),
        branching=st.integers(2, 6),
        failing=st.sampled_from([0.0, 0.1, 0.3]),
        ending=st.sampled_from([0.3, 0.6]),
    ),
    undecided=st.sampled_from([0.0, 0.2]),
)
SEARCHES = st.builds(
    MctsConfig,
    rollouts=st.integers(2, 12),
    candidates=st.integers(2, 6),
    max_depth=st.integers(2, 6),
    annotation=st.sampled_from(["terminal", "ppm"]),
)
several = settings(max_examples=120, deadline=None, derandomize=True)


@several
@given(SEARCHES, WORLDS, st.integers(1, 3))
def test_of_any_tree(config: MctsConfig, world: RoughWorld, most: int):
    tree = drive(Case(config).search(problems(3)[2]), world)
    q = {tree.prefix(at): node.q for at, node in enumerate(tree.nodes)}
    for at, chosen, rejected in step_groups(tree, most):
        assert not set(chosen) & set(rejected)
        assert max(len(chosen), len(rejected)) <= most
        assert {tree.nodes[i].parent for i in (*chosen, *rejected)} == {at}
    weights: dict[str, float] = defaultdict(float)
    for pair in pairs([tree], PairRule(most=most)):
        weights[pair.group] += pair.weight
        assert pair.margin > 0
        if pair.kind == "step":
            prefix = tree.prefix(int(pair.group.rpartition("/")[2]))
            assert pair.chosen.startswith(prefix)
            assert pair.rejected.startswith(prefix)
            assert q[pair.chosen] > q[pair.rejected]
            assert pair.margin == pytest.approx(q[pair.chosen] - q[pair.rejected], abs=1e-5)
    assert all(total <= 1 + 1e-9 for total in weights.values())


def test_the_worlds_above_do_give_pairs():
    trees = [
        drive(Case(MctsConfig(rollouts=8, candidates=4, max_depth=5)).search(p), RoughWorld()) for p in problems(9)
    ]
    assert sum(len(pairs([tree], PairRule())) for tree in trees) > 20
