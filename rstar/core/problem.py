"""A problem with a checkable answer, and a demonstration: a problem with its worked steps."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """What is searched. `answer` is the reference; None hides it from the search.

    `setup` is code that runs silently before the first step of every tree: what it defines, steps can use. `source`
    says where the problem came from, `parent` the id of the one it was made from: such a problem is synthetic.
    """

    id: str
    text: str
    answer: str | None = None
    level: str | None = None
    setup: str | None = None
    source: str | None = None
    parent: str | None = None

    def hidden(self) -> "Problem":
        """The same problem without its reference answer: what every search sees at test time."""
        return replace(self, answer=None)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A problem and the worked steps of one solution, each a comment with code, the last one printing the answer."""

    problem: Problem
    steps: tuple[str, ...]
