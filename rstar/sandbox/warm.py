"""Imports what steps will need and touches its usual entry points once, so that every node inherits the warm caches."""

import sys

SYMPY = """
from sympy import *
x, y, z, t = symbols("x y z t")
n, k = symbols("n k", integer=True)
p = symbols("p", positive=True)
simplify((x**2 - 1)/(x - 1)); expand((x + y)**5); factor(x**4 - 5*x**2 + 4); cancel((x**2 + x)/x); apart(1/(x**2 - 1))
together(1/x + 1/y); collect(x*y + x, x); trigsimp(sin(x)**2 + cos(x)**2); radsimp(1/(1 + sqrt(2))); nsimplify(0.25)
sqrtdenest(sqrt(5 + 2*sqrt(6))); powsimp(x**2*x**3); logcombine(log(p) + log(2)); ratsimp(1/x + 1/y)
solve(x**2 - 5*x + 6, x); solve([x + y - 3, x - y - 1], [x, y]); solve([x**2 + y**2 - 25, x + y - 7], [x, y])
solve(x**3 - 2*x - 1, x); solve(sqrt(x + 1) - x + 1, x); solve(2**x - 8, x); solve(cos(x) - Rational(1, 2), x)
solve(Abs(Symbol('r', real=True) - 2) - 3); solveset(x**2 - 1, x, S.Reals); linsolve([x + y - 3, x - y - 1], x, y)
nonlinsolve([x*y - 1, x - y], [x, y]); solve_univariate_inequality(x**2 - 4 < 0, x)
reduce_inequalities([x > 1, x < 3])
diff(x**3*sin(x), x); integrate(x**2*exp(x), x); integrate(1/(x**2 + 1), (x, 0, 1)); integrate(sin(x)**2, (x, 0, pi))
limit(sin(x)/x, x, 0); series(exp(x), x, 0, 4); summation(k**2, (k, 1, n)); summation(1/2**k, (k, 0, oo))
product(k, (k, 1, 5)); Sum(1/k**2, (k, 1, oo)).doit(); roots(x**3 - 6*x**2 + 11*x - 6); Poly(x**3 - 2, x).nroots()
real_roots(x**3 - 2); resultant(x**2 - 1, x - 2, x); gcd(x**2 - 1, x - 1); lcm(12, 18); div(x**3 - 1, x - 1)
factorint(360); divisors(360); totient(36); isprime(101); primerange(2, 50); nextprime(100); prime(10)
mod_inverse(3, 7)
binomial(10, 3); factorial(10); fibonacci(10); gcd(12, 18); igcd(4, 6); primefactors(60); n_order(2, 7)
Matrix([[1, 2], [3, 4]]).det(); Matrix([[2, 1], [1, 2]]).eigenvals(); Matrix([[1, 2], [3, 4]]).inv()
Matrix([[2, 1], [1, 2]]).eigenvects(); Matrix([[1, 2], [2, 4]]).rref(); Matrix([[1, 2], [2, 4]]).nullspace()
N(pi, 20); sqrt(50); Rational(3, 4) + Rational(1, 6); (1 + I)**4; Abs(3 + 4*I); arg(1 + I); exp(I*pi); re(x)
conjugate(1 + I)
floor(Rational(7, 2)); ceiling(Rational(7, 2)); Mod(17, 5); log(8, 2); cos(pi/7).evalf(); tan(pi/12)
asin(Rational(1, 2))
Point(0, 0).distance(Point(3, 4)); Triangle(Point(0, 0), Point(4, 0), Point(0, 3)).area; Circle(Point(0, 0), 5).area
Line(Point(0, 0), Point(1, 1)).intersection(Line(Point(0, 1), Point(1, 0))); Eq(x, 2)
Piecewise((x, x > 0), (0, True))
Interval(0, 1).union(Interval(2, 3)); FiniteSet(1, 2) & FiniteSet(2, 3); sympify("x**2 + 1"); latex(x**2/2)
str(x**2 + y)
Function("f")(x).diff(x); lambdify(x, x**2)(3); Symbol("a") + 1; (x**2 + 1).subs(x, 3); pretty(x**2); Max(1, x)
Min(x, y)
minimum(x**2 + 2*x, x); maximum(-x**2, x)
rsolve(Function("a")(n + 1) - 2*Function("a")(n), Function("a")(n), {Function("a")(0): 1})
print(x + 1, Rational(1, 2), [x, y], {x: 1}); repr(x + sqrt(2)); symbols("a:d"); S(1)/3; Integer(7) % 3
minimal_polynomial(sqrt(2), x)
"""

NUMPY = """
import numpy as np
np.random.seed(0)
a = np.array([[2.0, 1.0], [1.0, 3.0]])
np.linalg.solve(a, np.array([1.0, 2.0])); np.linalg.eig(a); np.linalg.det(a); np.roots([1, -3, 2]); np.arange(5).sum()
np.linspace(0, 1, 5).mean(); repr(a); str(np.float64(1.5)); np.isclose(1.0, 1.0); np.prod([1, 2]); np.round(a, 2)
"""

PLAIN = """
import math
f = lambda k: math.gcd(k, 6)
print(f(4), 1.5, "a", [1, 2], {1: 2}, f"{3:.2f}"); sorted([3, 1]); sum(range(4)); 10**30; 7 / 3; eval("1+1")
"""

SCRIPTS = {"sympy": SYMPY, "numpy": NUMPY, "math": PLAIN}


def warm_up(modules: tuple[str, ...]) -> None:
    """Import each module (ImportError names it) and run its warm-up script, statement by statement."""
    for module in modules:
        __import__(module)
    for module in modules:
        space: dict[str, object] = {"__name__": "warm"}
        for line in SCRIPTS.get(module, "").strip().splitlines():
            try:
                exec(line, space)
            except (NotImplementedError, NameError, AttributeError, TypeError, ValueError):
                continue  # another version of the package: a colder cache, not another result
    sys.stdout.flush()
