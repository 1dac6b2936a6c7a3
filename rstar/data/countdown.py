"""COUNTDOWN: given numbers are combined into a target, the embedded family with many right solutions.

A step uses two of the numbers that are left, and the executor prints what is left after it, with the target again:
every state looks like a fresh, smaller problem. The bootstrap's scripted solver errs now and then and knows the two
lower levels; the base corpus is random legal play, which reaches no target and so holds no solution. All of it is
synthetic and seeded, and labelled so wherever results appear.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rstar.answers.countdown import CALL, LARGEST, OPERATORS, Move, Numbers, Puzzle, after, ordered
from rstar.core.problem import Demonstration, Problem
from rstar.errors import ConfigError, RolloutError
from rstar.search.calls import Completion, Generate
from rstar.text.grammar import END_OUTPUT, OUTPUT, PROMPT_HEAD, PROMPT_TAIL, Kind, Segment

LEVELS = {"L2": 2, "L3": 3, "L4": 4, "L5": 5}
"""How many numbers are given."""
GIVEN = range(1, 21)
TARGETS = range(1, LARGEST + 1)
HIDDEN = "?"
"""Stands for the target where none is shown."""

_STATE = re.compile(rf"Numbers((?: \d+)+) -> (\d+|{re.escape(HIDDEN)})")
_TRIES = 10_000
_SETUP = f'''\
left, target = {{numbers}}, {{target}}


def {CALL}(operator, a, b):
    """Put what two numbers become in their place, and print what is left."""
    rest = left.copy()
    for used in (a, b):
        if used not in rest:
            raise ValueError(f"{{{{used}}}} is not left")
        rest.remove(used)
    if operator == "/" and (b == 0 or a % b):
        raise ValueError(f"{{{{a}}}} / {{{{b}}}} is not whole")
    value = {{{{"+": a + b, "-": a - b, "*": a * b, "/": a // (b or 1)}}}}[operator]
    if not 0 <= value <= {LARGEST}:
        raise ValueError(f"{{{{value}}}} is out of range")
    left[:] = sorted([*rest, value], reverse=True)
    print("Numbers", *left, "->", target)
'''


def shown(numbers: Iterable[int | str], target: int | str) -> str:
    """A state as the policy reads it: the problem's text, and what a step prints."""
    return " ".join(map(str, ("Numbers", *numbers, "->", target)))


def problem(name: str, puzzle: Puzzle, level: str | None = None) -> Problem:
    """A puzzle as a problem: its reference is the puzzle itself, its setup defines the moves."""
    setup = _SETUP.format(numbers=list(puzzle.numbers), target=puzzle.target)
    return Problem(name, shown(puzzle.numbers, puzzle.target), str(puzzle), level, setup)


def typed(name: str, text: str) -> Problem:
    """The problem that somebody wrote, as `8 7 5 3 -> 24`. Raises ValueError on any other text."""
    return problem(name, Puzzle.read(text.strip().removeprefix("Numbers")))


def problems(counts: Mapping[str, int], seed: int, prefix: str, avoid: Sequence[Problem] = ()) -> list[Problem]:
    """`counts[level]` distinct solvable puzzles a level, none of those in `avoid`; ids are `prefix-level-number`.

    Raises ConfigError where a level has not so many.
    """
    seen = {one.answer for one in avoid}
    out: list[Problem] = []
    for level, count in counts.items():
        rng = random.Random(f"{seed}|countdown|{level}")
        for made in range(count):
            for _ in range(_TRIES):
                puzzle = _draw(rng, LEVELS[level])
                if str(puzzle) not in seen:
                    break
            else:
                raise ConfigError(
                    f"problems: {level} of Countdown has not {count} different problems left; ask for less"
                )
            seen.add(str(puzzle))
            out.append(problem(f"{prefix}-{level}-{made}", puzzle, level))
    return out


def demonstrations(items: Sequence[Problem], seed: int) -> Iterator[Demonstration]:
    """A solution of each problem, found by the solver."""
    for one in items:
        puzzle = Puzzle.read(one.answer or "")
        rng = random.Random(f"{seed}|{one.id}")
        left, steps = puzzle.numbers, []
        while len(left) > 1:
            move = rng.choice(solving(left, puzzle.target))
            left = _made(left, move)
            steps.append(step(move))
        yield Demonstration(one, tuple(steps))


def step(move: Move) -> str:
    """A move as a step: a comment, and the code."""
    return f"# {move.a} {move.operator} {move.b}\n{move.source}"


def vocabulary() -> list[str]:
    """Texts with every word that a solution can hold."""
    numbers = shown(range(LARGEST + 1), HIDDEN)
    return [numbers, shown([1], 1), *(step(Move(operator, 1, 1)) for operator in OPERATORS)]


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole play as text, the executor's observations included."""

    prompt: str
    solution: str
    level: str


def transcripts(count: int, seed: int, targets: float, levels: Sequence[str] = tuple(LEVELS)) -> Iterator[Transcript]:
    """Random legal play: what moves are and what they lead to, and nothing about how a target is reached.

    A share `targets` shows an unrelated number that the play does not end with, all others none.
    """
    rng = random.Random(f"{seed}|play")
    for _ in range(count):
        level = rng.choice(list(levels))
        left = ordered([rng.choice(GIVEN) for _ in range(LEVELS[level])])
        given, states = left, []
        while len(left) > 1:
            move = _random_move(rng, left)
            left = _made(left, move)
            states.append((move, left))
        target: int | str = HIDDEN
        if rng.random() < targets:
            target = rng.choice([n for n in TARGETS if n not in (*given, *left)])
        solution = "".join(
            _written(move, len(after) == 1, i == 0) + _observed(after, target) for i, (move, after) in enumerate(states)
        )
        yield Transcript(f"{PROMPT_HEAD}{shown(given, target)}{PROMPT_TAIL}", solution, level)


class Player:
    """A scripted policy: the solver, that makes a random legal move instead in a share `noise` of its steps.

    With `noise` 1 it is random legal play. It goes on from the state that was shown last, and has nothing to say where
    one number is left.
    """

    def __init__(self, noise: float = 0.15):
        self.noise = noise

    def __call__(self, call: Generate) -> list[Completion]:
        """`call.n` continuations of the prompt by one step each, from the call's seed alone."""
        left, target = state(call.prompt)
        if len(left) < 2:
            return []
        good = solving(left, target) if self.noise < 1 else ()
        rng = random.Random(call.seed)
        first = call.prompt.endswith(PROMPT_TAIL)
        texts = (_written(self._move(rng, left, good), len(left) == 2, first) for _ in range(call.n))
        return [Completion(text, tokens=len(text.split())) for text in texts]

    def _move(self, rng: random.Random, left: Numbers, good: Sequence[Move]) -> Move:
        return rng.choice(good) if good and rng.random() >= self.noise else _random_move(rng, left)


def state(prompt: str) -> tuple[Numbers, int]:
    """(what is left, target) at the end of a prompt. Raises RolloutError where none is shown."""
    found = max(_STATE.finditer(prompt), key=re.Match.start, default=None)
    if found is None or found[2] == HIDDEN:
        raise RolloutError("countdown", "the prompt shows no numbers and target")
    return ordered(map(int, found[1].split())), int(found[2])


def shuffled(text: str, seed: str) -> str:
    """The text with the numbers of each of its states in another order.

    Equal states get the same order, whichever text they stand in: what two texts share, they share afterwards.
    """

    def other(found: re.Match[str]) -> str:
        numbers = found[1].split()
        random.Random(f"{seed}|{found[0]}").shuffle(numbers)
        return shown(numbers, found[2])

    return _STATE.sub(other, text)


@lru_cache(maxsize=200_000)
def legal(left: Numbers) -> tuple[Move, ...]:
    """All moves that lead anywhere, the larger number first; those by 1 that change nothing are left out."""
    found: dict[Move, None] = {}
    for i, a in enumerate(left):
        for b in left[i + 1 :]:
            for operator in OPERATORS:
                move = Move(operator, a, b)
                if move.value is not None and not (b == 1 and operator in "*/"):
                    found[move] = None
    return tuple(found)


@lru_cache(maxsize=200_000)
def solving(left: Numbers, target: int) -> tuple[Move, ...]:
    """The legal moves behind which the target can still be reached."""
    return tuple(
        move
        for move in legal(left)
        for rest in [_made(left, move)]
        if (rest == (target,) if len(rest) == 1 else solving(rest, target))
    )


def _random_move(rng: random.Random, left: Numbers) -> Move:
    """A legal move, its operator drawn first, so that additions do not crowd out the others."""
    moves = legal(left)
    operator = rng.choice(sorted({move.operator for move in moves}))
    return rng.choice([move for move in moves if move.operator == operator])


def _made(left: Numbers, move: Move) -> Numbers:
    rest = after(left, move)
    assert rest is not None, (left, move)
    return rest


def _draw(rng: random.Random, count: int) -> Puzzle:
    while True:
        given = left = ordered([rng.choice(GIVEN) for _ in range(count)])
        while len(left) > 1:
            left = _made(left, _random_move(rng, left))
        if left[0] in TARGETS and left[0] not in given:
            return Puzzle(given, left[0])


def _written(move: Move, last: bool, first: bool) -> str:
    return Segment(Kind.LAST_STEP if last else Kind.STEP, step(move), first).render()


def _observed(left: Numbers, target: int | str) -> str:
    return f"\n{OUTPUT}{shown(left, target)}{END_OUTPUT}"
