import asyncio
import gc
import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.core.tree import Tree
from rstar.engine.driver import Driver, Lane, Outcome, Ticket, lane_name
from rstar.engine.scripted import lane
from rstar.errors import RolloutError
from rstar.search.calls import Call, Execute, Generate, Reply, Score, Search, Verify, drive, score, together
from tests.engine.clock import Deadlock, run
from tests.search.cases import CASES, Case, problems

N = 24
LANES = ("generate:policy", "execute", "score:ppm", "score:prm", "score:qvm", "score:rest_mcts", "verify")


async def collect(driver: Driver, searches: Iterable[tuple[str, Search[Any]]]) -> dict[str, Outcome[Any]]:
    return {outcome.key: outcome async for outcome in driver.run(searches)}


def searches(case: Case, n: int = N) -> list[tuple[str, Search[Tree]]]:
    return [(problem.id, case.search(problem)) for problem in problems(n)]


@cache
def by_hand(name: str) -> dict[str, Tree]:
    return {problem.id: drive(CASES[name].search(problem), CASES[name].world) for problem in problems(N)}


# -- batching invariance


@dataclass(frozen=True)
class Schedule:
    """How the lanes behave: nothing here may change a tree."""

    max_live: int = 256
    max_batch: int = 64
    max_concurrent: int = 1
    latency_seed: int | None = None

    def driver(self, world: Callable[[Call], Reply]) -> Driver:
        rng = random.Random(self.latency_seed)
        latency = (lambda _: rng.expovariate(1.0)) if self.latency_seed is not None else None
        return Driver(
            {name: lane(world, self.max_batch, self.max_concurrent, latency) for name in LANES}, self.max_live
        )


SCHEDULES = {
    "one at a time": Schedule(1, 1, 1),
    "everything at once": Schedule(256, 64, 1),
    "a server: batches of one, many at once": Schedule(256, 1, 300, latency_seed=1),
    "small batches, slow lanes": Schedule(256, 3, 2, latency_seed=2),
    "few live": Schedule(5, 64, 3, latency_seed=3),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("name", CASES)
def test_trees_do_not_depend_on_batching(name: str, schedule: Schedule):
    case = CASES[name]
    outcomes = run(collect(schedule.driver(case.world), searches(case)))
    assert not [outcome.error for outcome in outcomes.values() if outcome.error]
    assert {key: outcome.result for key, outcome in outcomes.items()} == by_hand(name)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(CASES)),
    st.builds(Schedule, st.integers(1, N + 1), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32)),
)
def test_trees_do_not_depend_on_any_schedule(name: str, schedule: Schedule):
    outcomes = run(collect(schedule.driver(CASES[name].world), searches(CASES[name])))
    assert {key: outcome.result for key, outcome in outcomes.items()} == by_hand(name)


@pytest.mark.parametrize("kind", ["greedy", "mcts"])
def test_the_compared_trees_are_worth_comparing(kind: str):
    """Right and wrong answers, failures and dead ends all occur, and no two problems have the same tree."""
    trees = [tree for name in CASES if name.startswith(kind) for tree in by_hand(name).values()]
    ends = {(node.terminal, node.verdict) for tree in trees for node in tree.nodes}
    assert {terminal for terminal, _ in ends if terminal} == {
        "answered",
        "unparsable",
        "code_error",
        "timeout",
        "max_depth",
        "dead_end",
    }
    assert {"equivalent", "different"} <= {verdict for _, verdict in ends}
    one = list(by_hand(next(name for name in CASES if name.startswith(kind))).values())
    assert len({"".join(node.text for node in tree.nodes) for tree in one}) > N / 2


# -- lanes


@pytest.mark.parametrize("leaving", ["at the end", "early"])
def test_garbage_is_collected_as_before_when_a_run_is_over(leaving: str):
    before, during = gc.get_threshold(), []

    async def main() -> None:
        driver = Driver({"score:ppm": Lane(Watching())})
        async with aclosing(driver.run((str(i), asking(2)) for i in range(9))) as outcomes:
            async for _ in outcomes:
                during.append(gc.get_threshold())
                if leaving == "early":
                    break

    run(main())
    assert {threshold[0] for threshold in during} == {50_000}
    assert gc.get_threshold() == before


class Watching:
    """A worker that notes its batches and how many of them ran at a time; `now` counts those that did not return."""

    def __init__(self, latency_s: float = 1.0):
        self.latency_s = latency_s
        self.batches: list[list[str]] = []
        self.now = 0
        self.most = 0

    async def __call__(self, tickets: Sequence[Ticket]) -> list[Reply]:
        self.batches.append([ticket.key for ticket in tickets])
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.latency_s)
        self.now -= 1
        return [[0.5] for _ in tickets]


def asking(times: int = 1) -> Search[list[float]]:
    """A search that asks for a score so many times."""
    values = []
    for i in range(times):
        values += yield from score([f"prefix {i}"])
    return values


def test_a_lane_is_named_by_kind_and_role():
    assert lane_name(Generate("p", 1, 0, ())) == "generate:policy"
    assert lane_name(Generate("p", 1, 0, (), role="discriminator")) == "generate:discriminator"
    assert lane_name(Score(("x",), "orm")) == "score:orm"
    assert lane_name(Execute("root", ())) == "execute"
    assert lane_name(Verify("2", ())) == "verify"


def test_a_free_lane_takes_all_that_waits_up_to_its_batch():
    worker = Watching()
    run(collect(Driver({"score:ppm": Lane(worker, max_batch=4)}), [(str(i), asking()) for i in range(10)]))
    assert worker.batches == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]


def test_no_barrier_one_problem_need_not_wait_for_the_others():
    """While one slow call runs, the other problems go round several times."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply]:
        await asyncio.sleep(100.0 if any(ticket.key == "slow" for ticket in tickets) else 1.0)
        return [[0.5] for _ in tickets]

    async def order() -> list[str]:
        driver = Driver({"score:ppm": Lane(worker, max_batch=1, max_concurrent=2)})
        jobs = [("slow", asking(1)), *((str(i), asking(5)) for i in range(3))]
        return [outcome.key async for outcome in driver.run(jobs)]

    assert run(order()) == ["0", "1", "2", "slow"]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 12))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_limits_of_batch_and_concurrency_hold(max_batch: int, max_concurrent: int, n: int):
    worker = Watching()
    one = Lane(worker, max_batch, max_concurrent)
    outcomes = run(collect(Driver({"score:ppm": one}), [(str(i), asking(3)) for i in range(n)]))
    assert all(outcome.result == [0.5] * 3 for outcome in outcomes.values())
    assert max(map(len, worker.batches)) <= max_batch
    assert worker.most <= max_concurrent
    assert worker.most == min(max_concurrent, -(-n // max_batch)), "a slot stood empty while calls were waiting"
    assert one.stats.calls == 3 * n
    assert one.stats.batches == len(worker.batches)


def test_queue_and_busy_time_are_counted():
    one = Lane(Watching(latency_s=0.02))
    asyncio.run(collect(Driver({"score:ppm": one}), [(str(i), asking()) for i in range(3)]))
    assert 0.05 < one.stats.busy_s < 30
    assert 0.05 < one.stats.queue_s < 30  # 0 + 20 + 40 ms


def test_no_more_than_max_live_searches_are_begun():
    live: set[int] = set()
    most = 0

    def search(i: int) -> Search[int]:
        nonlocal most
        live.add(i)
        most = max(most, len(live))
        yield from score(["x"])
        live.discard(i)
        return i

    driver = Driver({"score:ppm": Lane(Watching(), max_batch=64)}, max_live=7)
    outcomes = run(collect(driver, ((str(i), search(i)) for i in range(50))))
    assert sorted(outcome.result for outcome in outcomes.values()) == list(range(50))
    assert most == 7


def test_searches_that_ask_nothing_end_at_once():
    def silent(i: int) -> Search[int]:
        return i
        yield

    outcomes = run(collect(Driver({}, max_live=2), ((str(i), silent(i)) for i in range(9))))
    assert [outcome.result for outcome in outcomes.values()] == list(range(9))
    assert run(collect(Driver({}), [])) == {}


# -- isolation


def failing_worker(case: Case, bad: str, error: BaseException) -> Callable[[Sequence[Ticket]], Any]:
    """Answers like the case's world, but raises whenever the batch holds a ticket of the problem `bad`."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply]:
        await asyncio.sleep(1.0)
        if any(ticket.key == bad for ticket in tickets):
            raise error
        return [case.world(ticket.call) for ticket in tickets]

    return worker


@pytest.mark.parametrize("max_batch", [1, 4, 64])
@pytest.mark.parametrize("where", ["generate:policy", "execute", "verify"])
def test_a_worker_that_raises_for_one_problem_fails_that_problem_alone(where: str, max_batch: int):
    case = CASES["mcts-terminal"]
    lanes = {name: lane(case.world, max_batch) for name in LANES}
    lanes[where] = Lane(failing_worker(case, "p3", ValueError("boom")), max_batch)
    outcomes = run(collect(Driver(lanes), searches(case)))
    failed = outcomes.pop("p3")
    assert failed.result is None
    assert (failed.error.boundary, str(failed.error)) == (where, "ValueError: boom")
    assert {key: outcome.result for key, outcome in outcomes.items()} == {
        key: tree for key, tree in by_hand("mcts-terminal").items() if key != "p3"
    }


def outcomes_with(worker: Any, n: int = 4, max_batch: int = 64) -> dict[str, Outcome[Any]]:
    driver = Driver({"score:ppm": Lane(worker, max_batch)})
    return run(collect(driver, [(f"p{i}", asking(2)) for i in range(n)]))


def test_a_worker_may_name_the_boundary_itself():
    async def raising(tickets: Sequence[Ticket]) -> list[Reply]:
        if any(ticket.key == "p1" for ticket in tickets):
            raise RolloutError("engine", "the server answered 500")
        return [[0.5] for _ in tickets]

    outcomes = outcomes_with(raising)
    assert (outcomes["p1"].error.boundary, str(outcomes["p1"].error)) == ("engine", "the server answered 500")
    assert [key for key, outcome in outcomes.items() if outcome.error] == ["p1"]


def test_a_worker_may_fail_one_ticket_in_its_place():
    calls = 0

    async def worker(tickets: Sequence[Ticket]) -> list[Reply | RolloutError]:
        nonlocal calls
        calls += 1
        return [RolloutError("engine", "too long") if ticket.key == "p2" else [0.5] for ticket in tickets]

    outcomes = outcomes_with(worker)
    assert [(key, str(o.error)) for key, o in outcomes.items() if o.error] == [("p2", "too long")]
    assert [o.result for o in outcomes.values() if not o.error] == [[0.5, 0.5]] * 3
    assert calls == 2  # nothing was asked again


@pytest.mark.parametrize("wrong", [0, 1, 2, 5])
def test_a_wrong_number_of_replies_is_never_handed_out(wrong: int):
    """Replies to a batch that do not match it are asked for again, one by one; who fails then fails alone."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply]:
        if len(tickets) > 1:
            return [[9.0]] * (wrong if wrong != len(tickets) else wrong + 1)
        return [] if tickets[0].key == "p0" else [[0.5]]

    outcomes = outcomes_with(worker)
    assert (outcomes["p0"].error.boundary, str(outcomes["p0"].error)) == ("score:ppm", "0 replies to 1 calls")
    assert [o.result for key, o in outcomes.items() if key != "p0"] == [[0.5, 0.5]] * 3


def test_a_lane_that_is_down_fails_every_problem_and_ends():
    async def worker(tickets: Sequence[Ticket]) -> list[Reply]:
        raise ConnectionRefusedError("port 8000")

    outcomes = outcomes_with(worker, n=9, max_batch=4)
    assert len(outcomes) == 9
    assert {str(outcome.error) for outcome in outcomes.values()} == {"ConnectionRefusedError: port 8000"}


def test_a_worker_whose_own_work_was_cancelled_does_not_hang_the_driver():
    async def worker(tickets: Sequence[Ticket]) -> list[Reply]:
        if any(ticket.key == "p1" for ticket in tickets):
            connection: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
            connection.cancel("connection closed")
            return await connection
        return [[0.5] for _ in tickets]

    outcomes = outcomes_with(worker)
    assert (outcomes["p1"].error.boundary, str(outcomes["p1"].error)) == (
        "score:ppm",
        "CancelledError: connection closed",
    )
    assert [o.result for key, o in outcomes.items() if key != "p1"] == [[0.5, 0.5]] * 3


class Alarm(BaseException):
    """Like math-verify's TimeoutException: no Exception."""


def test_what_is_no_exception_comes_out_of_the_driver_instead_of_hanging_it():
    async def worker(tickets: Sequence[Ticket]) -> list[Reply]:
        raise Alarm("rings")

    with pytest.raises(Alarm, match="rings"):
        outcomes_with(worker)


def test_a_search_that_raises_fails_alone():
    def buggy(i: int) -> Search[float]:
        values = yield from score(["x"])
        if i == 1:
            return {}["missing"]
        if i == 2:
            raise RolloutError("grader", "no verdict")
        return values[0]

    driver = Driver({"score:ppm": Lane(Watching(), max_batch=64)})
    outcomes = run(collect(driver, [(f"p{i}", buggy(i)) for i in range(4)]))
    assert (outcomes["p1"].error.boundary, str(outcomes["p1"].error)) == ("search", "KeyError: 'missing'")
    assert (outcomes["p2"].error.boundary, str(outcomes["p2"].error)) == ("grader", "no verdict")
    assert [outcomes[key].result for key in ("p0", "p3")] == [0.5, 0.5]


def test_a_search_that_raises_before_it_asks_fails_alone():
    def broken() -> Search[None]:
        raise ZeroDivisionError("at once")
        yield

    driver = Driver({"score:ppm": Lane(Watching())}, max_live=1)
    outcomes = run(collect(driver, [("a", broken()), ("b", asking())]))
    assert str(outcomes["a"].error) == "ZeroDivisionError: at once"
    assert outcomes["b"].result == [0.5]


def test_a_search_may_survive_an_error():
    def patient() -> Search[str]:
        try:
            yield from score(["x"])
        except RolloutError as error:
            values = yield from score(["y"], "orm")
            return f"{error}, then {values[0]}"
        return "never"

    def refuse(call: Call) -> Reply:
        raise RolloutError("engine", "no")

    driver = Driver({"score:ppm": lane(refuse), "score:orm": lane(lambda _: [0.25])})
    assert run(collect(driver, [("p", patient())]))["p"].result == "no, then 0.25"


def test_a_call_nobody_answers_fails_its_search_and_closes_it():
    closed = []

    def search() -> Search[None]:
        try:
            yield from score(["x"], "orm")
        finally:
            closed.append(True)

    outcomes = run(collect(Driver({"score:ppm": Lane(Watching())}), [("a", search()), ("b", asking())]))
    assert (outcomes["a"].error.boundary, str(outcomes["a"].error)) == ("driver", "nothing answers score:orm calls")
    assert closed == [True]
    assert outcomes["b"].result == [0.5]


# -- leaving


def endless() -> Iterator[tuple[str, Search[list[float]]]]:
    return ((str(i), asking()) for i in itertools.count())


def no_tasks_but_this_one() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


class Counting(Watching):
    cancelled = 0

    async def __call__(self, tickets: Sequence[Ticket]) -> list[Reply]:
        try:
            self.latency_s = 1000.0 if len(self.batches) > 2 else 1.0
            return await super().__call__(tickets)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.mark.parametrize("explicitly", [True, False])
def test_leaving_early_cancels_what_runs_and_leaves_no_task(explicitly: bool):
    worker = Counting()

    async def first_three() -> list[str]:
        driver = Driver({"score:ppm": Lane(worker, max_concurrent=5)}, max_live=10)
        keys = []
        if explicitly:
            async with aclosing(driver.run(endless())) as outcomes:
                async for outcome in outcomes:
                    keys.append(outcome.key)
                    if len(keys) == 3:
                        break
        else:
            async for outcome in driver.run(endless()):
                keys.append(outcome.key)
                if len(keys) == 3:
                    break
            await asyncio.sleep(0.1)  # the event loop closes a generator that was dropped on its next turns
        assert no_tasks_but_this_one()
        return keys

    assert sorted(run(first_three())) == ["0", "1", "2"]
    assert worker.cancelled == worker.now >= 2  # whatever had begun and was not done
    assert sum(map(len, worker.batches)) < 12


def test_a_cancelled_consumer_leaves_no_task():
    worker = Counting()

    async def consume(outcomes: AsyncIterator[Outcome[Any]]) -> None:
        async for _ in outcomes:
            pass

    async def main() -> None:
        driver = Driver({"score:ppm": Lane(worker, max_concurrent=5)}, max_live=10)
        consumer = asyncio.create_task(consume(driver.run(endless())))
        await asyncio.sleep(50.0)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        await asyncio.sleep(0.1)
        assert no_tasks_but_this_one()

    run(main())
    assert worker.cancelled == 5


@pytest.mark.parametrize("after", [0, 5])
def test_a_source_of_searches_that_fails_ends_the_run(after: int):
    def source() -> Iterator[tuple[str, Search[list[float]]]]:
        yield from itertools.islice(endless(), after)
        raise OSError("the problem file is gone")

    keys = []

    async def consume() -> None:
        async for outcome in Driver({"score:ppm": Lane(Watching())}, max_live=2).run(source()):
            keys.append(outcome.key)

    async def main() -> None:
        with pytest.raises(OSError, match="the problem file is gone"):
            await consume()
        await asyncio.sleep(0.1)
        assert no_tasks_but_this_one()

    run(main())
    assert len(keys) == max(0, after - 1)  # asked for a sixth when the fourth had ended and the fifth was live


def test_the_clock_of_these_tests_sees_a_deadlock():
    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(stuck())


# -- several calls at once


def scored_together(*groups: tuple[str, ...]) -> Search[list[list[float]]]:
    replies: list[list[float]] = yield from together([score(group) for group in groups])
    return replies


def test_calls_made_together_are_answered_together_whatever_the_order():
    case = CASES["mcts-ppm"]
    groups = [("a", "b"), ("c",), ("d", "e", "f")]
    wanted = drive(scored_together(*groups), case.world)
    for schedule in SCHEDULES.values():
        outcomes = run(collect(schedule.driver(case.world), [(f"p{i}", scored_together(*groups)) for i in range(9)]))
        assert [outcome.result for outcome in outcomes.values()] == [wanted] * 9


def test_one_failed_call_of_several_fails_the_search_once():
    async def worker(tickets: Sequence[Ticket]) -> Sequence[Reply | RolloutError]:
        bad = RolloutError("engine", "too long")
        return [bad if "bad" in ticket.call.prefixes else [0.5] for ticket in tickets]  # type: ignore[union-attr]

    driver = Driver({"score:ppm": Lane(worker, 4)})
    outcomes = run(
        collect(driver, [("x", scored_together(("a",), ("bad",), ("bad",))), ("y", scored_together(("a",)))])
    )
    assert (str(outcomes["x"].error), outcomes["y"].result) == ("too long", [[0.5]])
