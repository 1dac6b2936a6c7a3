"""The strategy that docs/search.md writes in fifteen lines."""

from rstar.core.tree import Tree
from rstar.search.expand import Sample, expand
from rstar.search.reward import judge, worth


def best_first(problem, prompts, cfg, seeds):
    """Always grow the open leaf that the value model likes best."""
    tree = Tree(problem)
    sample = Sample(cfg.options["candidates"], 1.0, 1.0, cfg.max_tokens, cfg.max_depth)
    for _ in range(cfg.options["expansions"]):
        leaves = [i for i, node in enumerate(tree.nodes) if tree.is_open(i) and not node.children]
        if not leaves:
            break
        at = max(leaves, key=lambda i: worth(tree.nodes[i]))
        born = yield from expand(tree, at, prompts, sample, seeds)
        yield from judge(tree, born or [at], prompts, cfg.value)
    return tree
