"""One solution at temperature 0."""

from rstar.config.search import GreedyConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Tree
from rstar.search.calls import Search, Seeds
from rstar.search.expand import Sample, expand
from rstar.search.reward import settle
from rstar.text.prompts import Prompts


def greedy(problem: Problem, prompts: Prompts, cfg: GreedyConfig, seeds: Seeds) -> Search[Tree]:
    """Take the single most likely step until something ends."""
    tree = Tree(problem)
    sample = Sample(1, 0.0, 1.0, cfg.max_tokens, cfg.max_depth)
    at = ROOT
    while tree.is_open(at):
        born = yield from expand(tree, at, prompts, sample, seeds)
        yield from settle(tree, born or [at], prompts, None)
        at = born[0] if born else at
    tree.rollouts = 1
    return tree
