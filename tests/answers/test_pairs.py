"""Pairs of both labels by kind, with what the verdict must be."""

import pytest

from rstar.answers import compare
from rstar.core.verdict import Verdict

EQUAL = {
    "numbers": [
        ("7", "7.0"), ("7", "+7"), ("12000", "12,000"), ("12000", r"12\,000"), ("12000", "12{,}000"),
        ("12000", "12 000"), ("0.25", ".25"), ("0.25", "1/4"), ("17", "seventeen"),
        ("321", "three hundred and twenty-one"), ("1e3", "1000"), (r"6.02\times10^{23}", "6.02e23"),
        (r"\frac{2}{3}", r"0.\overline{6}"), (r"\frac{1}{7}", "0.14285714285714285"), (r"4\frac{1}{5}", "4.2"),
        ("4 1/5", r"\frac{21}{5}"), ("-3½", "-3.5"), ("１２", "12"), (r"2^{10}", "1024"), ("2/3", "two-thirds"),
        ("2.5", "two and a half"), ("1/6", "one sixth"), ("1/3", "0.(3)"), ("4.5e6", "4.5 x 10^6"),
        ("10^{-12}", "10⁻¹²"),
        (r"\infty", r"\text{infinity}"), ("2024", r"\frac{2024!}{2023!}"), (r"\frac{9}{4}", r"\textbf{\frac{9}{4}}"),
        ("1008016", r"\color{blue}{1,008,016}"), ("5", r"\therefore 5"), ("5", r"5 \quad\blacksquare"),
    ],
    "expressions": [
        (r"3\sqrt{2}", r"\sqrt{18}"), (r"\frac{1}{\sqrt{5}}", r"\frac{\sqrt5}{5}"), ("x^2-9", "(x-3)(x+3)"),
        ("x**2 - 9", "x^2-9"), (r"\cos 2x", r"1-2\sin^2 x"), (r"\log_2 32", "5"), (r"\ln e^3", "3"), ("5!", "120"),
        (r"\binom{6}{2}", "15"), (r"\sum_{k=1}^{4} k^2", "30"), (r"e^{i\pi}", "-1"), (r"\sqrt[3]{-27}", "-3"),
        ("2+5i", "5i+2"), ("2+5i", "(2+5j)"), ("2 + 5*I", "2+5i"), (r"\frac{\pi}{4}", "pi/4"), ("2√7", r"2\sqrt{7}"),
        (r"\sin 30^\circ", r"\frac{1}{2}"), ("|-4|", "4"), (r"\lfloor 2.7 \rfloor", "2"),
        (r"\frac{n(n+1)}{2}", r"\binom{n+1}{2}"), (r"\binom{8}{3}", r"\frac{8!}{3!5!}"), ("x^{23}", "x²³"),
        ("a_n", "aₙ"),
        (r"\arctan\frac12", r"\text{arctan}(1/2)"), ("0.5(a+b)", r"\frac{a+b}{2}"), (r"\ln 2", "log(2)"),
        (r"\frac{\log 5}{\log 2}", r"\log_2 5"), (r"\log 2", "log(2)"), (r"\sqrt{5}", "sqrt 5"), (r"\pm i", "i and -i"),
        (r"\sqrt{(x-30000)^2}", "|x-30000|"), (r"\sqrt{x}", "sqrt(x)"), (r"\ln\ln x", "log(log(x))"), ("x-3", "x + -3"),
        (r"2^{\ln 1}+\sqrt{\ln 1}", "1"),
    ],
    "units": [
        (r"8\text{ cm}", "8"), (r"8\text{ cm}", "8 centimeters"), (r"8\text{ m}^2", "8 square meters"),
        (r"\$3.50", "3.5"), ("8 kg", r"8\,\mathrm{kg}"), (r"70\%", "0.7"), (r"70\%", "70"), (r"70\%", "70 percent"),
        (r"45^\circ", "45"), (r"45^\circ", "45 degrees"), ("3 million", "3000000"), ("12 apples", "12"),
        ("50 mph", "50 miles per hour"), ("5元", "5"), (r"36\text{ m}^2", r"36\,\mathrm{m}^2"),
        (r"36\text{ m}^2", "36 m^2"), (r"36\text{ m}^2", "36 sq m"), (r"9.8\text{ m/s}^2", "9.8 m/s²"),
        (r"45\text{ minutes}", "forty-five minutes"), (r"45\text{ min}", r"45\,\mathrm{min}"),
        (r"\$42.50", "USD 42.50"),
        (r"\$1{,}250", "1,250 dollars"), (r"36,000\text{ cm}^2", "36000"), ("12", r"12\ \rm cm"),
        ("7 m^2", "7 meters squared"),
        (r"\frac{\pi}{3}", "pi/3 rad"), (r"37\%", "37 per cent"),
        (r"\text{12 hours and 30 minutes}", "12 hours and 30 minutes"),
    ],
    "collections": [
        ("2, 7", "7, 2"), ("2, 7", r"\{7, 2\}"), ("2, 7", "2 and 7"), ("2, 7", "x=2 or x=7"), ("2, 7", "[7, 2]"),
        (r"3\pm\sqrt{2}", r"3-\sqrt2, 3+\sqrt2"), ("(1, 2)", r"\left(1,2\right)"), ("(1,2),(3,4)", "[(3, 4), (1, 2)]"),
        ("x=1, y=2", "(1, 2)"), ("(x,y)=(1,2)", "y=2, x=1"), ("x=4", "{x: 4}"), (r"\{1,1,2\}", r"\{1,2\}"),
        (r"\begin{pmatrix}1&0\\0&2\end{pmatrix}", "Matrix([[1, 0], [0, 2]])"), (r"\emptyset", r"\text{no solution}"),
        (r"\begin{pmatrix}1&0\\0&2\end{pmatrix}", r"A = \left[\begin{matrix}1&0\\[4pt]0&2\end{matrix}\right]"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "[[1], [2]]"), ("(1,2),(3,4)", "$(3,4)$ and $(1,2)$"),
        ("(1, 2)", "y=2, x=1"),
        ("(1,2),(3,4)", "x=1,y=2 or x=3,y=4"), ("(1,2),(3,4)", "(3,4),(1,2),(3,4)"), ("1, 2", "x_1=2, x_2=1"),
        ("-1, 0, 1", r"x=0, x=\pm1"), (r"\pm 3", "+/-3"), ("(2,-3)", r"\begin{cases}x&=2\\y&=-3\end{cases}"),
        (r"\text{no real solutions}", "There are no real solutions."),
    ],
    "sets": [
        (r"(-\infty,4]", r"x\le4"), ("x>3", "3<x"), ("x>3", r"-2x<-6"), (r"(-1,1)", "|x|<1"),
        (r"[0,1]\cup[1,2]", "[0,2]"), (r"x<0\text{ or }x>1", r"(-\infty,0)\cup(1,\infty)"),
        (r"\mathbb{R}\setminus\{0\}", r"x\ne0"), ("(2, 3)", "2<x<3"), (r"(-2,2)", "x^2<4"),
        ("[1,4)", "Interval.Ropen(1, 4)"), ("a<b<c", "c>b>a"), (r"\mathbb{R}", r"(-\infty,\infty)"),
        (r"\mathbb{R}", r"\mathbf{R}"), (r"x\ne\pm1", r"x \neq 1, -1"), (r"x\ne\pm1", r"\mathbb{R}\setminus\{-1,1\}"),
        (r"\{5\}", r"x\in\{5\}"), (r"(-\infty,1)\cup(3,\infty)", "(-oo, 1) U (3, oo)"),
        (r"(-\infty,1)\cup(3,\infty)", r"(-\infty,1)\text{ or }(3,\infty)"), (r"x\ne0", r"x\in\mathbb{R}, x\ne 0"),
    ],
    "equations": [
        ("x=5", "5"), ("2x+3y=6", "4x+6y=12"), ("y=2x-1", "2x-y=1"), ("x^2+y^2=4", "4-x^2-y^2=0"), ("f(x)=3x", "3x"),
        ("f(x)=3x", "y=3x"), ("n = 2+2 = 4", "4"), ("y=2x+1", r"x=\frac{y-1}{2}"), ("f(x)=x-1", "x-1=f(x)"),
        ("7", "|AB|=7"), ("|AB|=7", r"\overline{AB}=7"), ("7", "Area = 7"), ("7", r"\text{Total cost}=7"),
        ("7", r"\lambda=7"),
        ("1/4", "P(X=1)=1/4"), (r"f^{-1}(x)=\frac{x}{2}", "x/2"),
    ],
    "others": [
        (r"\text{(B)}", "B"), ("B", "(B) 12"), ("ABD", "A, B, D"), ("yes", r"\text{Yes}"), ("True", "yes"),
        ("9:30 a.m.", "9:30 AM"), ("9:30 p.m.", "21:30"), ("2:3", "4:6"), ("101_2", r"101_{two}"),
        (r"\text{Tuesday}", "tuesday"), ("B", "Option B"), ("B", "the correct option is (B)."),
        (r"(B)\frac{1}{9}", r"(B) \frac19"),
        ("3:5", "3 to 5"), ("2112_3", "2112 (base 3)"), (r"\text{10:30 a.m.}", "10:30 am"),
        ("7:45 am", r"7{:}45\text{ a.m.}"),
        (r"\text{March } 15", "March 15"), ("II and III", r"\text{II, III}"), (r"\text{an ellipse}", "ellipse"),
        (r"1, 2, \ldots, n", r"1,2,\ldots,n"), ("9^{9^{9^9}}", "9^{9^{9^{9}}}"),
    ],
}  # fmt: skip

UNEQUAL = {
    "numbers": [
        ("7", "-7"), ("7", "70"), (r"\frac{1}{3}", "0.333333"), (r"\pi", "3.14159"), (r"\pi", r"\frac{22}{7}"),
        ("1000003", "1000004"), ("10,080", "10, 80"), (r"2\frac{1}{2}", r"\frac{2}{2}"), ("3 1/2", "31/2"),
        (r"\frac{1}{30!}", r"\frac{1}{31!}"), ("10^{100}+1", "10^{100}"), ("75", "0.75"), ("5", "fifty"),
        ("5", "2^{2^{2^{2^{2^2}}}}"), ("2", "(10^9)!"), ("3.5", "3. 5"), ("5", "-five"), ("2", "two-thirds"),
        ("5", "fifth"),
        ("0", "0.(3)"), ("1.74", "0.58(3)"), ("1/3", "0.3333333334"), ("2/3", "0.66666666660"), ("0", "0xff"),
        ("51/9", "5⅑"),
        ("5", "~5"), ("5", '5"'), ("5.7", "int(5.7)"), ("5", "S(5)"), ("0.3", "0.3 repeating"), ("2009", "2020-05-06"),
        ("2020-05-06", "2020-06-05"), ("-2", r"\boxed{2}"), ("2", r"$x=-\boxed{2}$"),
        ("5", "Final answer: it cannot be 5"),
        ("5", "$5$!"),
    ],
    "expressions": [
        ("x^2-9", "x^2+9"), ("x", "y"), ("N", "n"), (r"\frac{a}{b+c}", r"\frac{a}{b}+c"), ("e^{x+1}", "e^x+1"),
        ("2x", "2"), (r"\sqrt{x^2}", "x"), ("|x|", "x"), ("2+5i", "2-5i"), ("AB", "BA"), (r"\sin x", r"\cos x"),
        (r"\overline{AB}", "AB"), (r"\frac{dy}{dx}", r"\frac{y}{x}"), ("x_1", "x_2"), ("f(2)", "2f"),
        (r"\sin 2x", r"\sin(2)x"), ("a^{mn}", "a^mn"), (r"\sqrt{10^{20}+1}", r"\sqrt{10^{20}+2}"),
        (r"\lfloor x\rfloor", "x"), (r"\sum_{k=1}^{3} a_k", "3a_k"), ("2n", "2ⁿ"), ("an", "aₙ"), ("x^8", "x²³"),
        (r"\ln 5", r"\log 5"), ("2", r"\log 100"), ("|x-20000|", "20000-x"), (r"\ln|x|", r"\ln x"), ("PQ", "pq"),
        ("f^{(2)}(x)", "f^2(x)"), ("0", "0x"), (r"\vec a\cdot\vec b", r"\vec a\times\vec b"), ("x^8", "x^{2}^{3}"),
    ],
    "units": [
        (r"8\text{ cm}", r"8\text{ m}"), (r"8\text{ cm}", r"8\text{ cm}^2"), ("8 hours", "8 minutes"),
        (r"70\%", "7000"), ("5 or 6", "5"), ("5", "5 less than x"), ("5", "5th"), ("3", "3 halves"), ("3", "3 dozen"),
        ("12", "12ab"), ("2", "2cosx"), (r"\$5", "5 cents"), ("5", r"5 \pmod 7"), ("3", "3 sevenths"),
        ("3", "3 twelfths"),
        ("5", "5 quadrillion"), ("5", "5 wrong"), ("5", "5 greater"), ("5", "5 point five"), ("5", "5 divided"),
        (r"5\text{ mg}", r"5\text{ Mg}"), (r"5\text{ g}", r"5\text{ G}"), ("5", r"5\text{ M}"),
        ("5", "five percent off"),
        (r"\frac{\pi}{3}", r"\frac{\pi}{3}^\circ"), ("5", "5 hours 30 minutes"), ("5", "5 never"), ("5", r"5\text{ y}"),
        (r"5\text{ N}", r"5\text{ J}"), (r"36\text{ m}^2", "36 m^3"),
    ],
    "collections": [
        ("2, 7", "2"), ("2, 7", "27"), ("2, 7", "2, 7, 8"), ("(1,2)", "(2,1)"), ("(1,2)", "[1,2]"), ("[1,2]", "1, 2"),
        (r"\pm 3", "3"), ("x=1, y=2", "x=2, y=1"), ("x=1, y=2", "(2,1)"), (r"\emptyset", r"\{0\}"),
        (r"\emptyset", "0"), ("1, 2, ..., 9", "1, 2, 9"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"), ("1,1,2", "1,2"),
        ("2i, -2i", "2i, -2j"), ("5, -3", "5,, -3"), ("(1,6)", r"(1,6\%)"), ("-4", "+-4"),
        (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
        ("(1,2)", "y=1, x=2"), ("(1,2,3)", "x=1, z=2, y=3"), ("x=1, y=2", "x=1 or y=2"), ("x=1 or y=2", "(1,2)"),
        (r"\{1,2\}", r"\{\{1\},\{2\}\}"), ("(p,q)=(3,2)", "(p,q)=(3,2]"), (r"x=\frac12, x=\pm3", r"y=\frac12, x=\pm3"),
        ("(1,2),(3,4)", "(3,4),(1,2),(1,4)"),
    ],
    "sets": [
        ("x>3", r"x\ge3"), ("x>3", "x<3"), ("x>3", "3"), ("(2,3)", "[2,3]"), (r"(0,\infty)", r"[0,\infty)"),
        ("x>3", "y>3"), (r"(-\infty,-1)\cup(1,\infty)", r"(-\infty,-1)\cap(1,\infty)"), (r"x\in[-2,7]", r"m\in[-2,7]"),
        (r"x\ne2", "x=2"), (r"x\ne\pm1", r"x\ne1"), (r"x\ne\pm1", r"x\ne\pm2"), ("a<b<c", "a<c<b"),
        (r"\{x\mid x\ne2\}", r"\{y\mid x\ne2\}"),
    ],
    "equations": [
        ("x+y=1", "1"), ("x^2+y^2=4", "4"), ("x=5", "2x=5"), ("y=2x-1", "2x-1"), ("x=2", "x=2,3"),
        (r"\sin x=\frac12", r"\cos x=\frac12"), ("3", r"\cot(x)=3"), ("3", r"\arcsin x=3"), ("3", "|x|=3"),
        ("8", "xyz=8"),
        ("area = 5", "perimeter = 5"), ("y=-1", "f=-1"), ("r^2+r+1=0", "r^2+r+1<0"), ("x^2<-1", "x^2<-2"),
        ("(p,q)=(3,2)", "(p,q]=(3,2)"),
    ],
    "others": [
        ("B", "C"), ("AC", "ABC"), ("B", "(B) or (C)"), ("B", "(B), (C)"), ("B", "(B) is wrong"), ("A: 5, B: 6", "A"),
        ("team A", "team"), ("yes", "y\u0336e\u0336s\u0336"), ("yes", "\u202eyes"), ("plan A", "plan B"),
        ("12:00 pm", "0:00"), ("yes", "no"), ("even", "uneven"),
        ("9:30 am", "9:30 pm"), ("2:3", "3:2"),
        ("1:0:2", "1:0:3"), ("101_2", "101_3"), ("101_2", "5"), ("5", ""), (r"\frac{5}{7}", r"\boxed{}"), ("5", "⟂⟂"),
        ("4", r"\frac{5}{}"),
    ],
    "code": [
        ("0", "__import__('os').system('true')"), ("2", "eval('2')"), ("2", "(lambda: 2)()"), ("3", "print(3)"),
        ("2", "open('/etc/hostname').read()"), ("2", r"\input{/etc/passwd}"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("gold", "candidate"), [pair for pairs in EQUAL.values() for pair in pairs])
def test_equal(gold: str, candidate: str) -> None:
    judgement = compare(gold, candidate)
    assert judgement.verdict is Verdict.EQUIVALENT, judgement
    assert judgement.rule


@pytest.mark.parametrize(("gold", "candidate"), [pair for pairs in UNEQUAL.values() for pair in pairs])
def test_unequal(gold: str, candidate: str) -> None:
    judgement = compare(gold, candidate)
    assert judgement.verdict is not Verdict.EQUIVALENT, judgement


@pytest.mark.parametrize(
    ("gold", "candidate"), [("5", "__import__('os')"), ("5", "(((10^{100})!)!)!"), ("B", "5"), ("5", "1, ..., 5")]
)
def test_undecided_is_not_called_wrong(gold: str, candidate: str) -> None:
    assert compare(gold, candidate).verdict is Verdict.UNVERIFIABLE


def test_compat_accepts_what_published_graders_do() -> None:
    assert compare(r"\frac{1}{3}", "0.33333", "compat").verdict is Verdict.EQUIVALENT
    assert compare("75", "0.75", "compat").verdict is Verdict.EQUIVALENT
    assert compare(r"\sqrt{2}", "1.41421", "compat").rule == "compat_number"
    assert compare(r"\sqrt{2}", "1.5", "compat").verdict is Verdict.DIFFERENT


def test_a_gold_and_a_candidate_may_be_responses() -> None:
    assert compare(r"thus \boxed{\frac{1}{2}}", "The answer is 0.5.").verdict is Verdict.EQUIVALENT
    assert compare("12", r"first \boxed{12}. No: \boxed{13}").verdict is Verdict.DIFFERENT


def test_an_empty_gold_decides_nothing() -> None:
    assert compare("", "").verdict is Verdict.UNVERIFIABLE
    assert compare("", "1").verdict is Verdict.UNVERIFIABLE


def test_refused_text_equals_itself_only() -> None:
    code = "__import__('os')"
    assert compare(code, code).rule == "string"
    assert compare(code, code + " ").verdict is Verdict.EQUIVALENT
    assert compare("9" * 5000, "9" * 5000).verdict is Verdict.EQUIVALENT
    assert compare("9" * 5000, "9" * 5001).verdict is not Verdict.EQUIVALENT
