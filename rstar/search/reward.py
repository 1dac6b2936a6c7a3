"""What a newborn is worth: terminal-guided and PPM-augmented annotation."""

import math
from collections.abc import Sequence

from rstar.config.search import StepScores
from rstar.core.problem import Problem
from rstar.core.tree import Node, Terminal, Tree
from rstar.core.verdict import Verdict
from rstar.search.calls import Answer, Search, score, verify
from rstar.search.expand import last_line
from rstar.text.prompts import Prompts

REWARDS = {Verdict.EQUIVALENT: 1.0, Verdict.DIFFERENT: -1.0, Verdict.UNVERIFIABLE: 0.0}
FAILED = -1.0


def settle(tree: Tree, born: list[int], prompts: Prompts, role: str | None, over: StepScores = "last") -> Search[None]:
    """Grade, score and back up the newborn; close the subtrees that they exhaust.

    Every terminal is backed up once, at birth: q(s_i)^k = q(s_i)^{k-1} + q(s_d)^k (rStar-Math, section 3.2). Its value
    is the task's reward where the reference is known, else the value model's score, else 0; a failed step is -1. With
    a value model (`role`) the score of an open node is its first visit, q(s_i)^0 = PPM(x + s_1 ... s_i), and nobody
    else's; an answer that nobody can grade is worth what its steps are, taken together by `over`.
    """
    answered = [i for i in born if tree.nodes[i].terminal is Terminal.ANSWERED]
    if tree.problem.answer is not None and answered:
        yield from _grade(tree, answered, tree.problem.answer)
    if role is not None:
        graded = tree.problem.answer is not None
        open_nodes = [i for i in born if tree.nodes[i].terminal is None]
        yield from score_nodes(tree, open_nodes if graded else sorted(open_nodes + answered), prompts, role)
        for leaf in answered if not graded and over != "last" else []:
            tree.nodes[leaf].score = solution_score([tree.nodes[i].score or 0.0 for i in tree.path(leaf)], over)
    for i in born:
        node = tree.nodes[i]
        if node.terminal is None:
            if node.score is not None:
                node.visits, node.value_sum = node.visits + 1, node.value_sum + node.score
        else:
            if node.terminal is not Terminal.ANSWERED:
                node.reward = FAILED
            tree.back_up(i, node.reward if node.reward is not None else node.score or 0.0)
            tree.close(i)


SCORED_BY: dict[StepScores, str] = {
    "last": "its last step's score",
    "min": "the least of its steps' scores",
    "mean": "the mean of its steps' scores",
    "product": "the product of its steps' scores",
}
"""What a solution's score is, in words."""


def solution_score(steps: Sequence[float], over: StepScores) -> float:
    """A solution's score in [-1, 1] from those of its steps: the last, the least, their mean or their product."""
    if over == "product":
        return 2 * math.prod((step + 1) / 2 for step in steps) - 1
    return {"last": steps[-1], "min": min(steps), "mean": sum(steps) / len(steps)}[over]


def judge(tree: Tree, ids: list[int], prompts: Prompts, role: str | None) -> Search[None]:
    """Score and settle nodes that a value model alone is to compare: answers are scored too, reference or not.

    What is already settled stays as it is, so that a node may be handed in again; one that has become a terminal since
    is backed up now. With no role nothing is scored.
    """
    ids = unsettled(tree, ids)
    if role is not None:
        yield from score_nodes(tree, unscored(tree, ids), prompts, role)
    yield from settle(tree, ids, prompts, None)


def unsettled(tree: Tree, ids: list[int]) -> list[int]:
    """Those that have no score yet, or have become terminals since."""
    return [i for i in ids if tree.is_open(i) and (tree.nodes[i].terminal or tree.nodes[i].score is None)]


def unscored(tree: Tree, ids: list[int]) -> list[int]:
    """Those that a value model can still say something of: steps that failed are worth what they are worth."""
    return [i for i in ids if tree.nodes[i].score is None and tree.nodes[i].terminal in (None, Terminal.ANSWERED)]


def worth(node: Node) -> float:
    """What a judged node is worth to a search: its score, and -1 where it failed."""
    return FAILED if node.terminal not in (None, Terminal.ANSWERED) else node.score or 0.0


def grade_afterwards(tree: Tree, problem: Problem) -> Search[None]:
    """Grade the answers of a tree that was searched with the reference hidden. N, Q and scores stay as they were."""
    answered = [i for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]
    tree.problem = problem
    if problem.answer is not None and answered:
        yield from _grade(tree, answered, problem.answer)


def _grade(tree: Tree, answered: list[int], reference: str) -> Search[None]:
    nodes = [tree.nodes[i] for i in answered]
    judgements = yield from verify(reference, [Answer(n.answer or "", last_line(n.printed)) for n in nodes])
    for node, judgement in zip(nodes, judgements, strict=True):
        node.verdict, node.rule = judgement.verdict, judgement.rule
        node.reward = REWARDS[judgement.verdict]


def score_nodes(tree: Tree, ids: list[int], prompts: Prompts, role: str) -> Search[None]:
    """Write into each node what the value model says of the prefix that ends there."""
    if not ids:
        return
    head = prompts.value(tree.problem)
    before = {at: head + tree.prefix(at) for at in {tree.nodes[i].parent for i in ids}}
    texts = [before[node.parent] + node.text + node.observation for node in map(tree.nodes.__getitem__, ids)]
    scores = yield from score(texts, role)
    tree.cost.scored += len(ids)
    for i, value in zip(ids, scores, strict=True):
        tree.nodes[i].score = value
