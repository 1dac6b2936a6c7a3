"""Nothing leaks: a tree run in any order, siblings at once, with any eviction, is what fresh processes give.

The oracle keeps nothing: every step runs in a new fork of the zygote that replays its whole prefix.
"""

import asyncio
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.sandbox import Limits, SandboxConfig
from tests.sandbox.conftest import QUICK, Box, opened

PLAIN = (
    "x = 1",
    "x += 2\nx",
    "items = []",
    "items.append(x)\nprint(items)",
    "def f(k):\n    return k * x",
    "f(3)",
    "1 / 0",
    "x = input()",
    "print",
    "import random\nrandom.seed(5)",
    "import random\nprint(random.random())",
    "import builtins\nbuiltins.len = lambda value: 7",
    "import builtins\ndel builtins.sum",
    "len('abc'), sum([1, 2])",
    "import sys\nsys.setrecursionlimit(150)",
    "import sys\nsys.getrecursionlimit()",
    "def deep(k): return 0 if k == 0 else deep(k - 1)\ndeep(400)",
    "import warnings\nwarnings.simplefilter('error')",
    "import warnings\nwarnings.warn('careful')",
    "import math\nmath.pi = 3",
    "import math\nmath.pi",
    "import decimal\ndecimal.getcontext().prec = 5",
    "import decimal\ndecimal.Decimal(1) / 3",
    "import sys\nsys.modules['math'] = None",
    "import sys\nsys.stdout = None",
    "import os\nos.environ['LEAK'] = 'yes'",
    "import os\nos.environ.get('LEAK')",
    "globals().clear()",
    "sorted(name for name in globals() if not name.startswith('__'))",
    "raise SystemExit(3)",
    "import itertools\ncount = itertools.count()\nnext(count)",
    "next(count)",
)
MATHEMATICS = (
    "import sympy\nfrom sympy import symbols, Integer, sqrt\ns = symbols('s')",
    "sympy.Integer.__add__ = lambda self, other: 41",
    "Integer(2) + Integer(3)",
    "sympy.solve = lambda *given: 'patched'",
    "sympy.solve(s**2 - 4, s)",
    "import mpmath\nmpmath.mp.dps = 3",
    "import mpmath\nmpmath.mp.dps, sqrt(2).evalf(20)",
    "import numpy as np\nnp.random.seed(3)",
    "import numpy as np\nnp.random.rand(2).tolist()",
    "import numpy as np\nnp.seterr(all='raise')",
    "import numpy as np\nbool(np.float64(1) / np.float64(0) > 1)",
    "np.set_printoptions(precision=2)",
    "print(np.array([1 / 3]))",
    "sympy.core.cache.clear_cache()",
    "s = symbols('s', positive=True)\nsympy.sqrt(s**2)",
    "import sys\nsys.modules.pop('sympy', None)",
)

Seen = dict[int, tuple[Status, str, str | None, str | None]]
Rows = list[tuple[int, str]]


def trees(steps: tuple[str, ...], most: int) -> st.SearchStrategy[Rows]:
    """Rows of (parent, code): the parent is a place among the rows before, or the root."""
    return st.lists(st.tuples(st.integers(0, 30), st.sampled_from(steps)), min_size=1, max_size=most)


def box(config: SandboxConfig) -> Iterator[Box]:
    with opened(config) as made:
        yield made


@pytest.fixture(scope="module")
def oracle() -> Iterator[Box]:
    yield from box(SandboxConfig(preload=(), limits=QUICK, keep="never"))


@pytest.fixture(scope="module")
def cramped() -> Iterator[Box]:
    yield from box(SandboxConfig(preload=(), limits=QUICK, live_states=2, concurrency=3))


@pytest.fixture(scope="module")
def mathematical_oracle() -> Iterator[Box]:
    yield from box(SandboxConfig(limits=QUICK, keep="never"))


@pytest.fixture(scope="module")
def mathematical_cramped() -> Iterator[Box]:
    yield from box(SandboxConfig(limits=QUICK, live_states=2, concurrency=3))


def grow(box: Box, rows: Rows, order: int | None = None) -> Seen:
    """Run a tree with nothing from a cache: in the order of its rows, or in a shuffled one, some steps at once.

    Rows whose parent failed are left out.
    """
    for known in list(box.sandbox._known):
        box.release(known)
    rng = random.Random(order)
    parents = [parent % (at + 1) - 1 for at, (parent, _) in enumerate(rows)]  # -1 is the root
    results: dict[int, StepResult] = {}
    owed = set(range(len(rows)))
    while True:
        ready = sorted(at for at in owed if parents[at] < 0 or parents[at] in results)
        ready = [at for at in ready if parents[at] < 0 or results[parents[at]].ok]
        if not ready:
            return {at: (its.status, its.stdout, its.value, its.error) for at, its in sorted(results.items())}
        chosen = [ready[0]] if order is None else rng.sample(ready, rng.randint(1, min(4, len(ready))))
        owed -= set(chosen)
        states = [ROOT_STATE if parents[at] < 0 else results[parents[at]].state or "" for at in chosen]

        async def run(chosen: list[int] = chosen, states: list[str] = states) -> list[StepResult]:
            jobs = [box.sandbox.run(state, rows[at][1]) for at, state in zip(chosen, states, strict=True)]
            return await asyncio.gather(*jobs)

        results.update(zip(chosen, box.runner.run(run()), strict=True))


@settings(max_examples=40, deadline=None)
@given(rows=trees(PLAIN, 14), order=st.integers(0, 1 << 30))
def test_any_tree_equals_fresh_processes(rows: Rows, order: int, bare: Box, oracle: Box, cramped: Box) -> None:
    expected = grow(oracle, rows)
    assert grow(bare, rows, order) == expected
    assert grow(cramped, rows, order + 1) == expected


@settings(max_examples=15, deadline=None)
@given(rows=trees(MATHEMATICS + PLAIN[:2], 10), order=st.integers(0, 1 << 30))
def test_any_mathematical_tree_equals_fresh_processes(
    rows: Rows, order: int, full: Box, mathematical_oracle: Box, mathematical_cramped: Box
) -> None:
    expected = grow(mathematical_oracle, rows)
    assert grow(full, rows, order) == expected
    assert grow(mathematical_cramped, rows, order + 1) == expected


@pytest.mark.parametrize("poison", PLAIN + MATHEMATICS)
def test_no_step_reaches_a_sibling_a_later_problem_or_the_parent(poison: str, full: Box) -> None:
    start = (
        "import builtins, decimal, math, mpmath, os, random, sympy, sys, warnings\nimport numpy as np\nx, items = 1, []"
    )
    probe = (
        "warnings.warn('w')\n"
        "(len('abc'), sum([1]), sympy.Integer(2) + 1, mpmath.mp.dps, sys.getrecursionlimit(), math.pi, random.random(),"
        " os.environ.get('LEAK'), str(decimal.Decimal(1) / 3), np.random.rand(), sympy.solve(sympy.Symbol('q') - 1),"
        " np.geterr()['divide'], x, items, sorted(sys.modules)[:3])"
    )
    at = full.state(start)
    before = full.run(probe + "\n", at)
    assert before.value is not None, before
    poisoned = full.run(poison, at)
    assert poisoned.status is not Status.INFRA
    for later in (at, full.state(start + "  # another problem")):
        full.release(full.sandbox.state_id(later, probe))
        assert full.run(probe, later).value == before.value


def test_limits_of_one_step_are_not_those_of_the_next() -> None:
    with opened(SandboxConfig(preload=(), limits=Limits(cpu_s=0.3, wall_s=0.6))) as box:
        at = box.state("x = 1")
        burn = "import time\nbegan = time.thread_time()\nwhile time.thread_time() - began < 0.2: pass"
        for _ in range(3):  # .6 s of CPU along the path, .3 s for each step
            at = box.run(burn, at).state or ""
        assert box.run("x", at).value == "1"
