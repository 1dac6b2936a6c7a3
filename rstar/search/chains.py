"""Whole solutions sampled apart from one another: best-of-N and self-consistency."""

from rstar.config.search import BestOfNConfig, SelfConsistencyConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.search.calls import Search, Seeds, together
from rstar.search.expand import Sample, grow, propose
from rstar.search.reward import judge, score_nodes, settle, solution_score
from rstar.text.prompts import Prompts


def best_of_n(problem: Problem, prompts: Prompts, cfg: BestOfNConfig, seeds: Seeds) -> Search[Tree]:
    """N sampled solutions side by side; the value model scores each that answers.

    With `steps: last` a solution's score is what the model says of the whole of it (an ORM, or a PPM on the last
    step). A model of steps (PRM) may score every step, the solution's being their least, mean or product; the product
    is of probabilities (s + 1) / 2.
    """
    tree, ends = yield from _sampled(problem, prompts, cfg, seeds)
    answered = [i for i in ends if tree.nodes[i].terminal is Terminal.ANSWERED]
    scored = answered if cfg.steps == "last" else [i for leaf in answered for i in tree.path(leaf)]
    yield from score_nodes(tree, scored, prompts, cfg.value)
    for leaf in answered:
        tree.nodes[leaf].score = solution_score([tree.nodes[i].score or 0.0 for i in tree.path(leaf)], cfg.steps)
    yield from settle(tree, sorted({*scored, *ends}), prompts, None)
    return tree


def self_consistency(problem: Problem, prompts: Prompts, cfg: SelfConsistencyConfig, seeds: Seeds) -> Search[Tree]:
    """N sampled solutions side by side, which vote by class of equal answers; scored only for a weighted vote."""
    tree, ends = yield from _sampled(problem, prompts, cfg, seeds)
    yield from judge(tree, ends, prompts, cfg.value if cfg.answer == "weighted" else None)
    return tree


def _sampled(
    problem: Problem, prompts: Prompts, cfg: BestOfNConfig | SelfConsistencyConfig, seeds: Seeds
) -> Search[tuple[Tree, list[int]]]:
    """A tree of n chains and where each ends. Solution i is the same however many others there are."""
    tree = Tree(problem)
    sample = Sample(1, cfg.temperature, cfg.top_p, cfg.max_tokens, cfg.max_depth)
    ends = yield from together([chain(tree, prompts, sample, seeds.fork(i)) for i in range(cfg.n)])
    tree.rollouts = cfg.n
    return tree, [i for i in dict.fromkeys(ends) if i != ROOT] or [ROOT]


def chain(tree: Tree, prompts: Prompts, sample: Sample, seeds: Seeds) -> Search[int]:
    """One solution from the root to where it ends, apart from all others: equal first steps stay separate children."""
    at = ROOT
    while at == ROOT or tree.nodes[at].terminal is None:
        completions = yield from propose(tree, at, prompts, sample, seeds)
        born = yield from grow(tree, at, completions, prompts, sample.max_depth, merge=False)
        if not born:
            break
        at = born[0]
    return at
