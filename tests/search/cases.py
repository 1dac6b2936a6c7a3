"""One table of configurations for every registered strategy: what the batching, replay and golden tests run over.

A new strategy needs at least one case here and at least one golden tree (`test_golden.py` fails until it has both).
"""

from dataclasses import dataclass, field

from rstar.config.search import GreedyConfig, MctsConfig
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.engine.scripted import ScriptedWorld
from rstar.search import STRATEGIES
from rstar.search.calls import Search, Seeds
from rstar.text.grammar import Grammar
from rstar.text.prompts import Prompts
from tests.search.worlds import RoughWorld

PRINTED = Grammar(answer="printed")
BOXED = Grammar(answer="boxed")
PRINTED_OBSERVED = Grammar(observe=True, answer="printed")
BOXED_OBSERVED = Grammar(observe=True, answer="boxed")

ROUGH = RoughWorld(ScriptedWorld(printing=0.3), silent=0.05, slow=0.05, undecided=0.1)


@dataclass(frozen=True)
class Case:
    """A strategy's configuration, the grammar its solutions are written in, and whether it sees the reference."""

    config: MctsConfig | GreedyConfig
    grammar: Grammar = PRINTED
    hidden: bool = False
    world: RoughWorld = field(default=ROUGH)
    style: str = "fine_tuned"

    def search(self, problem: Problem, run_seed: int = 0) -> Search[Tree]:
        prompts = Prompts(self.grammar, "instruct" if self.style == "instruct" else "fine_tuned")
        seeds = Seeds(run_seed, problem.id)
        return STRATEGIES[self.config.kind](problem.hidden() if self.hidden else problem, prompts, self.config, seeds)


def problems(n: int) -> list[Problem]:
    """Problems whose scripted solutions are sometimes right: the reference is a small number."""
    return [Problem(f"p{i}", f"What is number {i}?", str(2 + i % 7)) for i in range(n)]


SMALL = MctsConfig(rollouts=5, candidates=4, max_depth=6)

CASES = {
    "greedy": Case(GreedyConfig(max_depth=8)),
    "greedy-boxed-hidden": Case(GreedyConfig(max_depth=5), BOXED, hidden=True),
    "mcts-terminal": Case(SMALL),
    "mcts-terminal-boxed": Case(SMALL, BOXED),
    "mcts-terminal-hidden": Case(SMALL, hidden=True),
    "mcts-terminal-instruct": Case(SMALL, BOXED, style="instruct"),
    "mcts-fpu-parent": Case(SMALL.model_copy(update={"fpu": "parent"}), BOXED_OBSERVED),
    "mcts-fpu-zero": Case(SMALL.model_copy(update={"fpu": "zero"}), PRINTED_OBSERVED),
    "mcts-ppm": Case(SMALL.model_copy(update={"annotation": "ppm"}), PRINTED_OBSERVED),
    "mcts-ppm-hidden": Case(SMALL.model_copy(update={"annotation": "ppm"}), BOXED, hidden=True),
    "mcts-ppm-fpu-zero": Case(SMALL.model_copy(update={"annotation": "ppm", "fpu": "zero"}), BOXED_OBSERVED),
    "mcts-exploit": Case(SMALL.model_copy(update={"c": 0.0, "rollouts": 8, "annotation": "ppm"})),
}

_GOLDEN_WORLD = RoughWorld(
    ScriptedWorld(seed=348, branching=3, ending=0.45, printing=0.3), silent=0.1, slow=0.1, undecided=0.2
)
_GOLDEN_MCTS = MctsConfig(rollouts=4, candidates=3, max_depth=4)

GOLDEN = {
    "greedy": Case(GreedyConfig(), world=_GOLDEN_WORLD),
    "mcts-terminal": Case(_GOLDEN_MCTS, world=_GOLDEN_WORLD),
    "mcts-ppm": Case(_GOLDEN_MCTS.model_copy(update={"annotation": "ppm"}), world=_GOLDEN_WORLD),
    "mcts-ppm-hidden": Case(
        _GOLDEN_MCTS.model_copy(update={"annotation": "ppm"}), BOXED, hidden=True, world=_GOLDEN_WORLD
    ),
}
"""Trees small enough to read: `tests/golden/<name>.txt`."""
