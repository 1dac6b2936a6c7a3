"""Variation of training examples: other names, verbs and numbers, the same everywhere in one example.

A *renaming* is drawn for the texts that belong together (a prompt with its solution, or with both sides of a pair) and
then applied to each of them, so that what agreed before agrees after.
"""

import random
import re
from collections.abc import Callable, Iterable, Sequence

from rstar.config.train import AugmentConfig, CountdownAugmentConfig, RenumberAugmentConfig, WordsAugmentConfig
from rstar.data import countdown
from rstar.text.grammar import PROMPT_HEAD, PROMPT_TAIL

Rename = Callable[[str], str]
Augmenter = Callable[[str, random.Random], str]

_NUMBER = re.compile(r"(?<![\w.])(?<![Ss]tep )\d+(?:\.\d+)?(?!\w|\.\d)")
"""A number that stands by itself: not in an identifier such as `x1`, not the label of a step."""
_GROUPED = re.compile(r"\d,\d{3}(?!\d)")


def augmenter(cfg: AugmentConfig | None) -> Augmenter:
    """A function from a whole text (prompt and solution) and a random generator to the varied text."""
    return lambda text, rng: draw(cfg, [text], rng)(text)


def draw(cfg: AugmentConfig | None, texts: Sequence[str], rng: random.Random) -> Rename:
    """A renaming for texts that belong together; one of them holds the prompt."""
    match cfg:
        case WordsAugmentConfig():
            return _substitution(_words(texts, cfg.verbs, rng))
        case RenumberAugmentConfig() if rng.random() < cfg.p:
            return _substitution(_renumber(texts, rng))
        case CountdownAugmentConfig() if rng.random() < cfg.p:
            seed = str(rng.random())
            return lambda text: countdown.shuffled(text, seed)
        case _:
            return lambda text: text


def _words(texts: Sequence[str], verbs: float, rng: random.Random) -> dict[str, str]:
    """Names and numbers permuted, verbs too with probability `verbs`.

    Code of this family holds no number that is not in the problem, so a permutation keeps what an example means.
    """
    from rstar.data.words import NAMES, NUMBERS, VERBS

    table = dict(zip(NAMES, rng.sample(NAMES, len(NAMES)), strict=True))
    if rng.random() < verbs:
        table |= zip(VERBS, rng.sample(VERBS, len(VERBS)), strict=True)
    literals = [n for n in _literals(texts) if n.isdigit() and int(n) in NUMBERS and n == str(int(n))]
    return table | dict(zip(literals, map(str, rng.sample(NUMBERS, len(literals))), strict=True))


def _renumber(texts: Sequence[str], rng: random.Random) -> dict[str, str]:
    """Numbers of the problem that its solution uses, each to another with as many digits before and after the point.

    A number that the solution does not name may stand in it in another form (`50%` as 0.5), so it stays; so do 0 and 1,
    which seldom are data, and a problem with thousands separators, which code writes without. No new number equals one
    that stands anywhere in the texts, so nothing coincides that did not before.
    """
    problem, solutions = _parts(texts)
    if _GROUPED.search(problem):
        return {}
    taken = set(_literals(texts))
    used = set(_literals(solutions))
    table: dict[str, str] = {}
    for literal in _literals([problem]):
        if literal in used and float(literal) not in (0, 1) and not re.match(r"0\d", literal):
            other = _another(literal, taken, rng)
            table[literal] = other
            taken.add(other)
    return table


def _another(literal: str, taken: set[str], rng: random.Random) -> str:
    """A number of the same form that is not taken; `literal` itself when there is none."""
    whole, point, decimals = literal.partition(".")
    free = []
    for _ in range(20):
        first = whole if whole == "0" else str(rng.randrange(max(10 ** (len(whole) - 1), 2), 10 ** len(whole)))
        rest = "".join(rng.choices("0123456789", k=len(decimals)))
        free = [n for n in (first + point + rest,) if n not in taken and float(n) not in (0, 1)]
        if free:
            break
    return free[0] if free else literal


def _parts(texts: Sequence[str]) -> tuple[str, list[str]]:
    """The problem's words, and all text that is not the problem's."""
    for i, text in enumerate(texts):
        head, found, rest = text.partition(PROMPT_HEAD)
        problem, closed, solution = rest.partition(PROMPT_TAIL)
        if found and closed:
            return problem, [*texts[:i], head, solution, *texts[i + 1 :]]
    return "", list(texts)


def _literals(texts: Iterable[str]) -> list[str]:
    """The distinct numbers in order of appearance."""
    return list(dict.fromkeys(number for text in texts for number in _NUMBER.findall(text)))


def _substitution(table: dict[str, str]) -> Rename:
    """All words and numbers of `table` replaced at once."""
    words = [re.escape(word) for word in table if word.isalpha()]
    pattern = re.compile("|".join([_NUMBER.pattern] + [rf"\b(?:{'|'.join(words)})\b"] * bool(words)))
    return lambda text: pattern.sub(lambda found: table.get(found.group(), found.group()), text)
