"""Overlaps of training problems with benchmarks: shared runs of words, equal texts, equal texts up to LaTeX.

A run of words says nothing of problems that are shorter than it: those overlap when the texts are equal, or when the
whole benchmark problem stands in the training problem.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rstar.data.wording import grams, latex_form, words

SHORTEST = 12
"""Characters, LaTeX aside, from which a short benchmark problem is looked for inside other texts."""


class Rule(StrEnum):
    """What makes an overlap, strongest first."""

    TEXT = "text"
    LATEX = "latex"
    CONTAINED = "contained"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Held:
    """A problem of a benchmark; `runs` counts its distinct runs of words."""

    benchmark: str
    id: str
    text: str
    runs: int


@dataclass(frozen=True, slots=True)
class Hit:
    """An overlap with one benchmark problem. `share` is that of its runs which the training problem says too, `run` the
    first of them."""

    held: Held
    rule: Rule
    share: float
    run: str | None


class Index:
    """All problems of all benchmarks, to be asked about one training problem at a time.

    It grows with the benchmarks, about 100 bytes for each of their words, and not with what is asked.
    """

    def __init__(self, n: int = 8, share: float = 0.0):
        self.n = n
        self.share = share
        self.held: list[Held] = []
        self._runs: dict[str, list[int]] = defaultdict(list)
        self._whole: dict[str, list[int]] = defaultdict(list)
        self._latex: dict[str, list[int]] = defaultdict(list)
        self._short: list[tuple[str, int]] = []

    def add(self, benchmark: str, problems: Iterable[tuple[str, str]]) -> int:
        """Take in (id, text) of a benchmark's problems; returns how many."""
        before = len(self.held)
        for name, text in problems:
            at = len(self.held)
            tokens, form = words(text), latex_form(text)
            runs = set(grams(tokens, self.n))
            self.held.append(Held(benchmark, name, text, len(runs)))
            for run in runs:
                self._runs[run].append(at)
            self._whole[" ".join(tokens)].append(at)
            self._latex[form].append(at)
            if not runs and len(form) >= SHORTEST:
                self._short.append((form, at))
        return len(self.held) - before

    def hits(self, text: str) -> list[Hit]:
        """Every benchmark problem that `text` overlaps, in the benchmarks' order, each by its strongest rule."""
        tokens, form = words(text), latex_form(text)
        shared: Counter[int] = Counter()
        first: dict[int, str] = {}
        for run in dict.fromkeys(grams(tokens, self.n)):
            for at in self._runs.get(run, ()):
                shared[at] += 1
                first.setdefault(at, run)
        by = {at: Rule.WORDS for at, count in shared.items() if count >= self.share * self.held[at].runs}
        by |= {at: Rule.CONTAINED for short, at in self._short if short in form}
        by |= dict.fromkeys(self._latex.get(form, ()), Rule.LATEX) if form else {}
        by |= dict.fromkeys(self._whole.get(" ".join(tokens), ()), Rule.TEXT) if tokens else {}
        return [self._hit(at, rule, shared[at], first.get(at)) for at, rule in sorted(by.items())]

    def _hit(self, at: int, rule: Rule, count: int, run: str | None) -> Hit:
        held = self.held[at]
        return Hit(held, rule, round(count / held.runs, 4) if held.runs else 1.0, run)
