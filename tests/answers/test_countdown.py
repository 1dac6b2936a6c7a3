"""The verifier of COUNTDOWN against programs that are right, wrong, or try to look right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.answers.countdown import Puzzle, claim, judge, moves_of, same
from rstar.core.verdict import Verdict
from rstar.data.countdown import demonstrations, problems

PUZZLE = "8 3 2 -> 22"
RIGHT = 'use("*", 8, 3)\nuse("-", 24, 2)'


def rule(program: str, puzzle: str = PUZZLE) -> str:
    judgement = judge(puzzle, program)
    assert (judgement.verdict is Verdict.EQUIVALENT) == (judgement.rule == "countdown:reached")
    assert judgement.verdict is not Verdict.UNVERIFIABLE
    return judgement.rule.removeprefix("countdown:")


@pytest.mark.parametrize(
    "program",
    [
        RIGHT,
        "# 8 * 3\n" + RIGHT,
        'use("*", 3, 8)\n# then\nuse("-", 24, 2)',
        "use('*', 8, 0x3); use('-', 2_4, 2)",
        'use("*",8,3)\n\n\nuse( "-" , 24 , 2 )',
    ],
)
def test_right_programs(program: str):
    assert rule(program) == "reached"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ('use("*", 8, 3)', "unused"),
        ("", "unused"),
        ('use("*", 8, 3)\nuse("+", 24, 2)', "missed"),
        ('use("-", 8, 2)\nuse("*", 6, 3)', "missed"),
        ('use("*", 8, 8)\nuse("-", 24, 2)', "illegal"),
        ('use("*", 8, 3)\nuse("-", 25, 3)', "illegal"),
        ('use("*", 11, 2)', "illegal"),
        ('use("-", 2, 8)\nuse("+", 3, 3)', "illegal"),
        ('use("/", 8, 3)', "illegal"),
        (RIGHT + '\nuse("+", 22, 0)', "illegal"),
        (RIGHT + '\nuse("-", 24, 2)', "illegal"),
        (f'use("*", 8, {"9" * 4000})', "illegal"),
    ],
)
def test_wrong_programs(program: str, why: str):
    assert rule(program) == why


HOSTILE = [
    "print(22)",
    RIGHT + "\nprint(22)",
    'use("*", 8, 3);print()',
    RIGHT + "\npass",
    "left = [22]\n" + RIGHT,
    "left[:] = [22]",
    "target = 24\n" + 'use("*", 8, 3)',
    "use = print\n" + RIGHT,
    "def use(*a): print('Numbers 22 -> 22')\n" + RIGHT,
    "import rules\n" + RIGHT,
    '(x := use("*", 8, 3))\nuse("-", 24, 2)',
    'x = use("*", 8, 3)\nuse("-", 24, 2)',
    'use("*", 8, 3) or use("-", 24, 2)',
    '[use("*", 8, 3), use("-", 24, 2)]',
    'use("*", 8, 3), use("-", 24, 2)',
    'if True:\n    use("*", 8, 3)\nuse("-", 24, 2)',
    'for i in (1,):\n    use("*", 8, 3)\nuse("-", 24, 2)',
    'use("*", True, 3)',
    'use("*", 8, 3.0)\nuse("-", 24, 2)',
    'use("*", 8, 3)\nuse("+", 24, -2)',
    'use("*", 8, 1 + 2)\nuse("-", 24, 2)',
    'use("*", 8, "3")\nuse("-", 24, 2)',
    'use(*("*", 8, 3))\nuse("-", 24, 2)',
    'use(operator="*", a=8, b=3)\nuse("-", 24, 2)',
    'use("*", 8, b=3)\nuse("-", 24, 2)',
    'use("*", 8, 3, 2)\nuse("-", 24, 2)',
    'use("**", 2, 3)',
    'use("", 8, 3)',
    'use("*-", 8, 3)',
    'use(b"*", 8, 3)\nuse("-", 24, 2)',
    'use(f"*", 8, 3)\nuse("-", 24, 2)',
    "use(None, 8, 3)",
    "use([], 8, 3)",
    'other("*", 8, 3)\nuse("-", 24, 2)',
    'a.use("*", 8, 3)\nuse("-", 24, 2)',
    'use("*", 8, 3)()\nuse("-", 24, 2)',
    'await use("*", 8, 3)',
    'use("*", 8, 3',
    "use(\0)",
    "(" * 5000,
    "-" * 9000 + "1",
    f'use("*", 8, {"9" * 5000})',
    RIGHT + "\n#" + "x" * 10_000,
    "\ud800",
]


@pytest.mark.parametrize("program", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_not_a_move_counts_for_nothing(program: str):
    assert rule(program) == "other_code"


@given(st.text() | st.text(alphabet='use("*+-/), 0123456789)\n'))
def test_any_text_is_decided(program: str):
    assert rule(program) in ("other_code", "illegal", "unused", "missed", "reached")


@given(st.integers(0, 10_000), st.data())
def test_a_solution_with_anything_changed_is_no_solution_of_another_puzzle(seed: int, data: st.DataObject):
    items = problems({"L2": 2, "L3": 2}, seed, "p")
    worked = {one.problem.id: "\n".join(one.steps) for one in demonstrations(items, seed)}
    one, other = data.draw(st.permutations(items))[:2]
    assert rule(worked[one.id], one.answer or "") == "reached"
    assert rule(worked[one.id], other.answer or "") != "reached"
    lines = worked[one.id].splitlines()
    code = [i for i, line in enumerate(lines) if not line.startswith("#")]
    gone = data.draw(st.sampled_from(code))
    assert rule("\n".join(line for i, line in enumerate(lines) if i != gone), one.answer or "") != "reached"


@pytest.mark.parametrize("text", ["", "8 3", "8 3 -> ", "8 3 -> x", "a -> 3", "8 -3 -> 5", "8 3 -> 5 -> 6", "² 3 -> 5"])
def test_what_is_no_puzzle_is_an_error(text: str):
    with pytest.raises(ValueError, match="not a puzzle"):
        judge(text, RIGHT)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=6), st.integers(0, 99))
def test_puzzles_are_read_as_they_are_written(numbers: list[int], target: int):
    puzzle = Puzzle(tuple(sorted(numbers, reverse=True)), target)
    assert Puzzle.read(str(puzzle)) == puzzle


def test_programs_vote_by_the_number_they_come_to():
    other = 'use("+", 20, 2)'
    assert claim(RIGHT) == claim(other) == "22"
    assert same(RIGHT, other)
    assert not same(RIGHT, 'use("*", 8, 3)')
    for nothing in ("", "x", 'use("/", 1, 0)'):
        assert claim(nothing) is None
        assert not same(nothing, nothing)
    assert moves_of("") == []
