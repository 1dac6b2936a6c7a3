"""rStar-Math's Monte Carlo tree search over executed steps."""

from rstar.config.search import MctsConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Tree
from rstar.search.bandit import select_child
from rstar.search.calls import Search, Seeds
from rstar.search.expand import Sample, expand
from rstar.search.reward import settle
from rstar.text.prompts import Prompts


def mcts(problem: Problem, prompts: Prompts, cfg: MctsConfig, seeds: Seeds) -> Search[Tree]:
    """Descend by UCT among open children, grow at the frontier, grade and back up what ends there.

    One rollout goes from the root to where nothing is open any more, so every rollout brings new work; the search ends
    when the root itself is exhausted. Terminals are graded against the reference where the problem has one, and valued
    by the PPM where it is hidden.
    """
    tree = Tree(problem)
    sample = Sample(cfg.candidates, cfg.temperature, cfg.top_p, cfg.max_tokens, cfg.max_depth)
    role = cfg.value if cfg.annotation == "ppm" else None
    for _ in range(cfg.rollouts):
        at = ROOT
        while tree.is_open(at):
            if not tree.nodes[at].children:
                born = yield from expand(tree, at, prompts, sample, seeds)
                yield from settle(tree, born or [at], prompts, role)
            if tree.is_open(at):
                at = select_child(tree, at, cfg)
        tree.rollouts += 1
        if not tree.is_open(ROOT):
            break
    return tree
