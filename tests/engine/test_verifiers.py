"""Verify calls of other tasks: programs against their tests in the real sandbox, yes against no."""

import asyncio
from typing import Any

import pytest

from rstar.answers.program import suite
from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.core.verdict import Judgement, Verdict
from rstar.engine.driver import Ticket
from rstar.engine.verifiers import countdown_lane, passes, program_lane, verifier, yesno_lane
from rstar.errors import RolloutError
from rstar.sandbox import Limits, Sandbox, SandboxConfig
from rstar.search.calls import Answer, Verify

RIGHT, WRONG, OPEN = Verdict.EQUIVALENT, Verdict.DIFFERENT, Verdict.UNVERIFIABLE
TESTS = "assert square(3) == 9\nassert square(-4) == 16"

HONEST = {
    "plain": "def square(x):\n    return x * x",
    "talkative": "def square(x):\n    print('9 9 9', x)\n    return x ** 2\nprint(square(2))",
    "other numbers": (
        "import numpy, sympy\ndef square(x):\n    return numpy.int64(x * x) if x > 0 else sympy.Integer(x) ** 2"
    ),
    "own builtins": "def len(x): return 0\nrepr = str = isinstance = list = None\ndef square(x):\n    return x * x",
    "a float": "def square(x):\n    return float(x * x)",
    "under main": "def square(x):\n    return x * x\nif __name__ == '__main__':\n    assert square(1) == 1",
}
BROKEN = {
    "one test fails": "def square(x):\n    return 9",
    "raises": "def square(x):\n    return x / 0",
    "not Python": "def square(x) return x",
    "not there": "def cube(x):\n    return x ** 3",
    "nothing": "# later",
    "no value": "def square(x):\n    print(x * x)",
    "as text": "def square(x):\n    return str(x * x)",
    "for ever": "def square(x):\n    while True: pass",
    "too deep": "def square(x):\n    return square(x)",
    "loops itself": "def square(x):\n    v = []\n    v.append(v)\n    return v",
    "too much memory": "def square(x):\n    return bytearray(10 ** 12)",
}
HOSTILE = {
    "exits": "import sys\nsys.exit(0)",
    "exits in the call": "import os\ndef square(x):\n    os._exit(0)",
    "raises SystemExit": "def square(x):\n    raise SystemExit",
    "exits at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef square(x):\n    return 0",
    "equals everything": (
        "class E:\n"
        "    def __eq__(self, o): return True\n"
        "    def __ne__(self, o): return False\n"
        "def square(x):\n"
        "    return E()"
    ),
    "a number that equals": (
        "class E(int):\n"
        "    def __eq__(self, o): return True\n"
        "    __hash__ = int.__hash__\n"
        "def square(x):\n"
        "    return E(1)"
    ),
    "shows code": "class E:\n    def __repr__(self): return '9 or 16'\ndef square(x):\n    return E()",
    "patches assert": (
        "import builtins\n"
        "class Quiet(Exception):\n"
        "    def __init__(self, *a): pass\n"
        "builtins.AssertionError = Quiet\n"
        "def square(x):\n"
        "    return 0"
    ),
    "patches builtins": (
        "import builtins\n"
        "builtins.repr = lambda v: '[9]'\n"
        "builtins.type = lambda *a: int\n"
        "def square(x):\n"
        "    return object()"
    ),
    "patches the reader": "import ast\nast.literal_eval = lambda t: [9]\ndef square(x):\n    return 0",
    "patches print and exits": (
        "import builtins, os\nprint('tests:passed 9 16')\ndef square(x):\n    print('OK')\n    raise KeyboardInterrupt"
    ),
    "reads its callers": (
        "import sys\n"
        "def square(x):\n"
        "    f = sys._getframe()\n"
        "    seen = []\n"
        "    while f:\n"
        "        seen += [v for v in (*f.f_locals.values(), *f.f_code.co_consts) if isinstance(v, int)]\n"
        "        f = f.f_back\n"
        "    return 9 if 9 in seen else 16 if 16 in seen else 0"
    ),
    "reads everything": (
        "import gc\n"
        "def square(x):\n"
        "    text = ' '.join(repr(o)[:500] for o in gc.get_objects() if isinstance(o, (str, tuple, list)))\n"
        "    return 9 if '== 9' in text else 0"
    ),
    "replaces the teller": (
        "def square(x):\n"
        "    import sys\n"
        "    g = sys._getframe(1).f_globals\n"
        "    g['_tell'] = lambda v, n: '[9]'\n"
        "    return 0"
    ),
    "closes its output": "import os\nos.close(1)\nos.close(2)\ndef square(x):\n    return 0",
    "forges a result": (
        "import os\n"
        "for fd in range(3, 30):\n"
        "    try: os.write(fd, b'R' * 64)\n"
        "    except OSError: pass\n"
        "def square(x):\n"
        "    return 0"
    ),
}


@pytest.fixture(scope="module")
def judged() -> dict[str, Judgement]:
    """Every program of the tables against TESTS, in one sandbox."""

    async def all_of_them() -> dict[str, Judgement]:
        limits = Limits(cpu_s=1, wall_s=20, mem_bytes=256 << 20)
        async with Sandbox(SandboxConfig(limits=limits)) as sandbox:
            programs = HONEST | BROKEN | HOSTILE
            return {name: await passes(sandbox, suite(TESTS), code, name) for name, code in programs.items()}

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("name", HONEST)
def test_what_passes_every_test_is_right(judged: dict[str, Judgement], name: str):
    assert (judged[name].verdict, judged[name].rule) == (RIGHT, "tests:passed")


@pytest.mark.parametrize("name", BROKEN)
def test_what_fails_raises_or_runs_into_a_limit_is_wrong(judged: dict[str, Judgement], name: str):
    assert judged[name].verdict is WRONG, judged[name]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_program_fakes_success(judged: dict[str, Judgement], name: str):
    assert judged[name].verdict is not RIGHT, judged[name]


def test_most_hostile_programs_are_plainly_wrong(judged: dict[str, Judgement]):
    unclear = {name for name in HOSTILE if judged[name].verdict is OPEN}
    assert unclear <= {"equals everything", "shows code", "patches builtins", "forges a result", "replaces the teller"}


def test_values_that_cannot_be_told_are_unverifiable_unless_another_test_fails():
    odd = "class V:\n    pass\ndef f(x):\n    return V() if x else {}"

    async def both() -> list[Judgement]:
        async with Sandbox(SandboxConfig(preload=())) as sandbox:
            return [
                await passes(sandbox, suite("assert f(1) == 2\nassert f(0) == {}"), odd),
                await passes(sandbox, suite("assert f(1) == 2\nassert f(0) == {1}"), odd),
            ]

    assert [(one.verdict, one.rule) for one in asyncio.run(both())] == [(OPEN, "tests:value"), (WRONG, "tests:failed")]


class Failing:
    """A sandbox whose machine spoils a run: the n-th, or all of them."""

    def __init__(self, status: Status, at: int):
        self.config = SandboxConfig(preload=())
        self.status = status
        self.left = at

    async def run_many(self, state: str, codes: list[str], *_: Any, **__: Any) -> list[StepResult]:
        return [await self.run(state, code) for code in codes]

    async def run(self, state: str, code: str, *_: Any, **__: Any) -> StepResult:
        self.left -= 1
        if self.left == 0:
            return StepResult(self.status, error="no")
        return StepResult(Status.OK, "state" if state == ROOT_STATE else "next", value="'[9]'")


@pytest.mark.parametrize("at", range(1, 7))
def test_what_the_machine_spoils_is_unverifiable_wherever_it_happens(at: int):
    sandbox: Any = Failing(Status.INFRA, at)
    assert asyncio.run(passes(sandbox, suite(TESTS), "code")).verdict is OPEN
    assert asyncio.run(passes(sandbox, suite(TESTS), "code")).verdict is RIGHT


def test_tests_that_cannot_be_used_fail_their_problem_alone():
    async def ask() -> list[Any]:
        async with Sandbox(SandboxConfig(preload=())) as sandbox:
            calls = [Verify("assert", (Answer("x"),)), Verify("assert f() == 1", (Answer("def f(): return 1"),))]
            return list(await program_lane(sandbox).worker([Ticket(str(n), call) for n, call in enumerate(calls)]))

    broken, (fine,) = asyncio.run(ask())
    assert isinstance(broken, RolloutError)
    assert "the tests of 0 cannot be used" in str(broken)
    assert fine.verdict is RIGHT


def test_yes_and_no_have_their_lane():
    call = Verify("yes", (Answer("True"), Answer("no", "no"), Answer("perhaps")))
    (reply,) = asyncio.run(yesno_lane().worker([Ticket("p", call)]))
    assert [one.verdict for one in reply] == [RIGHT, WRONG, OPEN]


def test_each_task_has_its_verifier():
    nobody: Any = None
    lanes = [verifier(task, nobody, nobody) for task in ("math", "code", "yesno")]
    assert len({lane.worker.__qualname__ for lane in lanes}) == 3


def test_moves_are_judged_by_what_they_are_and_not_by_what_was_printed():
    right, wrong = 'use("*", 8, 3)', "print('Numbers 24 -> 24')"
    call = Verify("8 3 -> 24", (Answer(right, "Numbers 9 -> 24"), Answer(wrong, "Numbers 24 -> 24")))
    broken = Verify("what?", (Answer(right),))
    told, error = asyncio.run(countdown_lane().worker([Ticket("p", call), Ticket("q", broken)]))
    assert [one.verdict for one in told] == [RIGHT, WRONG]
    assert isinstance(error, RolloutError)
    assert str(error).startswith("the reference of q cannot be used: not a puzzle")
