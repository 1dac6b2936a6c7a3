import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from rstar.core.execution import Status, StepResult
from rstar.core.verdict import Judgement, Verdict
from rstar.engine.driver import Driver, Lane, Ticket
from rstar.engine.scripted import lane
from rstar.engine.transcript import Replay, fingerprint, recording
from rstar.errors import InputError, RolloutError
from rstar.search.calls import (
    Answer,
    Call,
    Completion,
    Execute,
    Finish,
    Generate,
    Reply,
    Score,
    Search,
    Verify,
    drive,
    score,
)
from tests.engine.clock import run
from tests.engine.test_driver import LANES, by_hand, collect
from tests.search.cases import CASES, problems

EXAMPLES: list[tuple[Call, Reply]] = [
    (Generate("p", 1, 2**62, ("<end>",)), [Completion("é\n\u2028", 3), Completion("", 0, Finish.LENGTH, -0.1)]),
    (Generate("p", 1, 2**62, ("<end>",), role="discriminator"), []),
    (
        Execute("root", ("a", "b")),
        [StepResult(Status.OK, "s", "out\r\n", "1/3", cpu_s=0.125), StepResult(Status.TIMEOUT_CPU, error="5 s")],
    ),
    (Score(("x", "y")), [0.1, -1.0]),
    (Score(("x", "y"), "orm"), [1, 0]),
    (Verify("2", (Answer("2", "2"), Answer("3"))), [Judgement(Verdict.EQUIVALENT, "fraction", 0.5)]),
]


def record(path: Path, searches: list[tuple[str, Search]], lanes: dict[str, Lane]) -> dict:
    with path.open("wb") as out:
        return run(collect(Driver({name: recording(each, out) for name, each in lanes.items()}), searches))


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    """A transcript of four searches at once."""
    path = tmp_path / "transcript.jsonl"
    case = CASES["mcts-ppm"]
    record(path, [(p.id, case.search(p)) for p in problems(4)], {name: lane(case.world, 3) for name in LANES})
    return path


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_run_replays_to_the_same_trees(name: str, tmp_path: Path):
    case = CASES[name]
    path = tmp_path / "transcript.jsonl"
    lanes = {lane_name: lane(case.world, 3) for lane_name in LANES}
    outcomes = record(path, [(p.id, case.search(p)) for p in problems(5)], lanes)
    for problem in problems(5):
        replayed = drive(case.search(problem), Replay(path, problem.id))
        assert replayed == outcomes[problem.id].result == by_hand(name)[problem.id]


@pytest.mark.parametrize(("call", "reply"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_every_reply_comes_back_as_it_was(call: Call, reply: Reply, tmp_path: Path):
    def search() -> Search[Reply]:
        return (yield call)

    path = tmp_path / "transcript.jsonl"
    record(path, [("p", search())], {"generate:policy": lane(lambda _: reply)} | _all_lanes(reply))
    assert drive(search(), Replay(path, "p")) == reply


def _all_lanes(reply: Reply) -> dict[str, Lane]:
    return {name: lane(lambda _: reply) for name in (*LANES, "generate:discriminator", "score:orm")}


def test_recording_changes_nothing_of_the_lane():
    inner = lane(lambda _: [0.5], 7, 3)
    outer = recording(inner, io.BytesIO())
    assert (outer.max_batch, outer.max_concurrent, outer.stats) == (7, 3, inner.stats)
    assert outer.stats is inner.stats


def test_a_replay_answers_only_its_own_problem(transcript: Path):
    case = CASES["mcts-ppm"]
    with pytest.raises(RolloutError, match="this Generate call was not recorded") as caught:
        drive(case.search(problems(4)[1]), Replay(transcript, "p0"))
    assert caught.value.boundary == "replay"


def test_another_run_seed_was_not_recorded(transcript: Path):
    case = CASES["mcts-ppm"]
    with pytest.raises(RolloutError, match="Generate call was not recorded"):
        drive(case.search(problems(4)[0], run_seed=1), Replay(transcript, "p0"))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b'"text"',
        b'{"key": "p0", "call": "abc"}',
        b'{"call": "abc", "reply": []}',
        b'{"key": "p0", "reply": []}',
        b'{"key": "p0", "call": ["unhashable"], "reply": []}',
        b'{"key": "p0", "call": "abc", "reply": [}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_is_named_by_file_and_number(transcript: Path, damaged: bytes):
    lines = transcript.read_bytes().splitlines()
    lines[6] = damaged
    transcript.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(InputError, match=r"transcript\.jsonl, line 7: not a line of a transcript"):
        Replay(transcript, "p0")


def test_a_torn_last_line_is_named(transcript: Path):
    raw = transcript.read_bytes()
    transcript.write_bytes(raw[:-10])
    number = len(raw.splitlines())
    with pytest.raises(InputError, match=f"line {number}:"):
        Replay(transcript, "p0")


def test_only_what_reached_a_search_is_recorded():
    """Errors in a place and batches of the wrong length leave no line behind."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply | RolloutError]:
        if len(tickets) > 1:
            return [[9.0]]
        return [RolloutError("engine", "no") if tickets[0].key == "p1" else [0.5]]

    out = io.BytesIO()

    def search() -> Search[float]:
        values = yield from score(["x"])
        return values[0]

    driver = Driver({"score:ppm": recording(Lane(worker, max_batch=8), out)})
    outcomes = run(collect(driver, [(f"p{i}", search()) for i in range(3)]))
    assert [(key, o.result, str(o.error)) for key, o in outcomes.items()] == [
        ("p0", 0.5, "None"),
        ("p1", None, "no"),
        ("p2", 0.5, "None"),
    ]
    lines = [orjson.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["key"], line["reply"]) for line in lines] == [("p0", [0.5]), ("p2", [0.5])]


def test_a_recorded_worker_with_too_few_replies_says_so():
    async def worker(tickets: Sequence[Ticket]) -> list[Reply]:
        return []

    def search() -> Search[list[float]]:
        return (yield from score(["x"]))

    driver = Driver({"score:ppm": recording(Lane(worker), io.BytesIO())})
    outcome = run(collect(driver, [("p", search())]))["p"]
    assert str(outcome.error) == "0 replies to 1 calls"


def test_fingerprints_tell_calls_apart_by_kind_and_every_field():
    call = Generate("p", 1, 2, ("<end>",))
    calls: list[Call] = [
        call,
        replace(call, prompt="q"),
        replace(call, n=2),
        replace(call, seed=3),
        replace(call, stop=()),
        replace(call, temperature=0.0),
        replace(call, top_p=0.5),
        replace(call, max_tokens=1),
        replace(call, role="discriminator"),
        Execute("p", ("a", "b")),
        Execute("p", ("b", "a")),
        Execute("p", ("ab",)),
        Score(("a", "b")),
        Score(("a", "b"), "orm"),
        Verify("a", (Answer("b"),)),
        Verify("a", (Answer("b", "b"),)),
    ]
    assert len({fingerprint(each) for each in calls}) == len(calls)
    assert fingerprint(call) == fingerprint(Generate("p", 1, 2, ("<end>",)))
