"""The grader with real processes: hangs, deaths, threads, the cache and the self-test."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rstar.answers import Grader, GraderUnavailable, grade_pairs, worker
from rstar.answers.pool import Worker, WorkerLost, WorkerPool
from rstar.core.verdict import Verdict

NEEDS_WORKER = (r"2\sqrt{3}", r"\sqrt{12}")


def test_importing_is_light() -> None:
    code = "import sys, rstar.answers; print(*{'sympy', 'mpmath', 'latex2sympy2_extended'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_plain_numbers_start_no_process() -> None:
    async def run() -> None:
        async with Grader() as grader:
            assert (await grader.grade("3", "3.0")).verdict is Verdict.EQUIVALENT
            assert (await grader.grade("3", r"\boxed{4}")).verdict is Verdict.DIFFERENT
            assert (await grader.grade("3", None)).rule == "empty"
            assert grader.pids() == []

    asyncio.run(run())


def test_a_worker_is_kept_warm_and_ends_with_the_grader() -> None:
    async def run() -> int:
        async with Grader() as grader:
            assert (await grader.grade(*NEEDS_WORKER)).verdict is Verdict.EQUIVALENT
            (pid,) = grader.pids()
            assert (await grader.grade("x+1", "1+x")).verdict is Verdict.EQUIVALENT
            assert grader.pids() == [pid]
            return pid

    assert not alive(asyncio.run(run()))


def test_grade_many_keeps_the_order() -> None:
    async def run() -> None:
        async with Grader(workers=2) as grader:
            found = await grader.grade_many("x+1", ["1+x", None, "x", "1+x", "x+1"])
            assert [each.verdict is Verdict.EQUIVALENT for each in found] == [True, False, False, True, True]

    asyncio.run(run())


def test_a_hanging_pair_is_killed_and_the_next_one_judged() -> None:
    async def run() -> None:
        async with Grader(timeout_s=0.5) as grader:
            await grader.grade(*NEEDS_WORKER)
            (pid,) = grader.pids()
            os.kill(pid, signal.SIGSTOP)  # a parser that never comes back
            start = time.monotonic()
            stuck = await grader.grade("x+1", "1+x")
            assert (stuck.verdict, stuck.rule) == (Verdict.UNVERIFIABLE, "timeout")
            assert 0.4 < time.monotonic() - start < 5
            assert not alive(pid)
            assert (await grader.grade("x+1", "1+x")).verdict is Verdict.EQUIVALENT  # not cached, and a new process
            assert grader.pids() != [pid]

    asyncio.run(run())


def test_a_killed_worker_is_replaced() -> None:
    pool = WorkerPool(timeout_s=5)
    try:
        assert pool.judge("strict", *NEEDS_WORKER).verdict is Verdict.EQUIVALENT
        (pid,) = pool.pids()
        os.kill(pid, signal.SIGKILL)
        lost = pool.judge("strict", *NEEDS_WORKER)
        assert (lost.verdict, lost.rule) == (Verdict.UNVERIFIABLE, "worker_died")
        assert pool.judge("strict", *NEEDS_WORKER).verdict is Verdict.EQUIVALENT
    finally:
        pool.close()


def test_a_worker_ends_when_its_parent_does() -> None:
    code = (
        "import os\nfrom rstar.answers.pool import Worker\n"
        "worker = Worker()\nprint(worker.pid, flush=True)\nos._exit(0)\n"  # no clean-up of any kind
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def test_a_question_of_any_size_passes_the_pipe() -> None:
    process = Worker()
    try:
        long = "x + " * 200_000
        assert process.judge("strict", "y+1", long, 10).rule == "guard:length"
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(WorkerLost, match="timeout"):
            process.judge("strict", "y+1", long, 0.3)
    finally:
        process.kill()


def test_verdicts_are_cached_per_pair_and_mode() -> None:
    async def run() -> None:
        async with Grader(cached=2) as grader:
            first = await grader.grade("x+1", "1+x")
            assert await grader.grade("x+1", "1+x") is first
            await grader.grade("x+2", "2+x")
            await grader.grade("x+3", "3+x")  # the cache holds two: the first is out
            assert await grader.grade("x+1", "1+x") is not first

    asyncio.run(run())


def test_long_responses_are_not_kept() -> None:
    async def run() -> None:
        async with Grader() as grader:
            long = "so " * 2_000 + r"\boxed{1+x}"
            first = await grader.grade("x+1", long)
            assert first.verdict is Verdict.EQUIVALENT
            assert await grader.grade("x+1", long) is not first

    asyncio.run(run())


def test_threads_may_grade() -> None:
    found: list[list[Verdict]] = []

    def work() -> None:
        pairs = [(f"x+{number}", f"{number}+x" if number % 2 else f"{number}-x") for number in range(20)]
        found.append([judgement.verdict for judgement in grade_pairs(pairs, workers=1)])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 3
    for verdicts in found:
        assert [verdict is Verdict.EQUIVALENT for verdict in verdicts] == [bool(number % 2) for number in range(20)]


def test_one_grader_may_serve_several_event_loops() -> None:
    grader = Grader(workers=2)
    verdicts: list[Verdict] = []

    def work() -> None:
        verdicts.append(asyncio.run(grader.grade("x+1", "1+x")).verdict)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    asyncio.run(grader.close())
    assert verdicts == [Verdict.EQUIVALENT] * 3


def test_grade_pairs_is_lazy_and_ordered() -> None:
    asked = 0

    def pairs():  # type: ignore[no-untyped-def]
        nonlocal asked
        for number in range(1000):
            asked += 1
            yield f"{number}", f"{number}.0"

    judgements = grade_pairs(pairs())
    assert next(judgements).verdict is Verdict.EQUIVALENT
    assert asked < 50
    judgements.close()  # type: ignore[attr-defined]


def test_a_failed_self_test_refuses_to_grade(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "sitecustomize.py").write_text(
        "import rstar.answers.scalar as s\ns._same_constant = lambda a, b, compat: s.Sameness(True, 'broken')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(GraderUnavailable, match="self-test"):
        Worker()


def test_the_self_test_knows_both_labels() -> None:
    assert worker.self_test() == ""
    assert {expected for *_, expected in worker.SELF_TEST} == {True, False}
    assert len(worker.SELF_TEST) >= 12


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
