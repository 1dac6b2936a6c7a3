"""One grader asked from many threads, many graders in as many processes, and workers killed at work: same verdicts."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rstar.answers import Grader, compare, grade_pairs
from rstar.core.verdict import Verdict

PAIRS = [
    (gold, candidate)
    for n in range(2, 12)
    for gold, candidate in (
        (rf"{n}\sqrt{{3}}", rf"\sqrt{{{3 * n * n}}}"),
        (rf"{n}\sqrt{{3}}", rf"3\sqrt{{{n}}}"),
        (f"(x-{n})^2", f"x^2-{2 * n}x+{n * n}"),
        (f"(x-{n})^2", f"x^2-{2 * n}x+{n}"),
        (f"[{n}, {2 * n})", rf"{n}\le x<{2 * n}"),
        (f"[{n}, {2 * n})", f"({n}, {2 * n})"),
        (rf"{n}\text{{ cm}}", f"{n} m"),
        (f"{n}", f"{n}.0"),
        (f"{n}", "9^{9^{9^9}}"),
    )
]
SERIAL = [compare(*pair).verdict for pair in PAIRS]
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (
    "import json, sys; from rstar.answers import grade_pairs\n"
    "pairs = json.load(sys.stdin); print('up', flush=True)\n"
    "print(json.dumps([each.verdict for each in grade_pairs(pairs, workers=int(sys.argv[1]))]))\n"
)


def test_one_grader_for_many_threads() -> None:
    grader = Grader(workers=2)
    found: dict[int, list[Verdict]] = {}

    def work(number: int) -> None:
        order = random.Random(number).sample(range(len(PAIRS)), len(PAIRS))

        async def run() -> None:
            judgements = await asyncio.gather(*(grader.grade(*PAIRS[place]) for place in order))
            by_place = dict(zip(order, judgements, strict=True))
            found[number] = [by_place[place].verdict for place in range(len(PAIRS))]

        asyncio.run(run())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    pids = grader.pids()
    asyncio.run(grader.close())
    assert len(pids) <= 2
    assert [found[number] for number in range(16)] == [SERIAL] * 16
    assert not any(alive(pid) for pid in pids)


def test_many_threads_with_a_grader_each() -> None:
    found: list[list[Verdict]] = []

    def work() -> None:
        found.append([each.verdict for each in grade_pairs(PAIRS)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == [SERIAL] * 4


def test_eight_processes_at_once_and_none_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"RSTAR_TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv(*mark.split("="))
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, "1"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(8)
    ]
    for process in processes:  # all are up before any is given its pairs to the end
        assert process.stdin is not None
        process.stdin.write(json.dumps(PAIRS).encode())
        process.stdin.close()
    for process in processes:
        assert process.stdout is not None
        lines = process.stdout.read().decode().split("\n")
        process.stdout.close()
        assert process.wait(120) == 0
        assert json.loads(lines[1]) == [str(verdict) for verdict in SERIAL]
    assert marked(mark) == []


def test_a_worker_killed_while_it_works_is_replaced_and_its_pair_judged() -> None:
    async def run() -> None:
        async with Grader(timeout_s=30) as grader:
            await grader.grade(*PAIRS[0])
            (pid,) = grader.pids()
            os.kill(pid, signal.SIGSTOP)
            asked = asyncio.create_task(grader.grade(*PAIRS[2]))
            while grader.pids():  # until it is lent out
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
            assert (await asked).verdict is Verdict.EQUIVALENT
            assert not alive(pid)
            assert grader.pids() != [pid]

    asyncio.run(run())


def test_workers_end_with_a_parent_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"RSTAR_TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv(*mark.split("="))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "2"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([(f"x+{n}", f"{n}+x") for n in range(20_000)]).encode())
    process.stdin.close()
    process.stdout.readline()
    deadline = time.monotonic() + 60
    while len(marked(mark)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(marked(mark)) == 3
    process.kill()
    process.wait()
    process.stdout.close()
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(mark) == []


def test_a_worker_may_not_take_all_memory() -> None:
    async def run() -> None:
        async with Grader() as grader:
            await grader.grade(*PAIRS[0])
            (pid,) = grader.pids()
            limits = Path(f"/proc/{pid}/limits").read_text()
            (line,) = (line for line in limits.splitlines() if line.startswith("Max address space"))
            assert int(line.split()[3]) <= 2 * 1024**3

    asyncio.run(run())


def marked(mark: str) -> list[int]:
    """Processes, but this one, that have the mark in their environment and are not dead."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in environment and alive(int(folder.name)):
                found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
