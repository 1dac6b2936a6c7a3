"""Searches that keep the best few steps of each level: beam search, and beam search with lookahead."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from rstar.config.search import BeamConfig, LookaheadConfig, TotConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.search.calls import Search, Seeds, together
from rstar.search.expand import Sample, expand, follow, reopen
from rstar.search.reward import judge, worth
from rstar.text.prompts import Prompts

Judge = Callable[[list[int]], Search[list[float]]]
"""What nodes are worth, in their order; settles whatever has ended."""


def beam(problem: Problem, prompts: Prompts, cfg: BeamConfig, seeds: Seeds) -> Search[Tree]:
    """Step-level beam search: a candidate is worth what the value model says of it."""
    tree = Tree(problem)

    def scored(ids: list[int]) -> Search[list[float]]:
        yield from judge(tree, ids, prompts, cfg.value)
        return [worth(tree.nodes[i]) for i in ids]

    yield from levels(tree, prompts, sampling(cfg), cfg.width, seeds, scored)
    return tree


def lookahead(problem: Problem, prompts: Prompts, cfg: LookaheadConfig, seeds: Seeds) -> Search[Tree]:
    """Beam search in which a candidate is worth what the value model says `steps` greedy steps later.

    V(s) = PPM(s + a_1 ... a_k), each a_i at temperature 0 (lookahead search of arXiv 2408.03314). The greedy steps are
    nodes like any other: a later expansion finds them there, and an answer that they reach counts.
    """
    tree = Tree(problem)
    greedy = Sample(1, 0.0, 1.0, cfg.max_tokens, cfg.max_depth)
    known: dict[int, int] = {}

    def scored(ids: list[int]) -> Search[list[float]]:
        paths = yield from together([follow(tree, i, cfg.steps, prompts, greedy, seeds, known) for i in ids])
        passed = [[i, *path] for i, path in zip(ids, paths, strict=True)]
        ends = [path[-1] for path in passed]
        yield from judge(tree, ends, prompts, cfg.value)
        reopen(tree, chain.from_iterable(passed))
        return [worth(tree.nodes[i]) for i in ends]

    yield from levels(tree, prompts, sampling(cfg), cfg.width, seeds, scored)
    return tree


def levels(tree: Tree, prompts: Prompts, sample: Sample, width: int, seeds: Seeds, valued: Judge) -> Search[None]:
    """Grow the tree level by level, keeping the best `width` candidates of each.

    Each level samples width x branching candidates, shared evenly among those that were kept. A kept candidate that has
    answered holds its place for good; the first born wins ties.
    """
    frontier = [ROOT]
    while frontier:
        share = replace(sample, n=width * sample.n // len(frontier))
        yield from together([expand(tree, at, prompts, share, seeds) for at in frontier])
        born = [i for at in frontier for i in tree.nodes[at].children]
        silent = [at for at in frontier if not tree.nodes[at].children]
        values = yield from valued(born + silent)
        alive = [
            (value, i)
            for value, i in zip(values, born, strict=False)
            if tree.nodes[i].terminal in (None, Terminal.ANSWERED)
        ]
        kept = [i for _, i in sorted(alive, key=lambda one: (-one[0], one[1]))[:width]]
        frontier = [i for i in kept if tree.nodes[i].terminal is None]
        width -= len(kept) - len(frontier)
    tree.rollouts = 1


def sampling(cfg: BeamConfig | LookaheadConfig | TotConfig) -> Sample:
    """How candidates of a kept step are sampled."""
    return Sample(cfg.branching, cfg.temperature, cfg.top_p, cfg.max_tokens, cfg.max_depth)
