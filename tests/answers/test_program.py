"""How tests are taken apart: what the program is asked, and what is claimed of it elsewhere."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.answers.program import SEEN, Suite, Test, shown, suite

Test.__test__ = False  # not one of pytest's


@pytest.mark.parametrize(
    ("line", "asked", "claim"),
    [
        ("assert f(1, [2]) == 3", ["f(1, [2])"], "assert _seen[0][0] == 3"),
        ("assert 3 == f(1)", ["f(1)"], "assert 3 == _seen[0][0]"),
        ("assert set(f(1)) == set([1, 2])", ["set(f(1))"], "assert _seen[0][0] == set([1, 2])"),
        ("assert f(1) == f(2)", ["f(1)", "f(2)"], "assert _seen[0][0] == _seen[0][1]"),
        ("assert not f(1)", ["f(1)"], "assert not _seen[0][0]"),
        ("assert f(1) and g(2) < 3", ["f(1)", "g(2)"], "assert _seen[0][0] and _seen[0][1] < 3"),
        ("assert math.isclose(f(1), 0.1)", ["f(1)"], "assert math.isclose(_seen[0][0], 0.1)"),
        ("assert isinstance(f(1), int)", ["f(1)"], "assert isinstance(_seen[0][0], int)"),
        ("assert abs(f(1) - 2) < 1e-6, 'far'", ["abs(f(1) - 2)"], "assert _seen[0][0] < 1e-06"),
        ("assert [f(x) for x in (1, 2)] == [1, 4]", ["[f(x) for x in (1, 2)]"], "assert _seen[0][0] == [1, 4]"),
        ("assert sorted(map(f, [1])) == [1]", ["sorted(map(f, [1]))"], "assert _seen[0][0] == [1]"),
        ("assert sum(10, 15) == 6", ["sum(10, 15)"], "assert _seen[0][0] == 6"),  # the program's own `sum`
        ("assert Point(1).x == 1", ["Point(1).x"], "assert _seen[0][0] == 1"),
    ],
)
def test_a_test_is_cut_between_what_is_asked_and_what_is_expected(line: str, asked: list[str], claim: str):
    (test,) = suite(line).tests
    assert (list(test.asked), test.claim) == (asked, claim)


def test_what_is_expected_never_reaches_the_program():
    found = suite("import math\nwanted = 271828\nassert f(1) == 314159\nassert g(2) == wanted + 161803")
    sent = "".join(test.question(1000) for test in found.tests)
    assert not [number for number in ("314159", "161803") if number in sent]
    assert "assert" not in sent


def test_a_setup_of_the_programs_own_things_runs_there_alone():
    tree = suite("root = Node(1)\nroot.left = Node(2)\nassert height(root) == 2")
    assert tree.setup == "root = Node(1)\nroot.left = Node(2)"
    assert tree.prelude == ""
    assert tree.tests == (Test(("height(root)",), "assert _seen[0][0] == 2"),)


def test_a_setup_by_itself_is_the_judges_too():
    found = suite("def near(a, b):\n    return abs(a - b) < 1\nassert near(f(1), 2)\nassert f(2) == sys.maxsize")
    assert found.prelude.startswith("import sys\ndef near")
    assert [test.asked for test in found.tests] == [("f(1)",), ("f(2)",)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "no assertion"),
        ("f(1) == 2", "no assertion"),
        ("assert f(1) ==", "not Python"),
        ("assert 1 == 1 or True", "asks the program for nothing"),
        ("assert True", "asks the program for nothing"),
        ("assert f(\0)", "not Python"),
        ("x = 1\n" * 30_000, "longer than"),
    ],
)
def test_what_is_no_test_is_refused(source: str, said: str):
    with pytest.raises(ValueError, match=said):
        suite(source)


def test_the_first_tests_are_shown_as_they_are_written():
    source = "import math\nassert f( 1 )==2\nassert f(2) == 3"
    assert shown(source, 0) == []
    assert shown(source, 1) == ["assert f( 1 )==2"]
    assert shown(source, 9) == ["assert f( 1 )==2", "assert f(2) == 3"]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers() | st.text(), inner, max_size=3)
        | st.sets(st.integers() | st.text(), max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_values_arrive_as_they_were(value: object):
    """The two halves of the code, run here: what the program says is what the judge reads."""
    test = Test(("value",), "")
    *head, last = ast.parse(test.question(10**9)).body
    place: dict[str, object] = {"value": value}
    exec(compile(ast.Module(head, []), "q", "exec"), place)
    told = eval(compile(ast.Expression(last.value), "q", "eval"), place)  # type: ignore[attr-defined]
    judge: dict[str, object] = {}
    exec(Suite("", "", (test,)).hearing([repr(told)]), judge)
    assert judge[SEEN] == [[value]]


def asked_of(value: object, longest: int = 1000) -> object:
    *head, last = ast.parse(Test(("value",), "").question(longest)).body
    place: dict[str, object] = {"value": value}
    exec(compile(ast.Module(head, []), "q", "exec"), place)
    return eval(compile(ast.Expression(last.value), "q", "eval"), place)  # type: ignore[attr-defined]


def test_values_that_are_no_literals_are_not_told():
    import collections
    import enum
    import fractions

    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

    class Liar(int):
        def __repr__(self) -> str:
            return "exit()"

    class Colour(enum.IntEnum):
        RED = 1

    assert asked_of(Equal()) is None
    assert asked_of([1, Equal()]) is None
    assert asked_of(float("nan")) is None
    assert asked_of(fractions.Fraction(1, 3)) is None
    assert asked_of(iter([1])) is None
    assert asked_of("x" * 2000) is None
    assert asked_of(fractions.Fraction(1, 2)) == "[0.5]"
    assert asked_of(Liar(7)) == "[7]"
    assert asked_of(Colour.RED) == "[1]"
    assert asked_of(collections.Counter("aab")) == "[{'a': 2, 'b': 1}]"
    assert asked_of(collections.namedtuple("P", "x y")(1, 2)) == "[(1, 2, )]"
    assert asked_of(float("-inf")) == "[-1e999]"
