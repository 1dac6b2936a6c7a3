import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.core.execution import Status
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Cost, Node, Terminal, Tree
from rstar.core.verdict import Verdict

PROBLEM = Problem("p", "What is 1 + 1?", "2", level="easy")


def grown() -> Tree:
    r"""0 ─ 1 ─ 3, 4
    └ 2 ─ 5"""
    tree = Tree(PROBLEM)
    one = tree.add(ROOT, "a")
    two = tree.add(ROOT, "b", observation="[seen]")
    tree.add(one, "c")
    tree.add(one, "d")
    tree.add(two, "e")
    return tree


def test_add_gives_positions_depths_and_children():
    tree = grown()
    assert [node.parent for node in tree.nodes] == [-1, 0, 0, 1, 1, 2]
    assert [node.depth for node in tree.nodes] == [0, 1, 1, 2, 2, 2]
    assert tree.nodes[ROOT].children == [1, 2]
    assert tree.nodes[1].children == [3, 4]


def test_path_and_prefix_go_from_the_root_down_and_hold_observations():
    tree = grown()
    assert tree.path(5) == [2, 5]
    assert tree.path(ROOT) == []
    assert tree.prefix(5) == "b[seen]e"
    assert tree.prefix(2) == "b[seen]"
    assert tree.prefix(ROOT) == ""


def test_back_up_visits_the_path_and_nothing_else():
    tree = grown()
    tree.back_up(3, 1.0)
    tree.back_up(4, -1.0)
    tree.back_up(5, 0.5)
    assert [node.visits for node in tree.nodes] == [3, 2, 1, 1, 1, 1]
    assert [node.value_sum for node in tree.nodes] == [0.5, 0.0, 0.5, 1.0, -1.0, 0.5]
    assert tree.nodes[ROOT].q == pytest.approx(0.5 / 3)


def test_q_is_zero_before_the_first_visit():
    assert Node(parent=0).q == 0.0


def test_close_goes_up_only_where_all_children_are_closed():
    tree = grown()
    tree.close(3)
    assert [node.closed for node in tree.nodes] == [False, False, False, True, False, False]
    tree.close(4)
    assert [node.closed for node in tree.nodes] == [False, True, False, True, True, False]
    assert tree.is_open(ROOT)
    tree.close(5)
    assert all(node.closed for node in tree.nodes)
    assert not tree.is_open(ROOT)


def test_leaves_are_the_terminals_below_the_root():
    tree = grown()
    for at in (ROOT, 4, 3):
        tree.nodes[at].terminal = Terminal.DEAD_END
    assert list(tree.leaves()) == [3, 4]


@pytest.mark.parametrize(
    ("terminal", "verdict", "correct", "wrong"),
    [
        (None, None, False, False),
        (Terminal.ANSWERED, Verdict.EQUIVALENT, True, False),
        (Terminal.ANSWERED, Verdict.DIFFERENT, False, True),
        (Terminal.ANSWERED, Verdict.UNVERIFIABLE, False, False),
        (Terminal.ANSWERED, None, False, False),  # the reference was hidden: nobody knows
        (Terminal.CODE_ERROR, None, False, True),
        (Terminal.TIMEOUT, None, False, True),
        (Terminal.UNPARSABLE, None, False, True),
        (Terminal.MAX_DEPTH, None, False, True),
        (Terminal.DEAD_END, None, False, True),
    ],
)
def test_correct_and_wrong(terminal: Terminal | None, verdict: Verdict | None, correct: bool, wrong: bool):
    node = Node(parent=0, terminal=terminal, verdict=verdict)
    assert (node.correct, node.wrong) == (correct, wrong)


NODES = st.builds(
    dict,
    text=st.text(max_size=8),
    observation=st.text(max_size=4),
    count=st.integers(1, 9),
    tokens=st.integers(0, 99),
    status=st.none() | st.sampled_from(Status),
    error=st.none() | st.text(max_size=4),
    answer=st.none() | st.text(max_size=4),
    printed=st.none() | st.text(max_size=4),
    terminal=st.none() | st.sampled_from(Terminal),
    verdict=st.none() | st.sampled_from(Verdict),
    rule=st.none() | st.text(max_size=4),
    reward=st.none() | st.sampled_from([-1.0, 0.0, 1.0]),
    score=st.none() | st.floats(-1, 1),
    visits=st.integers(0, 99),
    value_sum=st.floats(-99, 99),
    closed=st.booleans(),
    state=st.none() | st.text(max_size=4),
)


@given(
    st.lists(st.tuples(st.integers(0, 2**16), NODES), max_size=8),
    st.none() | st.text(max_size=4),
    st.builds(Cost, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
)
def test_a_tree_is_one_json_line_and_back(nodes: list, answer: str | None, cost: Cost):
    tree = Tree(Problem("p", "text", answer), attempt=3, rollouts=7, cost=cost)
    for parent, values in nodes:
        tree.add(parent % len(tree.nodes), **values)
    line = orjson.dumps(tree.to_json())
    again = Tree.from_line(line)
    assert Tree.from_json(orjson.loads(line)) == again
    assert b"\n" not in line
    assert again == tree
    assert [node.children for node in again.nodes] == [node.children for node in tree.nodes]
    assert orjson.dumps(again.to_json()) == line


def test_interpreter_states_are_not_written():
    tree = Tree(PROBLEM)
    tree.add(ROOT, "a", state="sha256:0")
    assert tree.to_json()["nodes"] == [{"parent": -1}, {"parent": 0, "depth": 1, "text": "a"}]


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        [{"parent": 0}],
        [{"parent": -1}, {"parent": -1}],
        [{"parent": -1}, {"parent": 1}],
        [{"parent": -1}, {"parent": 2}, {"parent": 0}],
        [{"parent": -1}, {"parent": -2}],
        [{"parent": -1, "terminal": "bored"}],
        [{"parent": -1, "colour": "red"}],
        [{"depth": 0}],
        [{"parent": "0"}],
        [None],
        None,
    ],
)
def test_what_is_not_a_tree_is_refused(nodes: object):
    data = {**Tree(PROBLEM).to_json(), "nodes": nodes}
    with pytest.raises(ValueError, match=r".+"):
        Tree.from_json(data)
    with pytest.raises(ValueError, match=r".+"):
        Tree.from_line(orjson.dumps(data))


@pytest.mark.parametrize("field", ["problem", "attempt", "rollouts", "cost", "nodes"])
def test_a_missing_field_is_refused(field: str):
    data = Tree(PROBLEM).to_json()
    del data[field]
    with pytest.raises(ValueError, match=field):
        Tree.from_json(data)


def test_hidden_takes_the_reference_away_and_nothing_else():
    assert PROBLEM.hidden() == Problem("p", "What is 1 + 1?", None, level="easy")
