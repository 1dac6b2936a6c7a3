"""Near-duplicates among a million texts: MinHash signatures and locality-sensitive hashing, in numpy.

A signature is the least value of each of h hash functions over a text's shingles; two signatures agree in a place with
the probability of the shingle sets' Jaccard similarity (Broder 1997). Signatures that agree in one whole band of rows
are candidates; whoever asks compares the texts themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rstar.data.wording import grams, words

SHINGLE = 5
"""Words of a shingle; a shorter text is one shingle."""

Signature = NDArray[np.uint32]
_HALF = np.uint64(32)


def shingles(text: str) -> set[str]:
    """The runs of SHINGLE words, numbers among them."""
    tokens = words(text)
    return set(grams(tokens, SHINGLE)) or {" ".join(tokens)}


def jaccard(left: str, right: str) -> float:
    """|A ∩ B| / |A ∪ B| of two texts' shingles, in [0, 1]."""
    a, b = shingles(left), shingles(right)
    return len(a & b) / len(a | b)


class MinHash:
    """`hashes` functions x -> ((a x + b) mod 2^64) / 2^32 of 32-bit x, a odd (multiply-shift), drawn once."""

    def __init__(self, hashes: int = 128):
        rng = np.random.default_rng(0)
        self._a, self._b = rng.integers(0, 1 << 64, (2, hashes, 1), dtype=np.uint64)
        self._a |= np.uint64(1)

    def signature(self, text: str) -> Signature:
        """uint32[hashes]."""
        values = np.fromiter((crc32(s.encode()) for s in shingles(text)), dtype=np.uint64)
        least: NDArray[np.uint64] = ((self._a * values + self._b) >> _HALF).min(axis=1)
        return least.astype(np.uint32)


@dataclass(frozen=True, slots=True)
class Bands:
    """How a signature is cut: a pair of similarity s becomes a candidate with probability 1 - (1 - s^rows)^bands."""

    bands: int
    rows: int

    @classmethod
    def of(cls, threshold: float, hashes: int) -> "Bands":
        """The cut that misses at most one pair in a hundred at the threshold, and as few others as can be."""
        for rows in range(hashes, 1, -1):
            bands = hashes // rows
            if cls(bands, rows).missed(threshold) <= 0.01:
                return cls(bands, rows)
        return cls(hashes, 1)

    def missed(self, similarity: float) -> float:
        """Share of the pairs of this similarity that are no candidates."""
        return float((1 - similarity**self.rows) ** self.bands)


def candidates(signatures: Signature, cut: Bands) -> Iterator[tuple[int, int]]:
    """(earlier, later) positions in uint32[texts, hashes] whose signatures agree in a band; a pair may come again.

    Of a group that agrees in a band, each text is paired with the one before it and with the group's first. Memory on
    top of the signatures is 24 bytes a text.
    """
    for band in range(cut.bands):
        part = signatures[:, band * cut.rows : (band + 1) * cut.rows]
        keys = np.zeros(len(part), dtype=np.uint64)
        for column in range(cut.rows):  # a polynomial in the rows, modulo 2^64
            keys = keys * np.uint64(0x9E3779B97F4A7C15) + part[:, column].astype(np.uint64) + np.uint64(1)
            keys ^= keys >> _HALF
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
        first, previous = -1, -2
        for at in same.tolist():
            left, right = int(order[at]), int(order[at + 1])
            first = left if at != previous + 1 else first
            previous = at
            yield left, right
            if first != left:
                yield first, right
