import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.config.train import AugmentConfig, RenameAugmentConfig, RenumberAugmentConfig, WordsAugmentConfig
from rstar.data.augment import augmenter, draw, lexicon
from rstar.data.words import MEANING, NAMES, NUMBERS, VERBS, demonstrations, problems
from rstar.text.grammar import Grammar, written

GRAMMAR = Grammar()
ALWAYS = RenumberAugmentConfig(p=1.0)
seeds = st.integers(0, 2**32)


def solved(problem: str, *steps: str) -> str:
    return GRAMMAR.prompt(problem) + "".join(written(steps))


def words_texts() -> Iterator[str]:
    for demonstration in demonstrations(problems({"L1": 5, "L4": 10, "L6": 10}, 1, "p")):
        yield solved(demonstration.problem.text, *demonstration.steps)


WORDS = list(words_texts())
TEXT = solved(
    "A pen costs 12 dollars and 50 cents, a book 3.50 dollars. Ann2 buys 4 of 12 pens. It is 1 o'clock.",
    "# Step 4: the price is 12 dollars\nx4 = 12\nprice = x4 * 100 + 50",
    "# Step 5: 4 pens and a book for 3.50\nprint(price * 4 + 3.50 * 100 + 1)",
)


@given(seed=seeds, verbs=st.sampled_from([0.0, 0.5, 1.0]), text=st.sampled_from(WORDS))
def test_the_same_generator_gives_the_same_text(seed: int, verbs: float, text: str) -> None:
    for cfg in (WordsAugmentConfig(verbs=verbs), RenumberAugmentConfig(), None):
        vary = augmenter(cfg)
        assert vary(text, random.Random(seed)) == vary(text, random.Random(seed))


@given(seed=seeds, verbs=st.sampled_from([0.0, 1.0]), text=st.sampled_from(WORDS))
def test_words_are_renamed_one_to_one(seed: int, verbs: float, text: str) -> None:
    varied = augmenter(WordsAugmentConfig(verbs=verbs))(text, random.Random(seed))
    before, after = re.findall(r"\w+|\W+", text), re.findall(r"\w+|\W+", varied)
    pairs = set(zip(before, after, strict=True))
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    for a, b in pairs:
        if a in NAMES:
            assert b in NAMES
        elif a in VERBS:
            assert b in VERBS
            assert verbs or a == b
        elif a.isdigit():
            assert int(b) in NUMBERS
        else:
            assert a == b


@given(seed=seeds, text=st.sampled_from(WORDS))
def test_without_verbs_the_meaning_is_kept(seed: int, text: str) -> None:
    """The renamed steps are the true steps of the renamed problem, shape by shape."""
    varied = augmenter(WordsAugmentConfig(verbs=0.0))(text, random.Random(seed))
    for verb, n, value in re.findall(r"# \w+ (\w+) (\d+)\nx = (.*)", varied):
        if verb in VERBS:
            assert value == MEANING[verb].format(n=n)


def test_verbs_are_permuted_as_often_as_asked() -> None:
    vary = augmenter(WordsAugmentConfig(verbs=0.4))
    verbs = [verb for verb in VERBS if f" {verb} " in WORDS[20]]
    kept = [all(f" {verb} " in vary(WORDS[20], random.Random(seed)) for verb in verbs) for seed in range(400)]
    assert 0.5 < sum(kept) / 400 < 0.7


@given(seed=seeds)
def test_numbers_change_in_words_and_code_alike(seed: int) -> None:
    varied = augmenter(ALWAYS)(TEXT, random.Random(seed))
    found = re.search(r"costs (\d\d) dollars and (\d\d) cents, a book (\d\.\d\d) dollars", varied)
    assert found is not None
    a, b, c = found.groups()
    (d,) = re.findall(r"buys (\d) of", varied)
    assert len({a, b, c, d, "12", "50", "3.50", "4"}) == 8
    expected = TEXT.replace("12", a).replace("3.50", c).replace("50 c", f"{b} c").replace("+ 50", f"+ {b}")
    expected = expected.replace("buys 4", f"buys {d}").replace("5: 4", f"5: {d}").replace("* 4", f"* {d}")
    assert varied == expected


def test_what_no_number_of_the_problem_is_stays() -> None:
    varied = augmenter(ALWAYS)(TEXT, random.Random(0))
    for kept in ("Ann2", "Step 4:", "x4 = ", "* 100", "+ 1)", "1 o'clock"):
        assert kept in varied


def test_a_number_that_the_solution_does_not_name_stays() -> None:
    text = solved("12 pens at 50% off cost 84.", "x = 84 / 0.5\nprint(x / 12)")
    for seed in range(20):
        varied = augmenter(ALWAYS)(text, random.Random(seed))
        assert "50% off" in varied
        assert "84" not in varied


def test_thousands_separators_leave_a_problem_alone() -> None:
    text = solved("Of 1,250 pens 12 are red.", "print(1250 - 12)")
    assert augmenter(ALWAYS)(text, random.Random(0)) == text


def test_a_share_of_the_examples_is_renumbered() -> None:
    vary = augmenter(RenumberAugmentConfig(p=0.8))
    changed = sum(vary(TEXT, random.Random(seed)) != TEXT for seed in range(400))
    assert 0.74 < changed / 400 < 0.86


@pytest.mark.parametrize("cfg", [WordsAugmentConfig(verbs=1.0), ALWAYS])
@given(seed=seeds, text=st.sampled_from([*WORDS, TEXT]))
def test_texts_that_belong_together_are_renamed_alike(cfg: AugmentConfig, seed: int, text: str) -> None:
    prompt, code, solution = text.partition("<code>")
    rename = draw(cfg, [prompt, code + solution, code + solution + " 7777"], random.Random(seed))
    assert rename(prompt) + rename(code + solution) == rename(text)
    assert rename(code + solution + " 7777") == rename(code + solution) + " 7777"


@given(seed=seeds, text=st.text())
def test_any_text_passes(seed: int, text: str) -> None:
    for cfg in (WordsAugmentConfig(), ALWAYS):
        augmenter(cfg)(text, random.Random(seed))


ROWS = [
    (GRAMMAR.prompt(text), "".join(written(["# Step 1: add the pens\nx1 = n0 + n1", "print(x1)"])))
    for text in (
        "Ann has n0 pens and n1 caps . How many does Ann have ?",
        "Bob has n0 hats and n1 pens . How many does Bob have ?",
        "Kim has n0 cars and n1 dogs . How many does Kim have ?",
    )
]
LEXICON = lexicon(ROWS, ["Zoe", "kites", "has", "print", "lamp"], 0.34)


def test_rare_words_are_those_of_few_problems_and_of_no_solution() -> None:
    assert LEXICON.rare == {"Ann", "Bob", "Kim", "caps", "hats", "cars", "dogs"}  # `pens` is said in a solution
    assert LEXICON.pool == {
        (True, False): ["Ann", "Bob", "Kim", "Zoe"],
        (False, True): ["caps", "cars", "dogs", "hats", "kites"],
        (False, False): ["lamp"],
    }


@given(seed=seeds, row=st.sampled_from(ROWS), p=st.sampled_from([0.0, 0.5, 1.0]))
def test_rare_words_are_replaced_one_to_one_by_words_of_their_shape(seed: int, row: tuple[str, str], p: float) -> None:
    rename = draw(RenameAugmentConfig(p=p), row, random.Random(seed), LEXICON)
    before, after = row[0].split(), rename(row[0]).split()
    table = dict(zip(before, after, strict=True))
    assert [table[word] for word in before] == after
    assert len(set(after)) == len(set(before))
    assert {old for old, new in table.items() if old != new} <= LEXICON.rare
    for old, new in table.items():
        assert (old[0].isupper(), old[-1] == "s") == (new[0].isupper(), new[-1] == "s")
    assert rename(row[1]) == row[1]
    if p == 0:
        assert before == after


def test_most_rare_words_are_replaced_when_all_are_asked_for() -> None:
    changed = [draw(RenameAugmentConfig(p=1), ROWS[2], random.Random(seed), LEXICON)(ROWS[2][0]) for seed in range(99)]
    assert sum("Kim" not in text for text in changed) > 50  # else it drew what stands there already
    assert len(set(changed)) > 9
