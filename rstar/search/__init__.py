"""Searches as generator functions: ordinary Python that asks and waits, and never does I/O."""

from collections.abc import Callable
from typing import Any

from rstar.search.greedy import greedy
from rstar.search.mcts import mcts

STRATEGIES: dict[str, Callable[..., Any]] = {"mcts": mcts, "greedy": greedy}
"""`search.kind` -> the generator function (problem, prompts, config, seeds) -> Search[Tree]."""
