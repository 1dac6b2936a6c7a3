"""Sequences of tokens that begin alike: what siblings share is read once, and charged once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARED = -1
"""The branch of tokens that every continuation sees."""

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Family:
    """Sequences that share their first `shared` tokens, each with at least one more."""

    members: list[tuple[int, ...]]
    shared: int

    @property
    def width(self) -> int:
        return self.shared + sum(len(member) - self.shared for member in self.members)

    def pieces(self) -> Iterator[tuple[Ints, Ints, Ints]]:
        """(ids, branch, position) of the common part, if any, then of each member's own."""
        parts = [(self.members[0][: self.shared], 0, SHARED)] if self.shared else []
        parts += [(member[self.shared :], self.shared, b) for b, member in enumerate(self.members)]
        for ids, start, branch in parts:
            yield np.array(ids), np.full(len(ids), branch), np.arange(start, start + len(ids))


def families(coded: Sequence[tuple[int, ...]]) -> Iterator[Family]:
    """Cut sequences in lexical order into families, where the common part is worth it."""
    family: Family | None = None
    for ids in coded:
        if family is not None:
            shared = min(common(family.members[0], ids), family.shared, len(ids) - 1)
            # Attention looks at all tails of a family; it pays while the common part is more than half of each member.
            if len(family.members) < 16 and 2 * shared > max(len(ids), *map(len, family.members)):
                family.members.append(ids)
                family.shared = shared
                continue
            yield family
        family = Family([ids], len(ids) - 1)
    if family is not None:
        yield family


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def tokens_read(coded: Sequence[Sequence[int]]) -> int:
    """The tokens that are read where these sequences are read together: what the members of a family share, once."""
    return sum(family.width for family in families(sorted({tuple(ids) for ids in coded})))
