"""A search that is listened to is the same search."""

import pytest

from rstar.core.problem import Problem
from rstar.engine.scripted import ScriptedWorld
from rstar.errors import RolloutError
from rstar.pipeline.watch import watched
from rstar.search.calls import Call, Generate, Reply, Search, Seeds, Together, drive, execute, generate, together
from rstar.text.grammar import Grammar
from rstar.text.prompts import Prompts

CALLS = [Generate("a", 1, 1, ()), Generate("b", 2, 1, ())]


def asking() -> Search[list[object]]:
    first = yield from generate(CALLS[0])
    rest = yield from together([generate(CALLS[1]), execute("root", ["x = 1"])])
    return [first, *rest]


def world(call: Call) -> Reply:
    return ScriptedWorld()(call)


def test_every_call_is_heard_twice_and_the_result_is_the_same():
    heard: list[tuple[Call, bool]] = []
    found = drive(watched(asking(), lambda call, reply: heard.append((call, reply is not None))), world)
    assert found == drive(asking(), world)
    kinds = [(type(call).__name__, answered) for call, answered in heard]
    assert kinds == [
        *(("Generate", False), ("Generate", True)),
        *(("Generate", False), ("Execute", False), ("Generate", True), ("Execute", True)),
    ]


def test_a_tree_does_not_depend_on_being_watched():
    from rstar.config.search import MctsConfig
    from rstar.search import STRATEGIES

    def search() -> Search[object]:
        prompts = Prompts(Grammar(answer="printed"))
        return STRATEGIES["mcts"](Problem("p", "?"), prompts, MctsConfig(rollouts=4), Seeds(1, "p"))

    assert drive(watched(search(), lambda call, reply: None), world) == drive(search(), world)


def test_an_error_reaches_the_search():
    def brave() -> Search[str]:
        try:
            yield Together((CALLS[0],))
        except RolloutError:
            return "caught"
        return "missed"

    search = watched(brave(), lambda call, reply: None)
    next(search)
    with pytest.raises(StopIteration) as ended:
        search.throw(RolloutError("engine", "gone"))
    assert ended.value.value == "caught"
