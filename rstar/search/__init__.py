"""Searches as generator functions: ordinary Python that asks and waits, and never does I/O."""

from collections.abc import Callable
from typing import Any

from rstar.search.beam import beam, lookahead
from rstar.search.chains import best_of_n, self_consistency
from rstar.search.custom import custom
from rstar.search.greedy import greedy
from rstar.search.mcts import mcts
from rstar.search.mutual import mutual
from rstar.search.qstar import qstar
from rstar.search.rest_mcts import rest_mcts
from rstar.search.tot import tot

STRATEGIES: dict[str, Callable[..., Any]] = {
    "mcts": mcts,
    "qstar": qstar,
    "mutual": mutual,
    "beam": beam,
    "lookahead": lookahead,
    "tot": tot,
    "rest_mcts": rest_mcts,
    "best_of_n": best_of_n,
    "self_consistency": self_consistency,
    "greedy": greedy,
    "custom": custom,
}
"""`search.kind` -> the generator function (problem, prompts, config, seeds) -> Search[Tree]."""
