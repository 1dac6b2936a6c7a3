"""The way out of the registry: a strategy that is named in the settings."""

from rstar.config.search import CustomConfig, imported
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.search.calls import Search, Seeds
from rstar.text.prompts import Prompts


def custom(problem: Problem, prompts: Prompts, cfg: CustomConfig, seeds: Seeds) -> Search[Tree]:
    """Whatever `cfg.function` does."""
    tree: Tree = yield from imported(cfg.function)(problem, prompts, cfg, seeds)
    return tree
