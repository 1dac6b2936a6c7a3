import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.config.search import QstarConfig
from rstar.core.execution import Status, StepResult
from rstar.core.problem import Problem
from rstar.core.tree import Terminal, Tree
from rstar.errors import RolloutError
from rstar.search.calls import Generate, Score, Seeds
from rstar.search.qstar import aggregate, estimate, qstar
from tests.search.cases import problems
from tests.search.generated import cases
from tests.search.steps import HEAD, PROMPTS, first, last, step
from tests.search.test_tree_properties import several
from tests.search.worlds import HandWorld, logged, of_kind, printing


def search(world: HandWorld, **config: object) -> tuple:
    return logged(qstar(Problem("p", "text"), PROMPTS, QstarConfig(**config), Seeds(0, "p")), world)


@pytest.mark.parametrize(
    ("how", "g", "f"),
    [
        ("min", -0.2, 0.3),  # -0.2 + 2 x 0.25
        ("max", 0.8, 1.3),
        ("sum", 1.2, 1.7),
        ("last", 0.6, 1.1),
    ],
)
def test_f_by_hand(how: str, g: float, f: float):
    """f = g + lam h, g = Agg(0.8, -0.2, 0.6), h the largest of -0.5, 0.25, -1, lam = 2."""
    assert aggregate([0.8, -0.2, 0.6], how) == pytest.approx(g)
    assert estimate([0.8, -0.2, 0.6], [-0.5, 0.25, -1.0], QstarConfig(lam=2.0, aggregator=how)) == pytest.approx(f)


def test_the_problem_itself_has_no_rewards():
    assert [aggregate([], how) for how in ("min", "max", "sum", "last")] == [0.0] * 4


A, B, A1, B1, B2 = first("a"), first("b"), last("a1"), step("b1"), last("b2")
TWO_WAYS = HandWorld(
    HEAD,
    {"": [A, B, A], A: [A1, step("fails")], B: [B1, B2], B + B1: [last("b3")]},
    {
        "a1": printing("1"),
        "b2": printing("2"),
        "b3": printing("3"),
        "fails": StepResult(Status.EXCEPTION, error="NameError: y (line 1)"),
    },
    {
        **{f"qvm: {text}": q for text, q in {A: 0.1, B: 0.0, A + A1: 0.3, B + B1: 0.5, B + B2: 0.25}.items()},
        f"qvm: {B}{B1}{last('b3')}": 0.4,
        **{f"prm: {text}": r for text, r in {A: 0.9, B: 0.2, A + A1: 0.1, B + B1: 0.6, B + B2: 0.9}.items()},
        f"prm: {B}{B1}{last('b3')}": 0.5,
    },
)


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        # h(a) = .3, h(b) = .5: b is popped. h(b1) = .4 > h(a) = .3, then b3, whose h is its own .4
        ({"g": "none"}, "3"),
        ({"g": "rule"}, "3"),  # every step that goes on is worth 1
        # f(a) = .9 + .3 = 1.2, f(b) = .2 + .5 = .7; a is popped, f(a1) = min(.9, .1) + .3 = .4; b is popped,
        # f(b1) = .2 + .4 = .6, f(b2) = .2 + .25 = .45; b1 is popped, f(b3) = .2 + .4 = .6
        ({"g": "prm"}, "3"),
        ({"g": "prm", "aggregator": "max"}, "1"),  # f(a1) = .9 + .3 = 1.2 > f(b) = .7
        # f(a1) = .1 + .3 = .4 < f(b) = .7; f(b1) = .6 + .4 = 1, f(b2) = .9 + .25 = 1.15
        ({"g": "prm", "aggregator": "last"}, "2"),
        # f(a1) = 1 + .3 = 1.3 > f(b)
        ({"g": "prm", "aggregator": "sum"}, "1"),
        ({"g": "prm", "aggregator": "last", "lam": 0.0}, "2"),
        ({"g": "none", "expansions": 2}, "1"),  # a goes before b for its Q^, and b has no h
        ({"g": "none", "expansions": 1}, None),
    ],
)
def test_the_first_answer_popped_is_the_answer(config: dict, answer: str | None):
    tree, log = search(TWO_WAYS, **config)
    assert (tree.nodes[tree.chosen].answer if tree.chosen is not None else None) == answer
    assert not any(step("fails") in call.prompt for call in of_kind(log, Generate))


def test_the_candidates_sampled_for_h_are_the_expansion():
    _, log = search(TWO_WAYS, g="none", candidates=5, temperature=0.7)
    calls = of_kind(log, Generate)
    assert [call.prompt for call in calls] == [HEAD, HEAD + A, HEAD + B, HEAD + B + B1]
    assert {(call.n, call.temperature) for call in calls} == {(5, 0.7)}
    assert {call.role for call in of_kind(log, Score)} == {"qvm"}


def test_the_prm_scores_only_what_may_be_popped():
    _, log = search(TWO_WAYS, g="prm", g_role="prm", aggregator="max")
    asked = [call.prefixes for call in of_kind(log, Score) if call.role == "prm"]
    assert asked == [(HEAD + A, HEAD + B), (HEAD + A + A1,)]


def test_log_probabilities_sum_to_that_of_the_solution():
    """With lam = 0 it is uniform-cost search: a b2 of e^-3 is found before an a1 of e^-4."""
    world = HandWorld(HEAD, TWO_WAYS.texts, TWO_WAYS.results, TWO_WAYS.scores, logprobs={A: -1, B: -2, A1: -3, B2: -1})
    world = HandWorld(**{**vars(world), "logprobs": {**world.logprobs, B1: -9, step("fails"): -1}})
    tree, _ = search(world, g="logprob", aggregator="sum", lam=0.0)
    assert tree.nodes[tree.chosen].answer == "2"


def test_a_policy_without_log_probabilities_is_named():
    with pytest.raises(RolloutError, match="g: logprob needs a policy that reports log-probabilities"):
        search(TWO_WAYS, g="logprob")


@pytest.mark.parametrize("texts", [{"": []}, {"": ["and so on"]}, {"": [A], A: []}])
def test_nothing_to_pop_ends_without_an_answer(texts: dict):
    tree, _ = search(HandWorld(HEAD, texts, scores={A: 0.5}))
    assert tree.chosen is None


# -- with an exact h

Ends = st.recursive(st.floats(-1, 1).map(lambda x: round(x, 3)), lambda inner: st.lists(inner, min_size=1, max_size=3))


def exact_world(ends: list) -> tuple[HandWorld, float]:
    """A world whose QVM knows the best reward that can still be reached; answers are the rewards."""
    texts: dict[str, list[str]] = {}
    results: dict[str, StepResult] = {}
    scores: dict[str, float] = {}

    def write(prefix: str, below: list, name: str) -> float:
        texts[prefix] = []
        for i, one in enumerate(below):
            code = f"{name}{i}"
            is_end = isinstance(one, float) and prefix
            text = last(code) if is_end else (step(code) if prefix else first(code))
            texts[prefix].append(text)
            if is_end:
                results[code] = printing(str(one))
                scores[prefix + text] = one
            else:
                scores[prefix + text] = write(prefix + text, one if isinstance(one, list) else [one], code)
        return max(scores[prefix + text] for text in texts[prefix])

    best = write("", ends, "s")
    return HandWorld(HEAD, texts, results, scores), best


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(Ends, min_size=1, max_size=3), st.sampled_from(["none", "rule"]))
def test_with_an_exact_h_the_optimum_is_popped(ends: list, g: str):
    world, best = exact_world(ends)
    tree, _ = search(world, g=g, expansions=10_000, max_depth=99)
    assert float(tree.nodes[tree.chosen].answer or "") == best


@several
@given(cases("qstar"))
def test_expansions_stay_within_the_budget_and_what_is_chosen_was_best(case):
    tree, log = logged(case.search(problems(1)[0]), case.world)
    assert 1 <= len(of_kind(log, Generate)) <= case.config.expansions
    assert tree.chosen is None or tree.nodes[tree.chosen].terminal is Terminal.ANSWERED
    opened = [node for node in tree.nodes if node.children]
    assert all(node.terminal is None for node in opened)
    if case.config.g == "logprob" and case.config.aggregator == "sum" and case.config.lam == 0 and tree.chosen:
        logprob = {(c.prompt, r.text): r.logprob for c, reply in log if isinstance(c, Generate) for r in reply}
        answered = [i for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]
        assert max(total(tree, i, logprob, case) for i in answered) == total(tree, tree.chosen, logprob, case)


def total(tree: Tree, leaf: int, logprob: dict, case) -> float:
    head = case.grammar.prompt(tree.problem.text)
    path = tree.path(leaf)
    return round(sum(logprob[head + tree.prefix(tree.nodes[i].parent), tree.nodes[i].text] for i in path), 9)
