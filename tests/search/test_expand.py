import pytest

from rstar.core.execution import ROOT_STATE, TIMEOUTS, Status, StepResult
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.errors import RolloutError
from rstar.search.calls import Execute, Generate, Seeds
from rstar.search.expand import Sample, expand, last_line
from rstar.text.grammar import STOPS, Grammar, Kind, Segment
from rstar.text.prompts import Prompts
from tests.search.worlds import HandWorld, logged, of_kind, printing

PROBLEM = Problem("p", "text", "2")
SAMPLE = Sample(n=4, temperature=0.7, top_p=0.9, max_tokens=77, max_depth=9)
HEAD = Grammar().prompt("text")


def first(code: str) -> str:
    return Segment(Kind.STEP, code, first=True).render()


def step(code: str) -> str:
    return Segment(Kind.STEP, code).render()


def last(code: str, opening: bool = False) -> str:
    return Segment(Kind.LAST_STEP, code, first=opening).render()


def boxed(text: str) -> str:
    return Segment(Kind.ANSWER, text).render()


def grow(
    tree: Tree, at: int, texts: list[str], grammar: Grammar, sample: Sample = SAMPLE, **results: StepResult
) -> tuple:
    """Expand `at` into `texts`; `results` by code. Returns the newborn and the log of calls."""
    world = HandWorld(HEAD, {tree.prefix(at): texts}, results)
    return logged(expand(tree, at, Prompts(grammar), sample, Seeds(0, "p")), world)


def test_what_is_asked_of_the_policy():
    tree = Tree(PROBLEM)
    at = tree.add(ROOT, first("a"), observation="[seen]", state="s")
    _, log = grow(tree, at, [step("b")], Grammar())
    assert log[0][0] == Generate(
        prompt=HEAD + first("a") + "[seen]",
        n=4,
        seed=Seeds(0, "p").next(),
        stop=STOPS,
        temperature=0.7,
        top_p=0.9,
        max_tokens=77,
        role="policy",
    )


def test_duplicates_merge_and_keep_their_count():
    tree = Tree(PROBLEM)
    born, log = grow(tree, ROOT, [first("a"), first("b"), first("a"), first("a")], Grammar())
    assert born == [1, 2]
    assert [(node.text, node.count) for node in tree.nodes[1:]] == [(first("a"), 3), (first("b"), 1)]
    assert of_kind(log, Execute) == [Execute(ROOT_STATE, ("a", "b"))]
    assert tree.nodes[1].tokens == len(first("a"))
    assert (tree.cost.calls, tree.cost.executions) == (1, 2)
    assert tree.cost.generated == 3 * len(first("a")) + len(first("b"))


def test_steps_run_on_the_parents_state_and_get_their_own():
    tree = Tree(PROBLEM)
    at = tree.add(ROOT, first("a"), state="after a")
    born, log = grow(tree, at, [step("b"), step("c")], Grammar())
    assert of_kind(log, Execute) == [Execute("after a", ("b", "c"))]
    assert [tree.nodes[i].state for i in born] == ["after b", "after c"]
    assert [tree.nodes[i].status for i in born] == [Status.OK, Status.OK]
    assert [tree.nodes[i].terminal for i in born] == [None, None]


def test_what_cannot_be_read_is_kept_and_not_executed():
    tree = Tree(PROBLEM)
    born, log = grow(tree, ROOT, ["and so on", step("no opening"), first("a")], Grammar())
    assert [tree.nodes[i].terminal for i in born] == [Terminal.UNPARSABLE, Terminal.UNPARSABLE, None]
    assert of_kind(log, Execute) == [Execute(ROOT_STATE, ("a",))]
    assert tree.nodes[born[0]].status is None


def test_nothing_to_run_asks_no_sandbox():
    tree = Tree(PROBLEM)
    _, log = grow(tree, ROOT, ["and", "so", "on"], Grammar())
    assert not of_kind(log, Execute)
    assert tree.cost.executions == 0


def test_no_completion_is_a_dead_end():
    tree = Tree(PROBLEM)
    at = tree.add(ROOT, first("a"), state="s")
    born, log = grow(tree, at, [], Grammar())
    assert born == []
    assert tree.nodes[at].terminal is Terminal.DEAD_END
    assert len(log) == len(tree.nodes) - 1 == 1


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.OK, Status.INFRA)])
def test_a_failed_step_is_a_terminal_by_its_typed_status(status: Status):
    tree = Tree(PROBLEM)
    born, _ = grow(tree, ROOT, [first("a"), first("b")], Grammar(), a=StepResult(status, error="E: m (line 1)"))
    failed, fine = (tree.nodes[i] for i in born)
    assert failed.terminal is (Terminal.TIMEOUT if status in TIMEOUTS else Terminal.CODE_ERROR)
    assert (failed.status, failed.error, failed.state, failed.observation) == (status, "E: m (line 1)", None, "")
    assert fine.terminal is None


def test_a_step_that_prints_error_has_not_failed():
    tree = Tree(PROBLEM)
    born, _ = grow(tree, ROOT, [first("a")], Grammar(), a=printing("Error: TimeoutError, timeout"))
    assert tree.nodes[born[0]].terminal is None


def test_a_sandbox_that_failed_is_no_property_of_the_code():
    with pytest.raises(RolloutError, match="broker is gone") as caught:
        grow(Tree(PROBLEM), ROOT, [first("a")], Grammar(), a=StepResult(Status.INFRA, error="broker is gone"))
    assert caught.value.boundary == "sandbox"


def test_a_node_without_a_state_cannot_be_continued():
    tree = Tree(PROBLEM)
    at = tree.add(ROOT, first("a"))
    with pytest.raises(RolloutError, match="node 1 has no interpreter state") as caught:
        grow(tree, at, [step("b")], Grammar())
    assert caught.value.boundary == "search"


def test_the_deepest_step_ends_with_max_depth_unless_something_else_ended_it():
    tree = Tree(PROBLEM)
    shallow = Sample(4, 1.0, 1.0, 77, max_depth=2)
    born, _ = grow(tree, ROOT, [first("a")], Grammar(answer="printed"), shallow)
    assert tree.nodes[born[0]].terminal is None
    born, _ = grow(
        tree,
        born[0],
        [step("b"), last("c"), step("d"), "rubbish"],
        Grammar(answer="printed"),
        shallow,
        c=printing("2"),
        d=StepResult(Status.EXCEPTION),
    )
    assert [tree.nodes[i].terminal for i in born] == [
        Terminal.MAX_DEPTH,
        Terminal.ANSWERED,
        Terminal.CODE_ERROR,
        Terminal.UNPARSABLE,
    ]


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        (printing("1\n 2 \n\n"), "2"),
        (StepResult(Status.OK, "s", value="Fraction(1, 2)"), "Fraction(1, 2)"),
        (StepResult(Status.OK, "s", stdout="3\n", value="4"), "3"),
        (StepResult(Status.OK, "s", stdout=" \n", value="4"), "4"),
    ],
)
def test_a_printed_answer_is_the_last_line_of_the_last_step(result: StepResult, answer: str):
    tree = Tree(PROBLEM)
    born, _ = grow(tree, ROOT, [last("a", opening=True)], Grammar(answer="printed"), a=result)
    assert (tree.nodes[born[0]].answer, tree.nodes[born[0]].terminal) == (answer, Terminal.ANSWERED)


def test_a_last_step_that_prints_nothing_answers_nothing():
    tree = Tree(PROBLEM)
    at = tree.add(ROOT, first("a"), state="s", printed="2")
    born, _ = grow(tree, at, [last("b")], Grammar(answer="printed"))
    assert (tree.nodes[born[0]].answer, tree.nodes[born[0]].terminal) == (None, Terminal.UNPARSABLE)


def test_a_boxed_answer_is_written_behind_the_executed_code():
    tree = Tree(PROBLEM)
    grammar = Grammar(answer="boxed")
    born, _ = grow(tree, ROOT, [last("a", opening=True)], grammar, a=printing("2"))
    ended = born[0]
    assert tree.nodes[ended].terminal is None
    assert tree.nodes[ended].observation == "\n<output>2<end_of_output>"

    texts = [boxed("It is \\boxed{2}"), boxed("nobody knows"), last("b"), step("b")]
    born, log = grow(tree, ended, texts, grammar)
    assert not of_kind(log, Execute)
    assert [(tree.nodes[i].terminal, tree.nodes[i].answer) for i in born] == [
        (Terminal.ANSWERED, "2"),
        (Terminal.UNPARSABLE, None),
        (Terminal.UNPARSABLE, None),
        (Terminal.UNPARSABLE, None),
    ]
    assert tree.nodes[born[0]].printed == "2"  # for the grader to compare with the box


def test_a_boxed_answer_before_the_end_of_the_code_is_not_read():
    tree = Tree(PROBLEM)
    at = tree.add(ROOT, first("a"), state="s")
    born, _ = grow(tree, at, [boxed("\\boxed{2}")], Grammar(answer="boxed"))
    assert tree.nodes[born[0]].terminal is Terminal.UNPARSABLE


@pytest.mark.parametrize("observe", [False, True])
def test_the_closing_block_holds_what_was_not_shown_on_the_way(observe: bool):
    tree = Tree(PROBLEM)
    grammar = Grammar(observe=observe)
    one, _ = grow(tree, ROOT, [first("a")], grammar, a=printing("1"))
    two, _ = grow(tree, one[0], [step("b")], grammar)
    three, _ = grow(tree, two[0], [last("c")], grammar, c=printing("3"))
    blocks = [tree.nodes[i].observation for i in tree.path(three[0])]
    if observe:
        assert blocks == ["\n<output>1<end_of_output>", "", "\n<output>3<end_of_output>"]
    else:
        assert blocks == ["", "", "\n<output>1\n3<end_of_output>"]
    assert [tree.nodes[i].printed for i in tree.path(three[0])] == ["1", None, "3"]


def test_last_line():
    assert last_line("a\n b \n") == "b"
    assert last_line("a") == "a"
    assert last_line(None) is None
    assert last_line("") is None
