import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.text.grammar import MARKERS, STOPS, Grammar, Kind, Segment, segments, written

GRAMMAR = Grammar()

FIRST = "<code>\n# Step 1: count\ntotal = 2 * 20 * 12\n<end_of_step>"
LAST = "\n\n# Now print the final answer\nprint(total)\n<end_of_code>"
OUTPUT = "\n<output>480<end_of_output>"
ANSWER = "\n<answer>There are \\boxed{480}\n<end_of_answer>"


def marker_free(text: str) -> bool:
    return not any(marker in text for marker in MARKERS)


def is_body(text: str) -> bool:
    """What a step's body can be: the layout's own line breaks and trailing white space are no part of it."""
    return marker_free(text) and text == text.strip("\n").rstrip() and bool(text.strip())


BODIES = st.text(alphabet="ab <>_=#/|\\\n\t1é☃", min_size=1, max_size=30).map(lambda s: s.strip("\n").rstrip())
STEPS = st.builds(Segment, st.sampled_from([Kind.STEP, Kind.LAST_STEP]), BODIES.filter(is_body), st.booleans())
ANSWERS = st.builds(Segment, st.just(Kind.ANSWER), BODIES.map(str.strip).filter(is_body))


def test_the_prompt_is_these_bytes():
    assert GRAMMAR.prompt("How many?\nSay it.") == (
        "<|user|>:\nHow many?\nSay it.\n<|assistant|>: Let's think step by step and solve the problem with code."
    )


def test_the_documented_solution_is_these_bytes():
    solution = FIRST + LAST + OUTPUT + ANSWER
    assert solution == (
        "<code>\n"
        "# Step 1: count\n"
        "total = 2 * 20 * 12\n"
        "<end_of_step>\n"
        "\n"
        "# Now print the final answer\n"
        "print(total)\n"
        "<end_of_code>\n"
        "<output>480<end_of_output>\n"
        "<answer>There are \\boxed{480}\n"
        "<end_of_answer>"
    )
    assert GRAMMAR.read(FIRST, "") == Segment(Kind.STEP, "# Step 1: count\ntotal = 2 * 20 * 12", first=True)
    assert GRAMMAR.read(LAST, FIRST) == Segment(Kind.LAST_STEP, "# Now print the final answer\nprint(total)")
    assert GRAMMAR.observation(Kind.LAST_STEP, "480") == OUTPUT
    assert GRAMMAR.read(ANSWER, FIRST + LAST + OUTPUT) == Segment(Kind.ANSWER, "There are \\boxed{480}")


def test_every_step_stops_at_one_of_the_stop_strings():
    assert STOPS == ("<end_of_step>", "<end_of_code>", "<end_of_answer>")
    assert set(STOPS) < set(MARKERS)


@given(STEPS)
def test_reading_is_the_inverse_of_rendering_a_step(segment: Segment):
    assert GRAMMAR.read(segment.render(), "" if segment.first else FIRST) == segment


@given(ANSWERS)
def test_reading_is_the_inverse_of_rendering_an_answer(segment: Segment):
    assert GRAMMAR.read(segment.render(), FIRST + LAST + OUTPUT) == segment


@given(st.lists(BODIES.filter(is_body), min_size=1, max_size=5))
def test_written_steps_read_back_one_after_the_other(bodies: list[str]):
    after = ""
    for i, (body, text) in enumerate(zip(bodies, written(bodies), strict=True)):
        kind = Kind.LAST_STEP if i == len(bodies) - 1 else Kind.STEP
        assert GRAMMAR.read(text, after) == Segment(kind, body, first=i == 0)
        after += text


def test_written_takes_surrounding_blank_lines_away():
    assert written(["\n# a\nx = 1\n\n", "print(x)  \n"]) == [
        "<code>\n# a\nx = 1\n<end_of_step>",
        "\n\nprint(x)\n<end_of_code>",
    ]
    assert written([]) == []


@pytest.mark.parametrize(
    ("text", "after"),
    [
        pytest.param("<code>\nx = 1\n", "", id="no marker at the end"),
        pytest.param("x = 1", FIRST, id="no marker at all"),
        pytest.param("", FIRST, id="nothing"),
        pytest.param("\n\nx = 1\n<end_of_step> and so on", FIRST, id="text behind the marker"),
        pytest.param("\n\nx = 1\n<end_of_step>\ny = 2\n<end_of_step>", FIRST, id="two steps at once"),
        pytest.param("\n\nx = 1\n<end_of_step>\ny = 2\n<end_of_code>", FIRST, id="a marker in the middle"),
        pytest.param("\n\nx = 1\n<output>2<end_of_output>\n<end_of_step>", FIRST, id="an output block of its own"),
        pytest.param("\n\nx = 1\n<|user|>:\n<end_of_step>", FIRST, id="a turn of its own"),
        pytest.param("\n\n<code>\nx = 1\n<end_of_step>", FIRST, id="code opened twice"),
        pytest.param("x = 1\n<end_of_step>", "", id="the first step without <code>"),
        pytest.param("First: <code>\nx = 1\n<end_of_step>", "", id="words before <code>"),
        pytest.param("<code>\n<code>\nx = 1\n<end_of_step>", "", id="<code> twice in the first step"),
        pytest.param("<code>\nx = 1\n<end_of_output>", "", id="ends with another marker"),
        pytest.param("<code>\n\n<end_of_step>", "", id="an empty first body"),
        pytest.param("\n\n  \n\t\n<end_of_step>", FIRST, id="a blank body"),
        pytest.param("<end_of_code>", FIRST, id="an empty last body"),
        pytest.param(ANSWER, FIRST, id="an answer before the code has ended"),
        pytest.param(ANSWER, "", id="an answer and nothing else"),
        pytest.param("\n<answer>\n<end_of_answer>", FIRST + LAST + OUTPUT, id="an empty answer"),
        pytest.param("\n\\boxed{480}\n<end_of_answer>", FIRST + LAST + OUTPUT, id="an answer that was not opened"),
        pytest.param("\nso <answer>480\n<end_of_answer>", FIRST + LAST + OUTPUT, id="words before the answer"),
        pytest.param("\n<answer><answer>480\n<end_of_answer>", FIRST + LAST + OUTPUT, id="an answer opened twice"),
        pytest.param(LAST, FIRST + LAST + OUTPUT, id="code behind the end of code"),
        pytest.param("\n\nx = 1\n<end_of_step>", FIRST + LAST + OUTPUT, id="a step behind the end of code"),
    ],
)
def test_what_is_not_well_formed_is_not_read(text: str, after: str):
    assert GRAMMAR.read(text, after) is None


@given(st.lists(st.sampled_from([*MARKERS, "x = 1", "\n", " "]), max_size=6).map("".join), st.booleans())
def test_what_is_read_holds_no_marker(text: str, first: bool):
    """Whatever is accepted can be cut and masked again: its body is free of markers."""
    for after in ("", FIRST, FIRST + LAST + OUTPUT):
        segment = GRAMMAR.read(text, after)
        if segment is not None:
            assert is_body(segment.body)
            assert segment.first == (after == "")
            assert (segment.kind is Kind.ANSWER) == (after == FIRST + LAST + OUTPUT)


BLOCK = "\n<output>7<end_of_output>"
EMPTY = "\n<output><end_of_output>"


@pytest.mark.parametrize(
    ("observe", "answer", "kind", "of_seven", "of_nothing"),
    [
        (False, "boxed", Kind.STEP, "", ""),
        (False, "boxed", Kind.LAST_STEP, BLOCK, EMPTY),
        (False, "printed", Kind.STEP, "", ""),
        (False, "printed", Kind.LAST_STEP, "", ""),
        (True, "boxed", Kind.STEP, BLOCK, ""),
        (True, "boxed", Kind.LAST_STEP, BLOCK, EMPTY),
        (True, "printed", Kind.STEP, BLOCK, ""),
        (True, "printed", Kind.LAST_STEP, BLOCK, EMPTY),
    ],
)
def test_observations(observe: bool, answer: str, kind: Kind, of_seven: str, of_nothing: str):
    grammar = Grammar(observe, answer)  # type: ignore[arg-type]
    assert grammar.observation(kind, "7") == of_seven
    assert grammar.observation(kind, "") == of_nothing


@pytest.mark.parametrize(("answer", "ending"), [("boxed", {Kind.ANSWER}), ("printed", {Kind.ANSWER, Kind.LAST_STEP})])
def test_what_closes_a_solution(answer: str, ending: set[Kind]):
    for observe in (False, True):
        assert {kind for kind in Kind if Grammar(observe, answer).ends(kind)} == ending  # type: ignore[arg-type]


@pytest.mark.parametrize("marker", MARKERS)
def test_a_printed_marker_is_cut_out(marker: str):
    assert GRAMMAR.observation(Kind.LAST_STEP, f"a{marker}b") == "\n<output>ab<end_of_output>"


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(MARKERS[:3], MARKERS)))
def test_cutting_a_marker_out_does_not_make_another(inner: str, outer: str):
    half = len(outer) // 2
    printed = f"a{outer[:half]}{inner}{outer[half:]}b"
    assert GRAMMAR.observation(Kind.LAST_STEP, printed) == "\n<output>ab<end_of_output>"


@given(st.lists(st.sampled_from([m[:4] for m in MARKERS] + [m[4:] for m in MARKERS] + list(MARKERS)), max_size=8))
def test_nothing_that_is_printed_forges_a_marker(pieces: list[str]):
    """Printing `<end_of_code>` must not end the code, whatever the halves it is printed in."""
    block = GRAMMAR.observation(Kind.LAST_STEP, "".join(pieces))
    assert marker_free(block.removeprefix("\n<output>").removesuffix("<end_of_output>"))
    assert segments(block) == [(block, False)]


def test_segments_tell_the_executor_from_the_policy():
    middle = "\n<output>480<end_of_output>"
    assert segments(FIRST + middle + LAST + OUTPUT + ANSWER) == [
        (FIRST, True),
        (middle, False),
        (LAST, True),
        (OUTPUT, False),
        (ANSWER, True),
    ]


@given(
    st.lists(st.tuples(BODIES.filter(is_body), st.text(alphabet="12\n <>", max_size=6)), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from(["boxed", "printed"]),
)
def test_segments_are_the_pieces_a_solution_was_written_in(steps: list, observe: bool, answer: str):
    grammar = Grammar(observe, answer)  # type: ignore[arg-type]
    pieces = []
    for i, (text, (_, printed)) in enumerate(zip(written([body for body, _ in steps]), steps, strict=True)):
        pieces.append((text, True))
        block = grammar.observation(Kind.LAST_STEP if i == len(steps) - 1 else Kind.STEP, printed)
        if block:
            pieces.append((block, False))
    assert segments("".join(piece for piece, _ in pieces)) == pieces


@given(st.lists(st.sampled_from([*MARKERS, "x", "\n"]), max_size=12).map("".join))
def test_segments_joined_give_the_text_back(text: str):
    pieces = segments(text)
    assert "".join(piece for piece, _ in pieces) == text
    assert all(piece for piece, _ in pieces)
    assert all(by_policy != piece.endswith("<end_of_output>") for piece, by_policy in pieces)
