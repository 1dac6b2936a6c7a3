"""Measured against labelled pairs and against real answers with one character changed; needs the shared data."""

import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rstar.answers import compare
from rstar.answers.extract import answer_text
from rstar.answers.kinds import Opaque
from rstar.answers.read import read
from rstar.core.verdict import Verdict

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NEAR_MISSES = 4_000
needs_data = pytest.mark.skipif(not (SHARED / "equivalence_dev.jsonl").exists(), reason=f"no data at {SHARED}")
SETS = ("train/math_train_7500", "train/numina15_amc_aime", "benchmarks/math500", "benchmarks/olympiadbench")


def rows(name: str) -> Iterator[dict[str, str]]:
    with (SHARED / f"{name}.jsonl").open(encoding="utf-8") as file:
        yield from map(json.loads, file)


@needs_data
def test_labelled_pairs() -> None:
    accepted, refused, equal, start = [], [], 0, time.perf_counter()
    pairs = list(rows("equivalence_dev"))
    for row in pairs:
        verdict = compare(row["gold"], row["candidate"]).verdict
        equal += bool(row["label"])
        if verdict is Verdict.EQUIVALENT and not row["label"]:
            accepted.append(row["id"])
        if verdict is not Verdict.EQUIVALENT and row["label"]:
            refused.append(row["id"])
    assert accepted == []
    assert len(refused) <= 0.05 * equal, refused
    assert time.perf_counter() - start < 0.015 * len(pairs) * 4  # a loaded machine may take four times as long


@needs_data
def test_real_answers_with_one_digit_or_letter_changed() -> None:
    draw = random.Random(20_240_229)
    golds = sorted({str(row["answer"]) for name in SETS for row in rows(name) if 0 < len(str(row["answer"])) < 200})
    accepted = []
    for _ in range(NEAR_MISSES):
        gold = draw.choice(golds)
        candidate = changed(gold, draw)
        if candidate is not None and compare(gold, candidate).verdict is Verdict.EQUIVALENT:
            accepted.append((gold, candidate))
    assert accepted == []


@needs_data
def test_nearly_every_real_answer_is_understood_and_equals_itself() -> None:
    golds = sorted({str(row["answer"]) for name in SETS for row in rows(name) if str(row["answer"]).strip()})
    assert sum(isinstance(read(answer_text(gold)), Opaque) for gold in golds) < 0.01 * len(golds)
    whole = [gold for gold in golds if not gold.endswith("\\")]  # a lone backslash would swallow the box's brace
    for gold in random.Random(1).sample(whole, 500):
        assert compare(gold, rf"Therefore the answer is $\boxed{{{gold}}}$.").verdict is Verdict.EQUIVALENT, gold


def changed(text: str, draw: random.Random) -> str | None:
    """`text` with one digit, or one letter outside commands and words, replaced by another."""
    places = [match.start() for match in re.finditer(r"\d|(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", text)]
    if not places:
        return None
    at = draw.choice(places)
    letters = (
        "0123456789" if text[at].isdigit() else "abcdfghjkmnopqrstuvwxyz" if text[at].islower() else "ABCDEFGHKLMNPQRST"
    )
    return text[:at] + draw.choice([letter for letter in letters if letter != text[at]]) + text[at + 1 :]
