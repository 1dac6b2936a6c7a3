"""Numbers under names: the policy reads `Jo has n0 apples` and its code says `n0`, which the problem's setup defines.

A small model finds it hard to copy a number digit by digit, and what it learns from one number it does not know of
another. With names it only has to say which number is meant: published solvers of word problems do the same. The code
runs as it stands, and demonstrations are put in the same form without changing what they compute.
"""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from rstar.core.problem import Demonstration, Problem

NAME = re.compile(r"\bn\d+\b")
_DEFINED = re.compile(r"(n\d+) = (\S+)(?:  # (\S+))?")
"""A line of the setup: the name, its value, and how the problem wrote it where Python writes it in another way."""
_NUMBER = re.compile(r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w|\.\d|,\d)")
_LABELLED = re.compile(r"(?<![\w.])(?<![Ss]tep )\d+(?:\.\d+)?(?!\w|\.\d)")
"""A number in a comment; what counts the steps is none."""
_Value = tuple[type, object]


def named(problem: Problem) -> Problem:
    """The problem with its numbers named in order, each as often as it stands there, and a setup that defines them.

    A problem that has words of this form itself stays as it is.
    """
    found = _NUMBER.findall(problem.text)
    if not found or NAME.search(problem.text):
        return problem
    names = iter(range(len(found)))
    text = _NUMBER.sub(lambda _: f"n{next(names)}", problem.text)
    lines = [_defined(f"n{i}", number) for i, number in enumerate(found)]
    return replace(problem, text=text, setup="\n".join([*lines, *([problem.setup] if problem.setup else [])]))


def plain(problem: Problem) -> str:
    """The text of a named problem as it was."""
    written = {name: number for name, _, number in _definitions(problem)}
    return NAME.sub(lambda match: written.get(match.group(), match.group()), problem.text)


def translated(demonstration: Demonstration) -> Demonstration:
    """The demonstration of the named problem: literals that equal one of its numbers are replaced by that one's name.

    Of several equal numbers, the first that its code (or its comments) has not used yet is meant. Other literals, and
    all of a demonstration that uses such names for something else, stay; so the steps compute what they did before.
    """
    problem = named(demonstration.problem)
    names = _values(problem)
    if not names or any(NAME.search(step) for step in demonstration.steps):
        return replace(demonstration, problem=problem)
    code, comments = _Chooser(names), _Chooser(names)
    return Demonstration(problem, tuple(_renamed(step, code, comments) for step in demonstration.steps))


def literals(steps: Sequence[str]) -> int:
    """How many number literals the code of some steps holds."""
    return sum(token.type == tokenize.NUMBER for step in steps for token in _tokens(step))


class _Chooser:
    """Which name a literal stands for: equal numbers take turns."""

    def __init__(self, names: dict[_Value, list[str]]):
        self.names = names
        self.used: Counter[_Value] = Counter()

    def __call__(self, literal: str) -> str:
        value = _value(literal)
        names = self.names.get(value, [literal])
        self.used[value] += 1
        return names[(self.used[value] - 1) % len(names)]


def _renamed(step: str, code: Callable[[str], str], comments: Callable[[str], str]) -> str:
    """The step with its number literals, and those in its comments, put through the choosers."""
    lines = io.StringIO(step).readlines()  # as the tokenizer cuts them
    for token in reversed(_marked(step, code, comments)):
        (row, start), (_, end), text = token
        line = lines[row - 1]
        lines[row - 1] = line[:start] + text + line[end:]
    return "".join(lines)


def _marked(
    step: str, code: Callable[[str], str], comments: Callable[[str], str]
) -> list[tuple[tuple[int, int], tuple[int, int], str]]:
    """(start, end, new text) of each number and comment, in order."""
    marks = []
    for token in _tokens(step):
        if token.type == tokenize.NUMBER:
            marks.append((token.start, token.end, code(token.string)))
        elif token.type == tokenize.COMMENT:
            new = _LABELLED.sub(lambda match: comments(match.group()), token.string)
            marks.append((token.start, token.end, new))
    return marks


def _tokens(step: str) -> list[tokenize.TokenInfo]:
    """The tokens of a step; none where it is not Python."""
    try:
        return list(tokenize.generate_tokens(io.StringIO(step).readline))
    except (tokenize.TokenError, SyntaxError):
        return []


def _values(problem: Problem) -> dict[_Value, list[str]]:
    """Number -> its names in the text of a named problem."""
    values: dict[_Value, list[str]] = {}
    for name, literal, _ in _definitions(problem):
        values.setdefault(_value(literal), []).append(name)
    return values


def _defined(name: str, number: str) -> str:
    """The line of the setup for a number of the text; Python takes no commas and no zeros in front."""
    literal = re.sub(r"^0+(?=\d)", "", number.replace(",", ""))
    return f"{name} = {literal}" + (f"  # {number}" if literal != number else "")


def _definitions(problem: Problem) -> list[tuple[str, str, str]]:
    """(name, literal, number as the text had it) of each name that stands in the problem, in order."""
    there = set(NAME.findall(problem.text))
    found = map(_DEFINED.fullmatch, (problem.setup or "").splitlines())
    return [(one[1], one[2], one[3] or one[2]) for one in found if one and one[1] in there]


def _value(literal: str) -> _Value:
    """What a literal is, 2 and 2.0 apart: they print differently."""
    value = ast.literal_eval(literal)
    return type(value), value
