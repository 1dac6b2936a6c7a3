from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rstar.config.models import TokenizerConfig
from rstar.text.grammar import MARKERS, PROMPT_HEAD, PROMPT_TAIL, segments
from rstar.train.tokenizer import PAD, build
from tests.train.conftest import ROWS

TEXTS = [row["prompt"] + row["solution"] for row in ROWS]
DIGITS = build(TokenizerConfig(numbers="digits"), TEXTS)
WHOLE = build(TokenizerConfig(numbers="whole"), TEXTS)

pieces = st.sampled_from(
    [*MARKERS, PROMPT_HEAD, PROMPT_TAIL, PAD, " Ann", "has", "  ", "\n\n", " 10", "x1", "é", "\u0120"]
)
texts = st.lists(st.one_of(pieces, st.text()), max_size=8).map("".join)


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("tokenizer", [DIGITS, WHOLE], ids=["digits", "whole"])
@given(text=texts)
def test_decoding_gives_the_text_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(ids(tokenizer, text)) == text


@pytest.mark.parametrize("tokenizer", [DIGITS, WHOLE], ids=["digits", "whole"])
@given(text=texts)
def test_segments_tokenised_apart_give_the_ids_of_the_whole(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    apart = [i for piece, _ in segments(text) for i in ids(tokenizer, piece)]
    assert apart == ids(tokenizer, text)


def test_a_solution_is_cut_at_the_end_of_its_prompt() -> None:
    for row in ROWS:
        apart = ids(WHOLE, row["prompt"]) + ids(WHOLE, row["solution"])
        assert apart == ids(WHOLE, row["prompt"] + row["solution"])


def test_the_frames_of_a_prompt_cost_one_token_each() -> None:
    assert len(ids(DIGITS, PROMPT_HEAD + PROMPT_TAIL)) == 2
    assert all(len(ids(DIGITS, marker)) == 1 for marker in MARKERS)


def test_words_of_the_texts_are_one_token_and_others_bytes() -> None:
    assert len(ids(DIGITS, " Ann")) == 1
    assert len(ids(DIGITS, " Zoe")) == 4


def test_a_digit_is_the_same_token_wherever_it_stands() -> None:
    (seven,) = ids(DIGITS, "7")
    assert ids(DIGITS, " 77") == [*ids(DIGITS, " "), seven, seven]
    assert ids(DIGITS, "x7")[-1] == seven


def test_whole_numbers_are_one_token_if_they_were_seen() -> None:
    assert len(ids(WHOLE, " 10")) == 1
    assert len(ids(WHOLE, " 99999")) == 6


def test_rare_words_are_spelt() -> None:
    tokenizer = build(TokenizerConfig(min_count=2), ["one two two"])
    assert len(ids(tokenizer, " two")) == 1
    assert len(ids(tokenizer, "one")) == 3


def test_the_saved_tokenizer_is_the_same_however_it_is_loaded(base: Path) -> None:
    made, auto = PreTrainedTokenizerFast.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    for text in [*TEXTS, "A\u030a  é\t\r\n12.5 <code>\n\nfoo_bar(1,234)"]:
        assert ids(auto, text) == ids(made, text) == ids(DIGITS, text)
        assert auto.decode(ids(auto, text)) == text
    assert auto.pad_token == PAD
