"""One table of configurations for every registered strategy: what the batching, replay and golden tests run over.

A new strategy needs at least one case here and at least one golden tree (`test_registry.py` fails until it has both).
"""

from dataclasses import dataclass, field, replace

from rstar.config.search import (
    AnySearch,
    BeamConfig,
    BestOfNConfig,
    CustomConfig,
    GreedyConfig,
    LookaheadConfig,
    MctsConfig,
    MutualConfig,
    QstarConfig,
    RestMctsConfig,
    SelfConsistencyConfig,
    TotConfig,
)
from rstar.core.problem import Problem
from rstar.core.tree import Action, Tree
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

    config: AnySearch
    grammar: Grammar = PRINTED
    hidden: bool = False
    world: RoughWorld = field(default=ROUGH)
    style: str = "fine_tuned"
    text: str | None = None

    def search(self, problem: Problem, run_seed: int = 0) -> Search[Tree]:
        problem = problem if self.text is None else replace(problem, text=self.text)
        prompts = Prompts(self.grammar, "instruct" if self.style == "instruct" else "fine_tuned")
        seeds = Seeds(run_seed, problem.id)
        return STRATEGIES[self.config.kind](problem.hidden() if self.hidden else problem, prompts, self.config, seeds)


def problems(n: int) -> list[Problem]:
    """Problems whose scripted solutions are sometimes right: the reference is a small number."""
    return [Problem(f"p{i}", f"What is number {i}?", str(2 + i % 7)) for i in range(n)]


SMALL = MctsConfig(rollouts=5, candidates=4, max_depth=6)
QSTAR = QstarConfig(expansions=9, candidates=4, max_depth=6)
BEAM = BeamConfig(width=2, branching=3, max_depth=6)
LOOKAHEAD = LookaheadConfig(width=2, branching=2, steps=2, max_depth=6)
TOT = TotConfig(width=2, branching=2, max_depth=5)
REST = RestMctsConfig(iterations=8, candidates=3, max_depth=6, value="ppm")
TWO_SENTENCES = "Count to number 2. Which number is it?"
"""What can be said in another order."""
MUTUAL = MutualConfig(rollouts=6, steps=3, subquestions=2, depth=4, max_depth=7, discriminated=6)
EXAMPLE = CustomConfig(
    function="tests.search.example:best_first", options={"candidates": 3, "expansions": 8}, max_depth=6
)

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
    "mcts-wave": Case(SMALL.model_copy(update={"wave": 3, "rollouts": 8})),
    "mcts-trees": Case(SMALL.model_copy(update={"trees": 3, "rollouts": 2, "annotation": "ppm"}), BOXED, hidden=True),
    "qstar": Case(QSTAR),
    "qstar-prm-hidden": Case(QSTAR.model_copy(update={"g": "prm"}), BOXED, hidden=True),
    "qstar-logprob-sum": Case(QSTAR.model_copy(update={"g": "logprob", "aggregator": "sum", "lam": 5.0}), hidden=True),
    "qstar-none": Case(QSTAR.model_copy(update={"g": "none", "expansions": 3}), BOXED_OBSERVED),
    "beam": Case(BEAM),
    "beam-boxed-hidden": Case(BEAM.model_copy(update={"width": 3, "branching": 2}), BOXED, hidden=True),
    "lookahead": Case(LOOKAHEAD),
    "lookahead-boxed-hidden": Case(LOOKAHEAD.model_copy(update={"steps": 1}), BOXED, hidden=True),
    "tot-bfs": Case(TOT),
    "tot-bfs-value-hidden": Case(TOT.model_copy(update={"judge": "value"}), BOXED, hidden=True),
    "tot-dfs": Case(TOT.model_copy(update={"order": "dfs", "expansions": 8}), hidden=True),
    "tot-dfs-value": Case(
        TOT.model_copy(update={"order": "dfs", "expansions": 5, "threshold": 0.0, "judge": "value"}), BOXED_OBSERVED
    ),
    "rest_mcts": Case(REST),
    "rest_mcts-critic-hidden": Case(REST.model_copy(update={"critic": True, "value": "rest_mcts"}), hidden=True),
    "rest_mcts-reward": Case(
        REST.model_copy(update={"process": "reward", "simulation": 0, "threshold": 1.0}), BOXED, hidden=True
    ),
    "best_of_n": Case(BestOfNConfig(n=6, max_depth=5)),
    "best_of_n-prm-hidden": Case(
        BestOfNConfig(n=6, max_depth=6, value="prm", steps="product"), BOXED, hidden=True, style="instruct"
    ),
    "self_consistency": Case(SelfConsistencyConfig(n=6, max_depth=6)),
    "self_consistency-weighted": Case(SelfConsistencyConfig(n=6, max_depth=6, answer="weighted"), BOXED, hidden=True),
    "mutual": Case(MUTUAL, text=TWO_SENTENCES),
    "mutual-boxed-hidden": Case(MUTUAL, BOXED, hidden=True),
    "mutual-instruct": Case(MUTUAL.model_copy(update={"rollouts": 3}), BOXED_OBSERVED, style="instruct"),
    "mutual-generator": Case(
        MUTUAL.model_copy(update={"discriminated": 0, "actions": (Action.ONE_STEP, Action.SUBQUESTION)})
    ),
    "custom": Case(EXAMPLE),
    "custom-hidden": Case(EXAMPLE, BOXED, hidden=True),
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
    "mcts-wave": Case(_GOLDEN_MCTS.model_copy(update={"wave": 3}), world=_GOLDEN_WORLD),
    "mcts-trees": Case(_GOLDEN_MCTS.model_copy(update={"trees": 2, "rollouts": 2}), world=_GOLDEN_WORLD),
    "qstar": Case(QstarConfig(expansions=8, candidates=3, max_depth=4), hidden=True, world=_GOLDEN_WORLD),
    "qstar-prm": Case(QstarConfig(expansions=8, candidates=3, max_depth=4, g="prm"), world=_GOLDEN_WORLD),
    "beam": Case(BeamConfig(width=2, branching=3, max_depth=4), world=_GOLDEN_WORLD),
    "lookahead": Case(LookaheadConfig(width=2, branching=2, max_depth=4), hidden=True, world=_GOLDEN_WORLD),
    "tot-bfs": Case(TOT, world=_GOLDEN_WORLD),
    "tot-dfs": Case(TOT.model_copy(update={"order": "dfs"}), hidden=True, world=_GOLDEN_WORLD),
    "rest_mcts": Case(REST.model_copy(update={"critic": True, "iterations": 5}), world=_GOLDEN_WORLD),
    "best_of_n": Case(BestOfNConfig(n=6, max_depth=5), hidden=True, world=_GOLDEN_WORLD),
    "self_consistency": Case(SelfConsistencyConfig(n=8, max_depth=5), world=_GOLDEN_WORLD),
    "mutual": Case(
        MutualConfig(rollouts=4, steps=2, subquestions=1, depth=3, max_depth=5, discriminated=4),
        BOXED,
        world=replace(_GOLDEN_WORLD, inner=replace(_GOLDEN_WORLD.inner, seed=0, branching=4)),
        text=TWO_SENTENCES,
    ),
    "custom": Case(EXAMPLE, world=_GOLDEN_WORLD),
}
"""Trees small enough to read: `tests/golden/<name>.txt`."""
