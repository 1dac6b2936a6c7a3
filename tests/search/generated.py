"""For each strategy, the configs that properties are tested over; `test_registry.py` fails while one has none."""

from hypothesis import strategies as st

from rstar.config.search import (
    BeamConfig,
    BestOfNConfig,
    CustomConfig,
    GreedyConfig,
    LookaheadConfig,
    MctsConfig,
    QstarConfig,
    RestMctsConfig,
    SelfConsistencyConfig,
    TotConfig,
)
from rstar.engine.scripted import ScriptedWorld
from tests.search.cases import BOXED, BOXED_OBSERVED, PRINTED, PRINTED_OBSERVED, Case
from tests.search.worlds import RoughWorld

RARE = st.sampled_from([0.02, 0.05, 0.1, 0.0, 0.2])
WORLDS = st.builds(
    RoughWorld,
    inner=st.builds(
        ScriptedWorld,
        seed=st.sampled_from(range(1000)),
        branching=st.sampled_from([4, 8, 5, 6, 3, 1]),
        failing=RARE,
        unparsable=RARE,
        ending=st.sampled_from([0.3, 0.5, 0.0]),
        printing=RARE,
    ),
    silent=st.sampled_from([0.0, 0.03, 0.01, 0.2]),
    slow=RARE,
    undecided=RARE,
)
GRAMMARS = st.sampled_from([PRINTED, BOXED, PRINTED_OBSERVED, BOXED_OBSERVED])
DEPTHS = st.sampled_from([4, 6, 5, 3, 7, 1])
FEW = st.sampled_from([2, 3, 4, 1])

CONFIGS = {
    "mcts": st.builds(
        MctsConfig,
        rollouts=st.sampled_from([6, 12, 8, 3, 4, 1]),
        candidates=st.sampled_from([3, 5, 4, 2, 6, 1]),
        max_depth=DEPTHS,
        c=st.sampled_from([2.0, 0.5, 0.0]),
        fpu=st.sampled_from(["infinity", "parent", "zero"]),
        annotation=st.sampled_from(["terminal", "ppm"]),
        wave=st.sampled_from([1, 1, 2, 4]),
        trees=st.sampled_from([1, 1, 1, 2, 3]),
    ),
    "qstar": st.builds(
        QstarConfig,
        expansions=st.sampled_from([8, 16, 4, 2, 1]),
        candidates=FEW,
        max_depth=DEPTHS,
        lam=st.sampled_from([1.0, 0.0, 3.0]),
        g=st.sampled_from(["prm", "rule", "logprob", "none"]),
        aggregator=st.sampled_from(["min", "max", "sum", "last"]),
    ),
    "beam": st.builds(BeamConfig, width=FEW, branching=FEW, max_depth=DEPTHS),
    "lookahead": st.builds(LookaheadConfig, width=FEW, branching=FEW, max_depth=DEPTHS, steps=FEW),
    "tot": st.builds(
        TotConfig,
        order=st.sampled_from(["bfs", "dfs"]),
        width=FEW,
        branching=FEW,
        max_depth=DEPTHS,
        threshold=st.sampled_from([-0.5, -1.0, 0.0, 0.5]),
        expansions=st.sampled_from([8, 16, 4, 1]),
        judge=st.sampled_from(["policy", "value"]),
        evaluations=FEW,
    ),
    "rest_mcts": st.builds(
        RestMctsConfig,
        iterations=st.sampled_from([6, 12, 3, 1]),
        candidates=FEW,
        max_depth=DEPTHS,
        c=st.sampled_from([0.5, 0.0, 2.0]),
        simulation=st.sampled_from([2, 0, 1, 3]),
        alpha=st.sampled_from([0.5, 0.0, 1.0]),
        threshold=st.sampled_from([0.9, 1.0, 0.5]),
        process=st.sampled_from(["value", "reward"]),
        length=FEW,
        critic=st.booleans(),
    ),
    "best_of_n": st.builds(
        BestOfNConfig,
        n=st.sampled_from([4, 8, 2, 1]),
        max_depth=DEPTHS,
        steps=st.sampled_from(["last", "min", "mean", "product"]),
    ),
    "self_consistency": st.builds(
        SelfConsistencyConfig,
        n=st.sampled_from([4, 8, 2, 1]),
        max_depth=DEPTHS,
        answer=st.sampled_from(["vote", "weighted"]),
    ),
    "greedy": st.builds(GreedyConfig, max_depth=DEPTHS),
    "custom": st.builds(
        CustomConfig,
        function=st.just("tests.search.example:best_first"),
        max_depth=DEPTHS,
        options=st.fixed_dictionaries({"candidates": FEW, "expansions": st.sampled_from([8, 4, 1])}),
    ),
}
"""Strategies whose trees are grown by sampled steps, each node a step behind its parent."""


def cases(*kinds: str) -> st.SearchStrategy[Case]:
    """Any case of these strategies, of all when none is named."""
    configs = st.one_of([CONFIGS[kind] for kind in kinds or CONFIGS])
    return st.builds(Case, configs, GRAMMARS, st.booleans(), WORLDS)
