"""Variation of training examples: other names, verbs and numbers, the same everywhere in one example.

A *renaming* is drawn for the texts that belong together (a prompt with its solution, or with both sides of a pair) and
then applied to each of them, so that what agreed before agrees after.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rstar.config.train import (
    AugmentConfig,
    CountdownAugmentConfig,
    RenameAugmentConfig,
    RenumberAugmentConfig,
    WordsAugmentConfig,
)
from rstar.data import countdown
from rstar.text.grammar import PROMPT_HEAD, PROMPT_TAIL

Rename = Callable[[str], str]
Augmenter = Callable[[str, random.Random], str]

_NUMBER = re.compile(r"(?<![\w.])(?<![Ss]tep )\d+(?:\.\d+)?(?!\w|\.\d)")
"""A number that stands by itself: not in an identifier such as `x1`, not the label of a step."""
_GROUPED = re.compile(r"\d,\d{3}(?!\d)")
_WORD = re.compile(r"(?<!\w)[A-Za-z]{2,}(?!\w)")

Shape = tuple[bool, bool]
"""Of a word: whether it begins with a capital, whether it ends in s. A word is replaced by one of its own shape."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The rare words of a set of problems, and by their shape the words that may stand for them."""

    rare: frozenset[str]
    pool: dict[Shape, list[str]]


def lexicon(rows: Iterable[Sequence[str]], others: Iterable[str], rare: float) -> Lexicon:
    """From the texts of each row, of which one holds the prompt. A word is rare that stands in at most a share `rare`
    of the problems and in no solution; `others` are words that may be drawn too, unless the rows know them as common.
    """
    problems: dict[str, set[str]] = {}
    said: set[str] = set()
    for texts in rows:
        problem, solutions = _parts(texts)
        if problem not in problems:
            problems[problem] = set(_WORD.findall(problem))
        for text in solutions:
            said.update(_WORD.findall(text))
    counts = Counter(word for words in problems.values() for word in words)
    most = max(1.0, rare * len(problems))
    found = frozenset(word for word, count in counts.items() if count <= most and word not in said)
    pool: dict[Shape, list[str]] = defaultdict(list)
    for word in sorted(found | {word for word in others if word not in counts and word not in said}):
        pool[_shape(word)].append(word)
    return Lexicon(found, dict(pool))


def augmenter(cfg: AugmentConfig | None) -> Augmenter:
    """A function from a whole text (prompt and solution) and a random generator to the varied text."""
    return lambda text, rng: draw(cfg, [text], rng)(text)


def draw(cfg: AugmentConfig | None, texts: Sequence[str], rng: random.Random, words: Lexicon | None = None) -> Rename:
    """A renaming for texts that belong together; one of them holds the prompt. `words` is for renaming rare ones."""
    match cfg:
        case WordsAugmentConfig():
            return _substitution(_words(texts, cfg.verbs, rng))
        case RenumberAugmentConfig() if rng.random() < cfg.p:
            return _substitution(_renumber(texts, rng))
        case CountdownAugmentConfig() if rng.random() < cfg.p:
            seed = str(rng.random())
            return lambda text: countdown.shuffled(text, seed)
        case RenameAugmentConfig() if words is not None:
            return _substitution(_rename(texts, cfg.p, words, rng))
        case _:
            return lambda text: text


def _rename(texts: Sequence[str], p: float, words: Lexicon, rng: random.Random) -> dict[str, str]:
    """Each rare word of the problem with probability `p` to another that stands nowhere in the texts."""
    problem, _ = _parts(texts)
    taken = {word for text in texts for word in _WORD.findall(text)}
    table: dict[str, str] = {}
    for word in dict.fromkeys(_WORD.findall(problem)):
        if word in words.rare and rng.random() < p:
            other = rng.choice(words.pool[_shape(word)])
            if other not in taken:
                table[word] = other
                taken.add(other)
    return table


def _shape(word: str) -> Shape:
    return word[0].isupper(), word.endswith("s")


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
