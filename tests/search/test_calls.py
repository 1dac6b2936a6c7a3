import pytest

from rstar.core.execution import ROOT_STATE
from rstar.core.verdict import Judgement, Verdict
from rstar.search.calls import (
    Answer,
    Call,
    Completion,
    Execute,
    Generate,
    Reply,
    Score,
    Search,
    Seeds,
    Verify,
    drive,
    execute,
    generate,
    score,
    together,
    verify,
)


def stream(seeds: Seeds, n: int) -> list[int]:
    return [seeds.next() for _ in range(n)]


def test_a_rerun_has_the_same_seeds():
    assert stream(Seeds(1, "p", 2), 50) == stream(Seeds(1, "p", 2), 50)


def test_seeds_are_pinned():
    """Changing how seeds are derived changes every tree that was ever searched."""
    assert stream(Seeds(0, "p0"), 2) == [1580770725474826772, 2085665869728876068]


def test_seeds_of_other_runs_problems_attempts_and_calls_differ():
    streams = [
        stream(Seeds(run, problem, attempt), 20)
        for run in (0, 1, 11)
        for problem in ("p", "p1", "1")
        for attempt in (0, 1, 10)
    ]
    seeds = [seed for each in streams for seed in each]
    assert len(set(seeds)) == len(seeds) == 27 * 20


def test_seeds_fit_into_63_bits():
    seeds = stream(Seeds(0, "p"), 200)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62


def test_drive_answers_every_call_and_returns_the_result():
    def search() -> Search[list]:
        texts = yield from generate(Generate("prompt", 1, 7, ("<stop>",)))
        ran = yield from execute(ROOT_STATE, ["a", "b"])
        values = yield from score(["x", "y"], "orm")
        verdicts = yield from verify("2", [Answer("1", "2")])
        return [texts, ran, values, verdicts]

    replies = {
        Generate("prompt", 1, 7, ("<stop>",)): [Completion("text", 1)],
        Execute(ROOT_STATE, ("a", "b")): ["ran a", "ran b"],
        Score(("x", "y"), "orm"): [0.1, 0.2],
        Verify("2", (Answer("1", "2"),)): [Judgement(Verdict.DIFFERENT, "string")],
    }
    assert drive(search(), replies.__getitem__) == list(replies.values())


def test_drive_lets_the_worlds_errors_through():
    def search() -> Search[None]:
        yield from score(["x"])

    with pytest.raises(KeyError):
        drive(search(), {}.__getitem__)


def asking(*prompts: str) -> Search[list[str]]:
    texts = []
    for prompt in prompts:
        replies = yield from generate(Generate(prompt, 1, 0, ("\n",)))
        texts.append(replies[0].text)
    return texts


def echo(call: Call) -> Reply:
    assert isinstance(call, Generate)
    return [Completion(call.prompt.upper(), 1)]


def test_parts_of_a_search_run_side_by_side():
    log = []

    def noted(call: Call) -> Reply:
        log.append(call)
        return echo(call)

    parts = [asking("a", "b", "c"), asking(), asking("d"), together([asking("e", "f"), asking("g")])]
    assert drive(together(parts), noted) == [["A", "B", "C"], [], ["D"], [["E", "F"], ["G"]]]
    assert [call.prompt for call in log] == ["a", "d", "e", "g", "b", "f", "c"]


def test_nothing_together_asks_nothing():
    assert drive(together([]), echo) == []
    assert drive(together([asking(), asking()]), echo) == [[], []]


def test_branches_have_streams_of_their_own_that_do_not_depend_on_each_other():
    seeds = Seeds(1, "p")
    branches = [seeds.fork(i) for i in (1, 2)]
    before = stream(branches[0], 5)
    assert stream(Seeds(1, "p").fork(1), 5) == before
    assert stream(seeds.fork(0), 3) == stream(Seeds(1, "p"), 3)
    assert len({*before, *stream(branches[1], 5), *stream(Seeds(1, "p"), 5)}) == 15
