from rstar.config.search import GreedyConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.search.calls import Generate, Seeds, Verify
from rstar.search.greedy import greedy
from rstar.text.grammar import Grammar, Kind, Segment
from rstar.text.prompts import Prompts
from tests.search.worlds import HandWorld, logged, of_kind, printing

GRAMMAR = Grammar(answer="printed")
HEAD = GRAMMAR.prompt("text")
FIRST = Segment(Kind.STEP, "a", first=True).render()
LAST = Segment(Kind.LAST_STEP, "b").render()


def search(texts: dict[str, list[str]], answer: str | None = "2", max_depth: int = 16) -> tuple[Tree, list]:
    world = HandWorld(HEAD, texts, {"b": printing("2")})
    problem = Problem("p", "text", answer)
    return logged(greedy(problem, Prompts(GRAMMAR), GreedyConfig(max_depth=max_depth), Seeds(0, "p")), world)


def test_greedy_is_one_path_at_temperature_zero():
    tree, log = search({"": [FIRST], FIRST: [LAST]})
    assert [(node.text, node.visits, node.value_sum) for node in tree.nodes] == [
        ("", 1, 1.0),
        (FIRST, 1, 1.0),
        (LAST, 1, 1.0),
    ]
    assert tree.nodes[2].correct
    assert (tree.rollouts, tree.cost.calls) == (1, 2)
    assert {(call.n, call.temperature) for call in of_kind(log, Generate)} == {(1, 0.0)}


def test_greedy_without_a_reference_asks_no_grader():
    tree, log = search({"": [FIRST], FIRST: [LAST]}, answer=None)
    assert not of_kind(log, Verify)
    assert tree.nodes[2].answer == "2"
    assert tree.nodes[ROOT].q == 0.0


def test_greedy_stops_where_something_ends():
    silent, _ = search({"": []})
    assert silent.nodes[ROOT].terminal is Terminal.DEAD_END
    stuck, _ = search({"": [FIRST], FIRST: []})
    assert stuck.nodes[1].terminal is Terminal.DEAD_END
    lost, _ = search({"": ["and so on"]})
    assert lost.nodes[1].terminal is Terminal.UNPARSABLE
    deep, log = search({"": [FIRST]}, max_depth=1)
    assert deep.nodes[1].terminal is Terminal.MAX_DEPTH
    assert len(of_kind(log, Generate)) == 1
    assert all(not tree.is_open(ROOT) for tree in (silent, stuck, lost, deep))
