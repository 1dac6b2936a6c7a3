"""The data-trust report: counts, coverage, duplicates, and references that trajectories agree against."""

import random

from rstar.core.problem import Problem
from rstar.core.trajectory import Trajectory
from rstar.core.tree import Tree
from rstar.select.trajectories import Difficulty, best, difficulty, ends
from rstar.select.trust import MOST_GROUPS, OTHERS, Ends, Trust
from tests.select.handmade import grow, problem


def of(*trees: Tree) -> Ends:
    return Ends.of(trees, ends(trees))


def answered(tree: Tree, text: str, answer: str, end: str = "wrong", count: int = 1) -> None:
    at = grow(tree, text, 0.0, end)  # type: ignore[arg-type]
    node = tree.nodes[at]
    node.answer, node.count, node.rule = answer, count, "number"


def test_agreement_against_a_reference_makes_a_suspect():
    tree = problem()
    for i, answer in enumerate(["7", "7.0", r"\boxed{7}", "7", "8"]):
        answered(tree, f"way {i}", answer)
    answered(tree, "the reference's way", "1", "right")
    suspect = of(tree).suspect(tree.problem, 4)
    assert suspect is not None
    assert (suspect.answer, suspect.agreeing, suspect.right, suspect.answered) == ("7", 4, 1, 6)
    assert suspect.row()["reference"] == "1"
    assert of(tree).suspect(tree.problem, 5) is None


def test_the_same_trajectory_said_again_is_no_agreement():
    first, second = problem(), problem()
    for tree in (first, second):
        answered(tree, "the same way", "7", count=3)
    its = of(first, second)
    assert its.suspect(first.problem, 2) is None
    assert (its.answered, its.sampled, its.duplicates, its.answers["7"]) == (2, 6, 5, 1)


def test_code_that_failed_and_undecided_answers_agree_with_nothing():
    tree = problem()
    for i in range(5):
        grow(tree, f"boom {i}", -1, "error")
        answered(tree, f"who knows {i}", "7", "undecided")
    assert of(tree).suspect(tree.problem, 2) is None


def test_the_summary_adds_up_and_agrees_with_difficulty():
    rng, trust = random.Random(1), Trust()
    seen = dict.fromkeys(Difficulty, 0)
    for i in range(60):
        tree = Tree(Problem(str(i), "What?", "1", f"L{i % 3}", source="ab"[i % 2]))
        for k in range(rng.randrange(5)):
            grow(tree, f"end {k}", 0.0, rng.choice(["right", "wrong", "undecided", "error"]))
        seen[difficulty([tree])] += 1
        trust.take(tree.problem, of(tree))
        for trajectory in best([tree], 2):
            trust.kept(trajectory)
    told = trust.told()
    assert {each: told.get(f"difficulty.{each.value}", 0) for each in Difficulty} == seen
    assert told["answered"] == told["correct"] + told["wrong"] + told["undecided"]
    assert sum(count for name, count in told.items() if name.startswith("rule.")) == told["correct"]
    for groups in told["trust"]["coverage"].values():
        assert sum(its["problems"] for its in groups.values()) == 60
        assert sum(its["solved"] for its in groups.values()) == 60 - seen[Difficulty.HARD]
    assert sum(sum(its.values()) for its in told["trust"]["difficulty"].values()) == 60


def test_the_summary_does_not_grow_with_sources():
    trust, tree = Trust(), problem()
    for i in range(MOST_GROUPS + 50):
        trust.take(Problem(str(i), "What?", "1", source=f"https://example.org/{i}"), of(tree))
    sources = trust.told()["trust"]["coverage"]["source"]
    assert len(sources) == MOST_GROUPS + 1
    assert sources[OTHERS]["problems"] == 50


def test_ranking_without_texts_is_that_of_whole_trajectories():
    rng = random.Random(7)
    for _ in range(50):
        tree = problem()
        for _ in range(40):
            open_nodes = [i for i, node in enumerate(tree.nodes) if node.terminal is None]
            end = rng.choice(["right", "wrong", "error", None, None])
            grow(tree, rng.choice("abc"), rng.choice([-1, -0.5, 0.25, 0.3, 1]), end, rng.choice(open_nodes))
        whole = [Trajectory.of(tree, end.leaf) for end in ends([tree])]
        assert [(end.mean_q, end.min_q) for end in ends([tree])] == [(t.mean_q, t.min_q) for t in whole]
        texts = {}
        for end, trajectory in zip(ends([tree]), whole, strict=True):
            assert texts.setdefault(end.text, trajectory.text) == trajectory.text
        assert len(set(texts.values())) == len(texts)
