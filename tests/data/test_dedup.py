"""MinHash estimates Jaccard similarity, and bands find the pairs that they promise to find."""

import random

import numpy as np
import pytest

from rstar.data.dedup import Bands, MinHash, candidates, jaccard

WORDS = [f"w{i}" for i in range(400)]


def text(rng: random.Random, length: int = 60) -> str:
    return " ".join(rng.choices(WORDS, k=length))


def changed(rng: random.Random, given: str, count: int) -> str:
    tokens = given.split()
    for at in rng.sample(range(len(tokens)), count):
        tokens[at] = f"new{rng.randrange(10**6)}"
    return " ".join(tokens)


def test_signatures_agree_as_often_as_the_texts_are_similar():
    rng, minhash, errors = random.Random(1), MinHash(256), []
    for count in (0, 1, 2, 4, 8):
        one = text(rng)
        other = changed(rng, one, count)
        agree = float((minhash.signature(one) == minhash.signature(other)).mean())
        errors.append(abs(agree - jaccard(one, other)))
    assert errors[0] == 0
    assert max(errors) < 0.12  # four standard deviations of 256 draws


@pytest.mark.parametrize(("threshold", "hashes"), [(0.5, 64), (0.7, 128), (0.8, 128), (0.95, 128)])
def test_bands_miss_at_most_one_pair_in_a_hundred_at_the_threshold(threshold: float, hashes: int):
    cut = Bands.of(threshold, hashes)
    assert cut.bands * cut.rows <= hashes
    assert cut.missed(threshold) <= 0.01
    assert cut.missed(threshold / 4) > 0.5


def test_near_copies_are_found_among_many_and_nothing_is_paired_with_itself():
    rng, minhash = random.Random(2), MinHash()
    texts = [text(rng) for _ in range(300)]
    copies = {300 + i: i for i in range(40)}
    texts += [changed(rng, texts[i], 1) for i in copies.values()]
    table = np.stack([minhash.signature(one) for one in texts])
    found = set(candidates(table, Bands.of(0.8, 128)))
    assert {(original, copy) for copy, original in copies.items()} <= found
    assert all(left < right for left, right in found)
    assert len(found) < 60


def test_of_a_group_of_equals_everyone_is_paired_with_the_first():
    table = np.stack([MinHash().signature("the same words in the same order again")] * 5)
    assert {(0, i) for i in range(1, 5)} <= set(candidates(table, Bands.of(0.8, 128)))
    assert set(candidates(table[:1], Bands.of(0.8, 128))) == set()
