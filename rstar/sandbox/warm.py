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
Function("f")(x).diff(x); Symbol("a") + 1; (x**2 + 1).subs(x, 3); pretty(x**2); Max(1, x)
Min(x, y)
minimum(x**2 + 2*x, x); maximum(-x**2, x)
rsolve(Function("a")(n + 1) - 2*Function("a")(n), Function("a")(n), {Function("a")(0): 1})
print(x + 1, Rational(1, 2), [x, y], {x: 1}); repr(x + sqrt(2)); symbols("a:d"); S(1)/3; Integer(7) % 3
minimal_polynomial(sqrt(2), x)
integrate(x**2*cos(x), (x, 0, pi)); integrate(x*sin(x)**2, x); integrate(exp(-x**2), (x, -oo, oo)); integrate(log(x), x)
integrate(x**2*exp(-x/2), (x, 0, 2)); integrate(1/(x**2 - 1), x); integrate(sqrt(4 - x**2), (x, 0, 2))
Integral(x, x).doit()
trigsimp(sin(x)**4 - cos(x)**4); simplify(sin(2*x)/cos(x)); expand_trig(sin(2*x)); cos(pi/12).rewrite(sqrt)
(x + 1)**2 < 4
solveset(2*sin(x)**2 - sin(x) - 1, x, Interval(0, 2*pi)); solveset(tan(x) - 1, x); solve(sin(x) + cos(x) - 1, x)
solve(z**4 + 3*z**2 + 1, z); solve(x**3 - 3*x + 1, x); solve(x**2 + x + 1, x)
[simplify(Abs(r)) for r in solve(z**4 + 4, z)]
solve(Eq(y, (2*x + 3)/(x - 2)), x); solve(log(x, 2) + log(x - 2, 2) - 3, x); solve(4**x - 2**x - 2, x)
nsolve(cos(x) - x, 1)
solve([x**2 + y**2 - 26, y - 2*x - 1], [x, y]); solve([x + y + z - 6, x - y, x*y - z], [x, y, z])
solve(x - y**2, x, dict=True)
solve_univariate_inequality((x - 1)*(x + 3)/(x - 12) <= 0, x, relational=False)
reduce_inequalities([x**2 - 5*x < 6, x > 1], x)
summation(k**3 + 2*k, (k, 1, n)); summation(1/(k*(k + 1)), (k, 1, oo)); Sum(1/(k*(k + 2)), (k, 1, oo)).doit()
factor(n**2/2 + n/2)
series(log(1 + x)*exp(x), x, 0, 5).removeO(); limit((1 + 2/x)**x, x, oo); limit((x**2 - 1)/(x - 1), x, 1)
exp(x).series(x, 0, 3)
rsolve(Function("a")(n + 2) - 5*Function("a")(n + 1) + 6*Function("a")(n), Function("a")(n))
dsolve(Function("f")(x).diff(x) - Function("f")(x)); diff(sin(x)*exp(x), x, 2); diff(x/(x + 1), x).subs(x, 2)
idiff(x**2 + y**2 - 4, y, x)
Poly(2*x**3 - 3*x**2 + 1, x).nroots(n=15); Poly(x**4 - 1).all_coeffs(); roots(2*x**3 - 3*x**2 - 22*x + 18, x)
discriminant(x**2 - 3, x)
apart((x + 1)/(x**2*(x + 2)), x); resultant(x**3 - 2, x**2 + x, x); groebner([x**2 + y, x*y - 1], x, y)
interpolate([1, 4, 9], x)
Matrix([[2, -1, 0], [-1, 3, -1], [0, -1, 2]]).eigenvals(); Matrix([[1, 2], [3, 5]])**5
Matrix([[2, 1], [1, 3]]).charpoly(x).as_expr()
Triangle(Point(0, 0), Point(14, 0), Point(5, 12)).circumradius
Triangle(Point(0, 0), Point(14, 0), Point(5, 12)).incenter
Triangle(Point(0, 0), Point(6, 0), Point(2, 5)).orthocenter
Circle(Point(0, 0), 5).intersection(Line(Point(0, 1), Point(1, 2)))
Polygon((0, 0), (4, 0), (4, 3)).perimeter; Segment(Point(0, 0), Point(3, 4)).midpoint
Ellipse(Point(0, 0), 3, 2).eccentricity
expand((1 + I*sqrt(3))**5); arg(-1 + I); abs((2 + I)/(1 - I)); re(exp(I*pi/3)); radsimp(1/(sqrt(3) + sqrt(2)))
nsimplify(0.333333, rational=True)
minimal_polynomial(1 + sqrt(3), x); sqrtdenest(sqrt(8 + 2*sqrt(7))); continued_fraction(Rational(22, 7)); N(E**2, 8)
Rational(1, 3).limit_denominator(10)
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
