"""What a step costs: CPU per executed step for several ways to run trees of code.

    python benchmarks/sandbox.py [--quick] [--python PATH]

The mix is TRAJECTORIES: realistic five-step solutions with sympy. Each is expanded as a tree, WIDTH candidates at each
depth, one of which is built upon; no two are the same code. (PLAIN, solutions without sympy, is shown beside it: there
a step costs next to nothing and the fork is what one pays.) Every way runs each node once:

    fresh    a new interpreter for every node, which runs the node's whole prefix (the chosen path only: a sample)
    replay   one fork of a warm zygote for every node, which runs the whole prefix
    warm     one process, imported and warmed, that execs the whole prefix of every node: no isolation, no limits
    ours     the execution tree with every layer on: a fork of the parent's state runs the node's own step

All of them run on one interpreter: `--python`, else that of `make setup-sandbox` where it was made, else this one.

Figures are CPU (user and system, of every process involved, start-up subtracted) per executed node. Every way runs one
node at a time and on one core, because two at once on the two threads of one core, or a process that wakes up on
another core, take more CPU for the same work; only `all cores` is ours as it is used. Ours and warm take turns, tree
by tree, so that both meet the same weather. Depths 10 and 15 are chained trajectories. Bars: at least TIMES_FRESH times
less CPU than fresh, no more than warm, and depth 15 within DEPTH_SLACK of depth 5. The last line is JSON: name, ok,
figures.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rstar.core.execution import ROOT_STATE
from rstar.sandbox import Sandbox, SandboxConfig
from rstar.sandbox.interpreter import interpreter
from rstar.sandbox.process import cpu_clock

WIDTH = 8
TIMES_FRESH, DEPTH_SLACK = 20.0, 1.15

ROOT = Path(__file__).resolve().parents[1]
OTHER = ROOT / ".venv-sandbox" / "bin" / "python"
CONFIG = SandboxConfig(concurrency=1, python=OTHER if OTHER.exists() else None)

Tree = list[list[str]]
"""The codes of WIDTH candidates for each depth; `chosen` says which one is built upon."""

# Each step is a template: {k}, from 1 to WIDTH, makes the candidates differ.
TRAJECTORIES: dict[str, list[str]] = {
    "vieta": [
        "from sympy import *\nx = symbols('x')\np = Poly(2*x**3 - {k}*x**2 - 22*x + 6*{k}, x)",
        "r = roots(p.as_expr(), x)\ns1 = -p.all_coeffs()[1] / p.all_coeffs()[0]",
        "s2 = p.all_coeffs()[2] / p.all_coeffs()[0]\nsquares = simplify(s1**2 - 2*s2)",
        "numeric = sum(v**2 for v in p.nroots(n=20))\nassert abs(numeric - squares) < 1e-10",
        "answer = nsimplify(squares + {k})\nprint(answer)",
    ],
    "nested radicals": [
        "from sympy import *\na = sqrt({k} + 6 + 2*sqrt({k} + 5))",
        "inner = sqrtdenest(a)\nb = sqrt({k} + 6 - 2*sqrt({k} + 5))",
        "total = sqrtdenest(a) + sqrtdenest(b)",
        "x = symbols('x')\nmp = minimal_polynomial(1 + sqrt({k} + 2), x)",
        "print(simplify(total**2), mp)",
    ],
    "chinese remainders": [
        "from sympy.ntheory.modular import crt\nmoduli = [7, 11, 13, 17]\nresidues = [{k} % 7, 3, 5, 2]",
        "n, m = crt(moduli, residues)\nassert all(n % q == r for q, r in zip(moduli, residues))",
        "count = len([t for t in range(n, 200000, m) if t % 2 == 0])",
        "from sympy import mod_inverse\ninverse = mod_inverse(int(n) + 1, 10007)",
        "print(int(n), count, inverse * {k} % 10007)",
    ],
    "eigenvalues": [
        "from sympy import *\nA = Matrix([[2, -1, 0], [-1, {k} + 2, -1], [0, -1, 2]])",
        "lam = symbols('lam')\nchar = A.charpoly(lam).as_expr()",
        "values = A.eigenvals()\ntrace = sum(v * m for v, m in values.items())",
        "inverse = A.inv()\npower = A**5",
        "print(simplify(trace), A.det(), inverse[0, 0], power[1, 1], factor(char))",
    ],
    "linear system": [
        "from sympy import *\nx, y, z = symbols('x y z')",
        "eqs = [Eq(x + y + z, 6 + {k}), Eq(2*x - y + z, 3), Eq(x + 2*y - 3*z, {k} - 4)]",
        "sol = solve(eqs, [x, y, z], dict=True)[0]",
        "check = [simplify(e.lhs.subs(sol) - e.rhs) for e in eqs]\nassert check == [0, 0, 0]",
        "print(sol[x] * sol[y] * sol[z], sol[x] + {k})",
    ],
    "circle and line": [
        "from sympy import *\nx, y = symbols('x y', real=True)",
        "meet = solve([x**2 + y**2 - (25 + {k}), y - 2*x - 1], [x, y])",
        "(a, b), (c, d) = meet\nchord = sqrt((a - c)**2 + (b - d)**2)",
        "chord = simplify(chord)\nmid = ((a + c)/2, (b + d)/2)",
        "area = simplify(chord * sqrt(mid[0]**2 + mid[1]**2) / 2)\nprint(chord, area)",
    ],
    "integral": [
        "from sympy import *\nx = symbols('x', real=True)\nf = x**2 * exp(-x / {k})",
        "F = integrate(f, x)\nd = simplify(diff(F, x) - f)",
        "area = integrate(f, (x, 0, {k}))\nwhole = integrate(x * cos(x)**2, (x, 0, pi))",
        "mean = simplify(area / {k})",
        "print(simplify(area), whole, N(mean, 8), d)",
    ],
    "trigonometry": [
        "from sympy import *\nt = symbols('t', real=True)\ne = sin(t)**4 + cos(t)**4 + {k}",
        "e2 = trigsimp(e)\nlow = e2.subs(t, pi/4)",
        "angles = solveset(2*sin(t)**2 - sin(t) - 1, t, Interval(0, 2*pi))",
        "exact = [simplify(cos(a) + {k}) for a in angles]",
        "print(low, sorted(exact, key=N), cos(pi/12).rewrite(sqrt))",
    ],
    "triangle": [
        "from sympy import *\nA, B, C = Point(0, 0), Point(13 + {k}, 0), Point(5, 12)",
        "T = Triangle(A, B, C)\narea = T.area",
        "R = T.circumradius\nr = T.inradius",
        "I = T.incenter\nH = T.orthocenter",
        "print(area, radsimp(R), N(r, 6), H.distance(T.circumcenter))",
    ],
    "inequality": [
        "from sympy import *\nx = symbols('x', real=True)\nexpr = (x - {k})*(x + 3)/(x - 12)",
        "region = solve_univariate_inequality(expr <= 0, x, relational=False)",
        "whole = [n for n in range(-50, 51) if n != 12 and expr.subs(x, n) <= 0]",
        "second = reduce_inequalities([x**2 - 5*x < 6, x > {k} - 3], x)",
        "print(region, len(whole), second)",
    ],
    "recurrence": [
        "from sympy import *\nn = symbols('n', integer=True)\na = Function('a')",
        "closed = rsolve(a(n + 2) - 5*a(n + 1) + 6*a(n), a(n), {{a(0): {k}, a(1): 2*{k} + 1}})",
        "terms = [simplify(closed.subs(n, i)) for i in range(8)]",
        "direct = [{k}, 2*{k} + 1]\nwhile len(direct) < 30:\n    direct.append(5*direct[-1] - 6*direct[-2])",
        "assert terms == direct[:8]\nprint(closed, direct[-1] % 1000)",
    ],
    "complex roots": [
        "from sympy import *\nz = symbols('z')\nrts = solve(z**4 + {k}*z**2 + 1, z)",
        "sizes = [simplify(Abs(r)) for r in rts]",
        "product_ = simplify(prod(rts))",
        "w = expand((1 + I*sqrt(3))**({k} + 4))\nangle = arg(w)",
        "print(product_, sum(sizes).evalf(6), re(w), angle)",
    ],
    "polynomial gcd": [
        "from sympy import *\nx = symbols('x')\np = expand((x - 1)*(x + 2)*(x**2 + {k}*x + 1))\n"
        "q = expand((x + 2)*(x**3 - {k}))",
        "g = gcd(p, q)\nh = lcm(p, q)",
        "quotient, remainder = div(Poly(p, x), Poly(q, x))",
        "parts = apart(p / q, x)\nres = resultant(p, q + 1, x)",
        "print(g, factor(h), remainder.as_expr(), res)",
    ],
    "optimisation": [
        "from sympy import *\nr, h = symbols('r h', positive=True)\nV = 100 * {k}",
        "height = solve(Eq(pi * r**2 * h, V), h)[0]\nS_ = 2*pi*r**2 + 2*pi*r*height",
        "best = [c for c in solve(diff(S_, r), r) if c.is_real]",
        "least = simplify(S_.subs(r, best[0]))",
        "print(N(best[0], 6), N(least, 6), diff(S_, r, 2).subs(r, best[0]) > 0)",
    ],
    "divisor sums": [
        "from sympy import divisors, totient, factorint, primerange, divisor_sigma\nn = 5040 + 12*{k}",
        "f = factorint(n)\ntau = 1\nfor e in f.values():\n    tau *= e + 1",
        "perfect = [m for m in range(2, 600) if sum(divisors(m)) == 2*m]",
        "goldbach = sum(1 for p in primerange(2, 500) if (1000 + 2*{k} - p) in set(primerange(2, 2000)))",
        "print(tau, totient(n), divisor_sigma(n), perfect, goldbach)",
    ],
    "series": [
        "from sympy import *\nk, n = symbols('k n', integer=True, positive=True)",
        "s = factor(summation(k**3 + {k}*k, (k, 1, n)))",
        "g = summation(Rational(1, {k} + 2)**k, (k, 0, oo))\nt = Sum(1/(k*(k + {k})), (k, 1, oo)).doit()",
        "x = symbols('x')\nser = series(log(1 + x) * exp({k}*x), x, 0, 6).removeO()\n"
        "lim = limit((1 + {k}/x)**x, x, oo)",
        "print(s.subs(n, 50), g, t, ser.coeff(x, 4), lim)",
    ],
    "expected value": [
        "from sympy import *\nE = symbols('E0:5')",
        "eqs = [Eq(E[i], 1 + Rational(1, {k} + 1)*E[min(i + 1, 4)] + Rational({k}, {k} + 1)*E[0]) for i in range(4)]",
        "sol = solve(eqs + [Eq(E[4], 0)], E)\nexpected = sol[E[0]]",
        "p = binomial(10, 4) * Rational(1, {k} + 2)**4 * (1 - Rational(1, {k} + 2))**6",
        "print(expected, p, N(p, 5))",
    ],
    "functions": [
        "from sympy import *\nx, y = symbols('x y')\nf = ({k}*x + 3)/(x - 2)",
        "inverse = solve(Eq(y, f), x)[0]\ntwice = simplify(f.subs(x, f))",
        "fixed = solve(Eq(f, x), x)\npole = limit(f, x, oo)",
        "tangent = simplify(f.subs(x, 5) + diff(f, x).subs(x, 5)*(x - 5))",
        "print(inverse, twice, [radsimp(v) for v in fixed], pole, tangent)",
    ],
    "logarithms": [
        "from sympy import *\nx = symbols('x', positive=True)\neq = Eq(log(x, 2) + log(x + {k}, 2), 5)",
        "sols = solve(eq, x)",
        "checks = [abs(N(eq.lhs.subs(x, s) - 5)) < 1e-9 for s in sols]",
        "y = symbols('y')\nexpo = solve(4**y - {k}*2**y - 32, y)",
        "print(sols, checks, [N(v, 5) for v in expo])",
    ],
    "binomial theorem": [
        "from sympy import *\nx, y = symbols('x y')\np = expand((2*x - {k}*y)**7)",
        "c = p.coeff(x, 4).coeff(y, 3)",
        "total = p.subs({{x: 1, y: 1}})\nconstant = expand((x**2 + {k}/x)**6).coeff(x, 0)",
        "odd = sum(binomial(12, i) for i in range(1, 13, 2))",
        "print(c, total, constant, odd + {k})",
    ],
    "null space": [
        "from sympy import *\nA = Matrix([[1, 2, 3, {k}], [2, 4, 6, 2*{k}], [1, 0, 1, 1]])",
        "R, pivots = A.rref()",
        "kernel = A.nullspace()\nrank = A.rank()",
        "B = Matrix([[1, {k}], [0, 1]])**10 * Matrix([1, 1])",
        "print(rank, pivots, kernel[0].T, B.T)",
    ],
    "parabola": [
        "from sympy import *\nx, k = symbols('x k', real=True)\nf = x**2 - {k}*x + 7",
        "vertex = solve(diff(f, x), x)[0]\nlow = f.subs(x, vertex)",
        "tangent = solve(discriminant(f - (2*x + k), x), k)",
        "cut = solve(f - (x + 9), x)\nlength = simplify(sqrt(2) * Abs(cut[0] - cut[1]))",
        "print(vertex, low, tangent, radsimp(length))",
    ],
    "arithmetic sequence": [
        "from sympy import *\na, d, i, n = symbols('a d i n')\nterm = lambda j: a + (j - 1)*d",
        "sol = solve([Eq(term(5), 12 + {k}), Eq(term(12), 47)], [a, d])",
        "total = summation(sol[a] + (i - 1)*sol[d], (i, 1, n))",
        "when = solve(expand(total) - 500, n)",
        "print(sol, factor(total), [N(r, 4) for r in when])",
    ],
}

PLAIN: dict[str, list[str]] = {
    "permutations": [
        "from itertools import permutations\nletters = 'ABCDEF'\nwords = list(permutations(letters))",
        "apart = [w for w in words if abs(w.index('A') - w.index('B')) > {k} % 3 + 1]",
        "fixed = sum(1 for w in words if all(c != letters[i] for i, c in enumerate(w)))",
        "from math import factorial\nratio = len(apart) / factorial(6)",
        "print(len(apart), fixed + {k}, round(ratio, 4))",
    ],
    "dice": [
        "from fractions import Fraction\ndef add(table, sides):\n    out = {{}}\n    for total, ways in table.items():"
        "\n        for face in range(1, sides + 1):\n            out[total + face] = out.get(total + face, 0) + ways\n"
        "    return out\ntable = {{0: 1}}",
        "for _ in range(5 + {k} % 3):\n    table = add(table, 6)",
        "total = sum(table.values())\nmost = max(table, key=table.get)",
        "even = Fraction(sum(w for t, w in table.items() if t % 2 == 0), total)",
        "tail = Fraction(sum(w for t, w in table.items() if t > 20 + {k}), total)\nprint(most, even, tail)",
    ],
    "numpy grid": [
        "import numpy as np\nv = np.arange(1, 60 + {k})\nm = np.outer(v, v) % 7",
        "u, c = np.unique(m, return_counts=True)",
        "g = np.array([[x * x + y * y for x in range(80)] for y in range(80)])\nhits = int((g <= 900 + {k}).sum())",
        "walk = np.linalg.matrix_power(np.array([[0.5, 0.5], [0.25, 0.75]]), 20)",
        "print(u[np.argmax(c)], hits, walk.round(4).tolist())",
    ],
    "pythagorean triples": [
        "from math import gcd, isqrt\nlimit = 300 + {k}",
        "triples = []\nfor a in range(1, limit):\n    for b in range(a, limit):\n        c2 = a*a + b*b\n"
        "        c = isqrt(c2)\n        if c > limit: break\n        if c*c == c2: triples.append((a, b, c))",
        "primitive = [t for t in triples if gcd(t[0], t[1]) == 1]",
        "perimeters = {{}}\nfor t in triples:\n    perimeters[sum(t)] = perimeters.get(sum(t), 0) + 1",
        "print(len(triples), len(primitive), max(perimeters, key=perimeters.get))",
    ],
    "digits": [
        "total = 0\nfor n in range(1, 20000):\n    if sum(int(c) for c in str(n)) == 10 + {k} % 7:\n        total += 1",
        "palindromes = [n for n in range(1, 20000) if str(n) == str(n)[::-1]]",
        "power = pow(7, 12345 + {k}, 10**6)",
        "def base(n, b):\n    out = ''\n    while n:\n        out, n = str(n % b) + out, n // b\n    return out",
        "print(total, len(palindromes), power, base(2024 + {k}, 6))",
    ],
    "partitions": [
        "from functools import lru_cache\n@lru_cache(None)\ndef ways(n, big):\n    if n == 0: return 1\n"
        "    if n < 0 or big == 0: return 0\n    return ways(n - big, big) + ways(n, big - 1)",
        "w = ways(60 + {k}, 60)\ncoins = [1, 5, 10, 25, 50]",
        "table = [1] + [0] * 500\nfor c in coins:\n    for t in range(c, 501):\n        table[t] += table[t - c]",
        "from math import comb\ncatalan = comb(2*(10 + {k}), 10 + {k}) // (11 + {k})",
        "print(w, table[100 + {k}], catalan)",
    ],
}


def trees(trajectories: list[list[str]], depth: int) -> list[Tree]:
    """One tree a trajectory: `depth` steps, its own and those of the trajectories that follow it."""
    made = []
    for at in range(len(trajectories)):
        chain = [trajectories[(at + extra) % len(trajectories)] for extra in range(depth // 5)]
        steps = [step for trajectory in chain for step in trajectory]
        made.append([[f"{step.format(k=k + 1)}\n_k = {k}" for k in range(WIDTH)] for step in steps])
    return made


def chosen(number: int) -> int:
    """Which candidate is built upon."""
    return number % WIDTH


def prefixes(tree: Tree, number: int) -> list[list[str]]:
    """Every node of a tree, as the list of its path's codes."""
    path = [level[chosen(number)] for level in tree]
    return [[*path[:depth], code] for depth, level in enumerate(tree) for code in level]


def cpu_s() -> float:
    """User and system seconds of this process and of every child that has ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


@dataclass
class Cost:
    """Of one way: CPU seconds and seconds beyond start-up over `nodes` executed nodes."""

    nodes: int
    cpu_s: float
    clock_s: float
    broker_s: float = 0.0
    fork_s: float = 0.0
    snapshot_mb: float = 0.0

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds per node."""
        return 1e3 * self.cpu_s / self.nodes

    def figures(self) -> dict[str, float]:
        """What the table and the JSON line show."""
        return {
            "cpu_ms": self.cpu_ms,
            "per_cpu_s": self.nodes / self.cpu_s,
            "per_s": self.nodes / self.clock_s,
            "broker_ms": 1e3 * self.broker_s / self.nodes,
            "fork_ms": 1e3 * self.fork_s / self.nodes,
            "snapshot_mb": self.snapshot_mb,
            "nodes": self.nodes,
        }


async def _grow_one(sandbox: Sandbox, number: int, tree: Tree) -> int:
    """Run every node of one tree; how many there were."""
    parent, nodes = ROOT_STATE, 0
    for level in tree:
        results = await sandbox.run_many(parent, level, group=str(number))
        for code, result in zip(level, results, strict=True):
            if not result.ok:
                raise SystemExit(f"a step of tree {number} failed: {result}\n{code}")
        nodes += len(results)
        parent = results[chosen(number)].state or ""
    return nodes


async def _grow(config: SandboxConfig, forest: list[Tree]) -> Cost:
    cpu, clock, nodes, memory = cpu_s(), time.monotonic(), 0, []
    async with Sandbox(config) as sandbox:
        for number, tree in enumerate(forest):
            nodes += await _grow_one(sandbox, number, tree)
            if number % 8 == 0:
                memory.append(snapshot_mb(sandbox))
            await sandbox.release(str(number))
        stats = sandbox.stats()
    found = [megabytes for megabytes in memory if megabytes is not None]
    mean = sum(found) / len(found) if found else 0.0
    return Cost(nodes, cpu_s() - cpu, time.monotonic() - clock, stats.broker_cpu_s, stats.fork_s, mean)


def snapshot_mb(sandbox: Sandbox) -> float | None:
    """Megabytes that a live state adds: its share of memory and its page tables; None where the kernel hides them."""
    nodes = [pid for link in sandbox._links for pid in _children(link.pid or 0)]
    try:
        shares = [_kilobytes(pid, "smaps_rollup", "Pss") + _kilobytes(pid, "status", "VmPTE") for pid in sorted(nodes)]
        roots = [_kilobytes(min(nodes), "smaps_rollup", "Rss")]
    except OSError:  # hidden from an ordinary user, or just gone
        return None
    live = len(nodes) - len(roots)
    return (sum(shares) - sum(roots)) / live / 1024 if live > 0 else None


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kilobytes(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def grown(config: SandboxConfig, forest: list[Tree]) -> Cost:
    """The sandbox's cost, less that of starting and stopping it."""
    nothing = asyncio.run(_grow(config, []))
    cost = asyncio.run(_grow(config, forest))
    cost.cpu_s -= nothing.cpu_s
    cost.clock_s -= nothing.clock_s
    cost.broker_s -= nothing.broker_s
    return cost


def fresh(forest: list[Tree]) -> Cost:
    """A new interpreter for each node of the chosen path (the other candidates cost the same)."""
    cpu, clock, nodes = cpu_s(), time.monotonic(), 0
    for number, tree in enumerate(forest):
        path = [level[chosen(number)] for level in tree]
        for depth in range(len(path)):
            command = [interpreter(CONFIG).executable, "-c", "\n".join(path[: depth + 1])]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            nodes += 1
    return Cost(nodes, cpu_s() - cpu, time.monotonic() - clock)


WARM = """
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
from rstar.sandbox.warm import warm_up
done, quiet = sys.stdout, io.StringIO()
with contextlib.redirect_stdout(quiet):
    warm_up(tuple(json.loads(sys.argv[2])))
print("ready", file=done, flush=True)
for line in sys.stdin:
    for codes in json.loads(line):
        space = {}
        with contextlib.redirect_stdout(io.StringIO()):
            for code in codes:
                exec(code, space)
    print("done", file=done, flush=True)
"""


class Warm:
    """One warm process, each node's whole prefix, nothing between one node and the next."""

    def __init__(self) -> None:
        command = [str(interpreter(CONFIG).executable), "-c", WARM, str(ROOT), json.dumps(CONFIG.preload)]
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # as in the sandbox
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | threads)
        self._hear("ready")
        self.nodes, self.cpu_s, self.clock_s = 0, 0.0, 0.0

    def run(self, nodes: list[list[str]]) -> float:
        """Run these; the CPU seconds that they took."""
        assert self.process.stdin is not None
        cpu, clock = cpu_clock(self.process.pid), time.monotonic()
        self.process.stdin.write(json.dumps(nodes) + "\n")
        self.process.stdin.flush()
        self._hear("done")
        cpu = cpu_clock(self.process.pid) - cpu
        self.nodes, self.cpu_s = self.nodes + len(nodes), self.cpu_s + cpu
        self.clock_s += time.monotonic() - clock
        return cpu

    def _hear(self, word: str) -> None:
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != word:
            raise SystemExit("the warm process failed: its error is above")

    def end(self) -> Cost:
        """Stop; what it cost in all."""
        self.process.communicate()
        return Cost(self.nodes, self.cpu_s, self.clock_s)


async def _duel(config: SandboxConfig, forest: list[Tree]) -> tuple[Cost, Cost, list[float]]:
    other, ratios, megabytes = Warm(), [], []
    ours = Cost(0, 0.0, 0.0)
    async with Sandbox(config) as sandbox:
        (link,) = sandbox._links
        assert link.pid is not None
        zygote = min(_children(link.pid))
        for number, tree in enumerate(forest):
            nodes = prefixes(tree, number)
            theirs = other.run(nodes) if number % 2 else 0.0
            cpu, clock = _spent(link.pid, zygote), time.monotonic()
            await _grow_one(sandbox, number, tree)
            ours.clock_s += time.monotonic() - clock
            if number % 8 == 0:
                megabytes.append(snapshot_mb(sandbox) or 0.0)
            await sandbox.release(str(number))
            while len(_children(link.pid)) > 1:
                await asyncio.sleep(0.002)
            cpu = _spent(link.pid, zygote) - cpu
            ours.nodes, ours.cpu_s = ours.nodes + len(nodes), ours.cpu_s + cpu
            ratios.append(cpu / (theirs or other.run(nodes)))
        stats = sandbox.stats()
    ours.broker_s, ours.fork_s, ours.snapshot_mb = stats.broker_cpu_s, stats.fork_s, statistics.fmean(megabytes)
    return ours, other.end(), ratios


def duel(config: SandboxConfig, forest: list[Tree]) -> tuple[Cost, Cost, list[float]]:
    """Ours and warm in turns, start-up left out: both costs, and ours by warm for each tree."""
    return asyncio.run(_duel(config, forest))


def _spent(broker: int, zygote: int) -> float:
    """CPU seconds so far: of this process, of the broker, of its zygote, and of all nodes that have ended."""
    ended = Path(f"/proc/{broker}/stat").read_text().rpartition(")")[2].split()[13:15]
    ticks = sum(map(int, ended)) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + cpu_clock(broker) + cpu_clock(zygote) + ticks


@contextmanager
def one_core() -> Iterator[None]:
    """What starts meanwhile stays on one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every fourth trajectory only: a look, not a measurement")
    parser.add_argument("--python", type=Path, help="the interpreter of every way")
    options = parser.parse_args()
    global CONFIG
    if options.python:
        CONFIG = CONFIG.model_copy(update={"python": options.python})
    print(f"Python {interpreter(CONFIG).version}")
    sympy = list(TRAJECTORIES.values())[:: 4 if options.quick else 1]
    mix, plain = trees(sympy, 5), trees(list(PLAIN.values()), 5)
    with one_core():
        ours, warm, ratios = duel(CONFIG, mix)
        ours_15, warm_15, _ = duel(CONFIG, trees(sympy, 15))
        ours_plain, warm_plain, _ = duel(CONFIG, plain)
        ways = {
            "fresh interpreter, whole prefix": fresh(mix),
            "fork, replay of the prefix": grown(CONFIG.model_copy(update={"keep": "never"}), mix),
            "warm exec, no isolation": warm,
            "ours, every layer": ours,
            "ours, unsafe": grown(CONFIG.model_copy(update={"isolation": "unsafe"}), mix),
            "ours, depth 10": grown(CONFIG, trees(sympy, 10)),
            "ours, depth 15": ours_15,
            "warm exec, depth 15": warm_15,
            "warm exec, plain Python": warm_plain,
            "ours, plain Python": ours_plain,
            "ours, empty step": grown(CONFIG, [[[f"x = {k}" for k in range(WIDTH)]] * 5] * len(sympy)),
        }
    ways["ours, all cores"] = grown(CONFIG.model_copy(update={"concurrency": None}), mix)
    figures = {name: cost.figures() for name, cost in ways.items()}
    table = Table("way", "CPU ms/node", "nodes/CPU-s", "nodes/s", "broker ms", "fork ms", "MB/snapshot", "nodes")
    for name, row in figures.items():
        shown = [f"{row[key]:.2f}" if row[key] else "" for key in ("broker_ms", "fork_ms", "snapshot_mb")]
        table.add_row(name, f"{row['cpu_ms']:.2f}", f"{row['per_cpu_s']:.0f}", f"{row['per_s']:.0f}", *shown,
                      f"{row['nodes']:.0f}")  # fmt: skip
    Console(width=120).print(table)
    bars = {
        "times_less_than_fresh": ways["fresh interpreter, whole prefix"].cpu_ms / ours.cpu_ms,
        "against_warm": ours.cpu_ms / warm.cpu_ms,
        "depth_15_against_5": ours_15.cpu_ms / ours.cpu_ms,
    }
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"against_warm by tree: median {middle:.2f}, quartiles {low:.2f} and {high:.2f}")
    ok = (
        bars["times_less_than_fresh"] >= TIMES_FRESH
        and bars["against_warm"] <= 1
        and bars["depth_15_against_5"] <= DEPTH_SLACK
    )
    for name, value in bars.items():
        print(f"{name}: {value:.2f}")
    rounded = {name: {key: round(value, 3) for key, value in row.items()} for name, row in figures.items()}
    print(
        json.dumps(
            {"name": "sandbox", "ok": ok, "python": interpreter(CONFIG).version, "figures": bars | {"ways": rounded}}
        )
    )


if __name__ == "__main__":
    main()
