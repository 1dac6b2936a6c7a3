"""What holds of every tree, whatever the policy, the sandbox, the value model and the grader say."""

from collections import Counter
from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rstar.core.execution import Status
from rstar.core.tree import ROOT, Node, Terminal, Tree
from rstar.search.calls import Execute, Generate, Score, drive
from rstar.text.grammar import END_CODE
from tests.search.cases import Case, problems
from tests.search.generated import cases
from tests.search.worlds import logged, of_kind

CASES = st.one_of(cases("mcts"), cases())
ONE_TREE = cases("mcts").filter(lambda case: case.config.trees == 1)
ONE_BY_ONE = ONE_TREE.filter(lambda case: case.config.wave == 1)

several = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def tree_of(case: Case) -> Tree:
    return drive(case.search(problems(1)[0]), case.world)


def is_apart(case: Case) -> bool:
    """Whether parts of the search know nothing of one another, so that equal first steps are siblings."""
    return case.config.kind in ("best_of_n", "self_consistency") or getattr(case.config, "trees", 1) > 1


def below(tree: Tree, at: int) -> list[int]:
    """`at` and everything under it."""
    return [at, *(i for child in tree.nodes[at].children for i in below(tree, child))]


def has_first_visit(tree: Tree, at: int) -> bool:
    """Whether the value model visited this node: it was open at birth and has a score."""
    node = tree.nodes[at]
    return node.score is not None and node.terminal in (None, Terminal.DEAD_END)


def backed_up(node: Node) -> float:
    return node.reward if node.reward is not None else node.score or 0.0


@several
@given(CASES)
def test_visits_and_values_are_what_was_backed_up(case: Case):
    tree = tree_of(case)
    for at, node in enumerate(tree.nodes):
        ends = [tree.nodes[i] for i in below(tree, at) if tree.nodes[i].terminal is not None]
        first = [node.score or 0.0] if has_first_visit(tree, at) else []
        assert node.visits == len(ends) + len(first)
        assert node.value_sum == pytest.approx(sum(map(backed_up, ends)) + sum(first))
        assert abs(node.q) <= 1 + 1e-12
    assert tree.nodes[ROOT].score is None
    assert tree.nodes[ROOT].visits == sum(node.terminal is not None for node in tree.nodes)


@several
@given(CASES)
def test_a_node_is_closed_where_it_ended_or_all_below_it_did(case: Case):
    tree = tree_of(case)
    for node in tree.nodes:
        children = [tree.nodes[i] for i in node.children]
        exhausted = bool(children) and all(child.closed for child in children)
        if case.config.kind in ("lookahead", "rest_mcts"):  # a step looked ahead from is not exhausted by that
            assert not node.closed or node.terminal or exhausted
        else:
            assert node.closed == (node.terminal is not None or exhausted)
        assert not (node.terminal and children)


@several
@given(CASES)
def test_a_closed_subtree_is_never_entered_again(case: Case):
    entered: list[int] = []
    add, back_up = Tree.add, Tree.back_up

    def watched_add(tree: Tree, parent: int, text: str, **values: object) -> int:
        entered.append(parent)
        assert all(tree.is_open(i) for i in (ROOT, *tree.path(parent)))
        return add(tree, parent, text, **values)

    def watched_back_up(tree: Tree, at: int, value: float) -> None:
        entered.append(at)
        assert all(tree.is_open(i) for i in (ROOT, *tree.path(at)))
        back_up(tree, at, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tree, "add", watched_add)
        patch.setattr(Tree, "back_up", watched_back_up)
        _, log = logged(case.search(problems(1)[0]), case.world)
    assert entered
    again = {"best_of_n": 1, "self_consistency": 1, "lookahead": 2, "rest_mcts": 2}  # greedily, then by sampling
    prompts = Counter((call.prompt, call.seed if is_apart(case) else 0) for call in of_kind(log, Generate))
    assert max(prompts.values()) <= again.get(case.config.kind, 1), "a node was expanded twice"


@several
@given(CASES)
def test_children_come_after_their_parents_and_keep_every_candidate(case: Case):
    tree, log = logged(case.search(problems(1)[0]), case.world)
    for at, node in enumerate(tree.nodes):
        assert all(child > at for child in node.children)
        assert all(tree.nodes[child].parent == at for child in node.children)
        assert all(tree.nodes[child].depth == node.depth + 1 for child in node.children)
        texts = [tree.nodes[child].text for child in node.children]
        if not (at == ROOT and is_apart(case)):
            assert len(set(texts)) == len(texts), "duplicates were not merged"
        if node.children and case.config.kind in ("mcts", "qstar", "greedy") and not is_apart(case):
            assert sum(tree.nodes[child].count for child in node.children) == getattr(case.config, "candidates", 1)
        closing = at != ROOT and tree.nodes[node.parent].text.endswith(END_CODE)
        assert node.depth <= case.config.max_depth + closing, "only an answer block may stand one level deeper"
    assert sorted(below(tree, ROOT)) == list(range(len(tree.nodes)))
    assert tree.chosen is None or tree.nodes[tree.chosen].terminal is Terminal.ANSWERED
    assert tree.cost.calls == len(of_kind(log, Generate))
    assert tree.cost.generated == sum(c.tokens for call, reply in log if isinstance(call, Generate) for c in reply)
    assert tree.cost.executions == sum(len(call.codes) for call in of_kind(log, Execute))
    assert tree.cost.scored == sum(len(call.prefixes) for call in of_kind(log, Score))


@several
@given(ONE_TREE)
def test_a_search_stops_at_its_budget_or_when_nothing_is_left(case: Case):
    tree = tree_of(case)
    assert 1 <= tree.rollouts <= case.config.rollouts
    assert (tree.rollouts < case.config.rollouts) <= (not tree.is_open(ROOT))


@several
@given(ONE_BY_ONE)
def test_every_rollout_brings_new_work_and_undoes_none(case: Case):
    """The tree of k rollouts is how the tree of k + 1 began."""
    less = tree_of(case)
    more = tree_of(replace(case, config=case.config.model_copy(update={"rollouts": case.config.rollouts + 1})))
    assert [n.text for n in more.nodes[: len(less.nodes)]] == [n.text for n in less.nodes]
    if less.is_open(ROOT):
        assert more.rollouts == less.rollouts + 1
        assert more.nodes[ROOT].visits > less.nodes[ROOT].visits
        fell_silent = [n for n in more.nodes[: len(less.nodes)] if n.terminal is Terminal.DEAD_END]
        assert len(more.nodes) > len(less.nodes) or fell_silent
    else:
        assert more == less


@several
@given(CASES)
def test_a_finished_tree_is_one_json_line_and_back(case: Case):
    tree = tree_of(case)
    line = orjson.dumps(tree.to_json())
    again = Tree.from_json(orjson.loads(line))
    assert again == tree
    assert orjson.dumps(again.to_json()) == line


@several
@given(CASES)
def test_only_what_ran_has_a_state_and_only_what_ended_has_an_answer(case: Case):
    tree = tree_of(case)
    for node in tree.nodes[1:]:
        assert (node.terminal is Terminal.ANSWERED) == bool(node.answer)
        if node.terminal in (Terminal.CODE_ERROR, Terminal.TIMEOUT):
            assert node.status not in (None, Status.OK)
            assert node.state is None
        if node.terminal is None:
            assert node.state is not None
        assert (node.reward is None) == (node.terminal is None or (case.hidden and bool(node.answer)))
