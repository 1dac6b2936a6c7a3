"""rStar-Math's Monte Carlo tree search over executed steps."""

from collections import Counter
from dataclasses import fields

from rstar.config.search import MctsConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Cost, Tree
from rstar.search.bandit import select_child
from rstar.search.calls import Search, Seeds, together
from rstar.search.expand import Sample, expand
from rstar.search.reward import settle
from rstar.text.prompts import Prompts


def mcts(problem: Problem, prompts: Prompts, cfg: MctsConfig, seeds: Seeds) -> Search[Tree]:
    """Descend by UCT among open children, grow at the frontier, grade and back up what ends there.

    Terminals are graded against the reference where the problem has one, and valued by the PPM where it is hidden.
    Several `trees` know nothing of one another until they are joined under one root; the first is what it would be
    alone.
    """
    trees = yield from together([_grown(problem, prompts, cfg, seeds.fork(i)) for i in range(cfg.trees)])
    return joined(trees)


def _grown(problem: Problem, prompts: Prompts, cfg: MctsConfig, seeds: Seeds) -> Search[Tree]:
    """One tree.

    A rollout goes from the root to where nothing is open any more, so every rollout brings new work; the search ends
    when the root itself is exhausted. `wave` rollouts are under way at once: each turn selects a leaf for every one of
    them and grows all leaves together. One whose leaf another has taken waits where it stands.
    """
    tree = Tree(problem)
    walks: list[int] = []
    while tree.is_open(ROOT) and tree.rollouts < cfg.rollouts and not _has_enough(tree, cfg):
        walks += [ROOT] * (min(cfg.wave, cfg.rollouts - tree.rollouts) - len(walks))
        leaves = _select(tree, walks, cfg)
        grown = [leaf for leaf in leaves if leaf is not None]
        yield from together([_evaluated(tree, leaf, prompts, cfg, seeds) for leaf in grown])
        tree.rollouts += sum(not tree.is_open(leaf) for leaf in grown)
        stands = [at if leaf is None else leaf for at, leaf in zip(walks, leaves, strict=True)]
        ended = {leaf for leaf in grown if not tree.is_open(leaf)}
        walks = [at if tree.is_open(at) else ROOT for at in stands if at not in ended]
    return tree


def _has_enough(tree: Tree, cfg: MctsConfig) -> bool:
    return cfg.enough is not None and sum(node.correct for node in tree.nodes) >= cfg.enough


def _select(tree: Tree, walks: list[int], cfg: MctsConfig) -> list[int | None]:
    """The leaf that each rollout under way comes to from where it stands; None where an earlier one has taken it.

    A leaf that was taken counts as one visit more, without a value, of every node on its path (WU-UCT, arXiv
    1810.11755), so that the next rollouts of this turn look elsewhere.
    """
    virtual: Counter[int] = Counter()
    leaves: list[int | None] = []
    for at in walks:
        while tree.nodes[at].children:
            at = select_child(tree, at, cfg, virtual)
        taken = virtual[at] > 0
        leaves.append(None if taken else at)
        if not taken:
            virtual.update((ROOT, *tree.path(at)))
    return leaves


def _evaluated(tree: Tree, leaf: int, prompts: Prompts, cfg: MctsConfig, seeds: Seeds) -> Search[None]:
    sample = Sample(cfg.candidates, cfg.temperature, cfg.top_p, cfg.max_tokens, cfg.max_depth)
    born = yield from expand(tree, leaf, prompts, sample, seeds)
    yield from settle(tree, born or [leaf], prompts, cfg.value if cfg.annotation == "ppm" else None, cfg.steps)


def joined(trees: list[Tree]) -> Tree:
    """Trees of one problem under one root: its visits and costs are their sums, and equal first steps stay apart."""
    whole = trees[0]
    for tree in trees[1:]:
        for f in fields(Cost):
            setattr(whole.cost, f.name, getattr(whole.cost, f.name) + getattr(tree.cost, f.name))
        whole.rollouts += tree.rollouts
        root, its = whole.nodes[ROOT], tree.nodes[ROOT]
        if not its.children:
            continue  # the policy had nothing to say: no node stands for that
        if not root.children:
            whole.nodes = tree.nodes
            continue
        shift = len(whole.nodes) - 1
        for node in tree.nodes[1:]:
            node.parent += shift if node.parent != ROOT else 0
            node.children = [i + shift for i in node.children]
        whole.nodes += tree.nodes[1:]
        root.children += [i + shift for i in its.children]
        root.visits, root.value_sum = root.visits + its.visits, root.value_sum + its.value_sum
        root.closed = root.closed and its.closed
    return whole
