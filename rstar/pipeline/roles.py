"""Who a strategy asks: the models that must be there before it searches."""

from collections.abc import Callable

from rstar.config.run import RunConfig
from rstar.config.search import AnySearch
from rstar.core.problem import Problem
from rstar.engine.driver import lane_name
from rstar.engine.scripted import ScriptedWorld
from rstar.errors import RolloutError
from rstar.pipeline.search import Pass, grammar_of
from rstar.search.calls import Call, Reply, drive
from rstar.text.prompts import Prompts


def value_roles(cfg: RunConfig, how: AnySearch) -> list[str]:
    """The roles of the value models that a strategy asks."""
    lanes = (lane.partition(":") for lane in lanes_of(cfg, how))
    return sorted(role for call, _, role in lanes if call == "score")


def lanes_of(cfg: RunConfig, how: AnySearch) -> set[str]:
    """The lanes that a strategy asks, found by letting it search a few problems of a scripted world."""
    heard: set[str] = set()

    def world(scripted: ScriptedWorld) -> Callable[[Call], Reply]:
        def answer(call: Call) -> Reply:
            heard.add(lane_name(call))
            return scripted(call)

        return answer

    one = Pass(how, Prompts(grammar_of(cfg)), hidden=True)
    for seed in range(3):
        try:
            drive(
                one.search(Problem("probe", "What is asked?"), seed), world(ScriptedWorld(seed, failing=0, ending=0.6))
            )
        except RolloutError:
            continue  # what it asked until then still counts
    return heard
