"""What a step costs: CPU per executed step for several ways to run trees of code.

    python benchmarks/sandbox.py [--problems N] [--fresh N]

Every figure is CPU milliseconds (user and system, of every process involved, start-up subtracted) per executed step.
The mix is TRAJECTORIES, each expanded as a tree: WIDTH candidates at each of five depths, one of which is built upon.
The last line is JSON: name, ok, figures.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time

from rstar.core.execution import ROOT_STATE
from rstar.sandbox import Sandbox, SandboxConfig

WIDTH = 8
TARGET_MIX_MS, TARGET_BARE_MS = 12.0, 2.0

# Five steps each; {k} is a small number that makes candidates differ.
TRAJECTORIES = [
    [
        "from sympy import *\nx = symbols('x')\nk = {k} + 2",
        "p = expand((x - k)*(x + 1)*(x - 2))",
        "r = solve(p, x)",
        "s = sum(r)\nq = prod(r)",
        "print(simplify(s + q))",
    ],
    [
        "import math\nn = 1000 + {k}",
        "count = sum(1 for i in range(1, n) if math.gcd(i, n) == 1)",
        "divs = [d for d in range(1, n + 1) if n % d == 0]",
        "total = sum(divs) - {k}",
        "print(count, total)",
    ],
    [
        "from sympy import symbols, Eq, solve, Rational\na, b = symbols('a b')",
        "eqs = [Eq(a + b, 10 + {k}), Eq(a - b, 2)]",
        "sol = solve(eqs, [a, b])",
        "value = sol[a]**2 + sol[b]**2 + {k}",
        "print(value)",
    ],
    [
        "from itertools import product, permutations\nfaces = range(1, 7)",
        "rolls = [r for r in product(faces, repeat=4) if sum(r) == 14 + {k}]",
        "from fractions import Fraction\np = Fraction(len(rolls), 6**4)",
        "distinct = sum(1 for r in rolls if len(set(r)) == 4) + {k}",
        "print(p, distinct)",
    ],
    [
        "from sympy import Matrix, symbols, simplify, eye\nM = Matrix([[2, 1], [1, {k} + 3]])",
        "d = M.det()",
        "e = M.eigenvals()",
        "inv = M.inv() * {k}",
        "print(simplify(d + sum(e)))",
    ],
    [
        "from sympy import *\nt = symbols('t', positive=True)\nf = t**2 * exp(-t) + {k}",
        "df = diff(f, t)",
        "critical = solve(df, t)",
        "area = integrate(t**2 * exp(-t) + {k}*t, (t, 0, 2))",
        "print(N(area, 8), critical)",
    ],
    [
        "from sympy import *\nn = 5040 + 12*{k}",
        "f = factorint(n)",
        "tau = 1\nfor e in f.values(): tau *= e + 1",
        "phi = totient(n) + {k}",
        "print(tau, phi)",
    ],
    [
        "from sympy import *\nA, B, C = Point(0, 0), Point(6 + {k}, 0), Point(2, 5)",
        "T = Triangle(A, B, C)",
        "area = T.area",
        "R = T.circumradius + {k}",
        "print(area, simplify(R))",
    ],
    [
        "import numpy as np\nv = np.arange(1, 30 + {k})",
        "m = np.outer(v, v) % 7",
        "u, c = np.unique(m, return_counts=True)",
        "best = int(u[np.argmax(c)]) + {k}",
        "print(best, int(c.max()))",
    ],
    [
        "from sympy import *\nx = symbols('x', real=True)\nexpr = sin(x)**4 + cos(x)**4 + {k}",
        "simple = trigsimp(expr)",
        "peak = simple.subs(x, pi/4)",
        "series_part = series(expr, x, 0, 6) + {k}",
        "print(peak)",
    ],
    [
        "memo = {{}}\ndef ways(n, big):\n    if n == 0: return 1\n    if n < 0 or big == 0: return 0\n"
        "    key = (n, big)\n"
        "    if key not in memo: memo[key] = ways(n - big, big) + ways(n, big - 1)\n    return memo[key]",
        "w = ways(60 + {k}, 60)",
        "parity = w % 2 + {k}",
        "digits = sum(int(c) for c in str(w)) + {k}",
        "print(w, digits)",
    ],
    [
        "from sympy import *\nz = symbols('z')\nroots_ = solve(z**4 + {k} + 1, z)",
        "mods = [Abs(r) for r in roots_]",
        "product_ = prod(roots_)",
        "real_parts = [re(r).evalf(5) for r in roots_] + [{k}]",
        "print(simplify(product_))",
    ],
]


def cpu_s() -> float:
    """User and system seconds of this process and of every child that has ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


async def ours(config: SandboxConfig, trajectories: list[list[str]], rounds: int) -> tuple[int, float, float, float]:
    """Steps, CPU seconds, seconds, the broker's CPU seconds."""
    cpu, clock, steps = cpu_s(), time.monotonic(), 0
    async with Sandbox(config) as sandbox:
        for problem in range(rounds):
            group = str(problem)
            parent = ROOT_STATE
            for step in trajectories[problem % len(trajectories)]:
                codes = [f"# {problem}\n" + step.format(k=k + 1) + "\n" + f"_k = {k}" for k in range(WIDTH)]
                results = await sandbox.run_many(parent, codes, group=group)
                steps += len(results)
                bad = [result for result in results if not result.ok]
                if bad:
                    raise SystemExit(f"a step of problem {problem} failed: {bad[0]}")
                chosen = results[problem % WIDTH].state
                assert chosen is not None
                parent = chosen
            await sandbox.release(group)
        broker = sandbox.stats().broker_cpu_s
    return steps, cpu_s() - cpu, time.monotonic() - clock, broker


def measure(config: SandboxConfig, trajectories: list[list[str]], rounds: int) -> dict[str, float]:
    """CPU ms per step beyond start-up, steps per second, and the broker's share in ms."""
    nothing = asyncio.run(ours(config, trajectories, 0))
    steps, cpu, clock, broker = asyncio.run(ours(config, trajectories, rounds))
    return {
        "cpu_ms": 1e3 * (cpu - nothing[1]) / steps,
        "per_s": steps / (clock - nothing[2]),
        "broker_ms": 1e3 * broker / steps,
        "steps": steps,
    }


def fresh(trajectories: list[list[str]]) -> float:
    """CPU ms per step when every node is a new interpreter that runs its whole prefix."""
    cpu, steps = cpu_s(), 0
    for number, trajectory in enumerate(trajectories):
        for depth in range(len(trajectory)):
            code = "\n".join(step.format(k=number % WIDTH + 1) for step in trajectory[: depth + 1])
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            steps += 1
    return 1e3 * (cpu_s() - cpu) / steps


IN_PROCESS = """
import io, json, sys, contextlib
import sympy, numpy
for codes in json.load(sys.stdin):
    space = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for code in codes:
            exec(code, space)
"""


def in_process(trajectories: list[list[str]], rounds: int) -> float:
    """CPU ms per step in one warm process that runs each node's whole prefix, with no isolation at all."""

    def run(prefixes: list[list[str]]) -> float:
        before = cpu_s()
        subprocess.run([sys.executable, "-c", IN_PROCESS], input=json.dumps(prefixes), text=True, check=True)
        return cpu_s() - before

    prefixes = []
    for problem in range(rounds):
        trajectory, chosen = trajectories[problem % len(trajectories)], problem % WIDTH + 1
        for depth, step in enumerate(trajectory):
            before = [part.format(k=chosen) for part in trajectory[:depth]]
            prefixes += [[*before, step.format(k=k + 1)] for k in range(WIDTH)]
    return 1e3 * (run(prefixes) - run([])) / len(prefixes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=48, help="trees of the mix")
    parser.add_argument("--fresh", type=int, default=6, help="trajectories run by fresh interpreters; 0 to leave out")
    options = parser.parse_args()
    trivial = [["x = {k}\ny = 2", "x = x + 3", "y = x * 2", "x = y - 1", "print(x)"]]
    rows = {
        "ours, mix, every layer": measure(SandboxConfig(), TRAJECTORIES, options.problems),
        "ours, mix, unsafe": measure(SandboxConfig(isolation="unsafe"), TRAJECTORIES, options.problems),
        "ours, mix, keep=never": measure(SandboxConfig(keep="never"), TRAJECTORIES, max(1, options.problems // 4)),
        "ours, trivial, preloaded": measure(SandboxConfig(), trivial, options.problems),
        "ours, trivial, bare": measure(SandboxConfig(preload=()), trivial, 4 * options.problems),
    }
    print(f"{'way':28} {'CPU ms/step':>12} {'broker ms':>10} {'steps/s':>9} {'steps':>7}")
    for name, row in rows.items():
        print(f"{name:28} {row['cpu_ms']:12.2f} {row['broker_ms']:10.2f} {row['per_s']:9.1f} {row['steps']:7.0f}")
    warm_ms = in_process(TRAJECTORIES, max(1, options.problems // 2))
    print(f"{'in process, no isolation':28} {warm_ms:12.2f}")
    figures = {name: {key: round(value, 3) for key, value in row.items()} for name, row in rows.items()}
    summary: dict[str, object] = {"in_process_ms": round(warm_ms, 3), "ways": figures}
    mix_ms, bare_ms = rows["ours, mix, every layer"]["cpu_ms"], rows["ours, trivial, bare"]["cpu_ms"]
    if options.fresh:
        fresh_ms = fresh(TRAJECTORIES[: options.fresh])
        print(f"{'fresh interpreters':28} {fresh_ms:12.2f}   {fresh_ms / mix_ms:.0f} times ours")
        summary |= {"fresh_ms": round(fresh_ms, 3), "times_less_than_fresh": round(fresh_ms / mix_ms, 1)}
    ok = mix_ms <= TARGET_MIX_MS and bare_ms <= TARGET_BARE_MS
    print(json.dumps({"name": "sandbox", "ok": ok, "figures": summary}))


if __name__ == "__main__":
    main()
