"""COUNTDOWN: problems that can be solved, a solver that errs as often as it should, play that solves nothing."""

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar.answers.countdown import LARGEST, OPERATORS, Move, Puzzle, after, judge, moves_of
from rstar.config.models import TokenizerConfig
from rstar.config.train import CountdownAugmentConfig
from rstar.core.execution import ROOT_STATE
from rstar.core.verdict import Verdict
from rstar.data import countdown
from rstar.data.augment import draw
from rstar.data.countdown import LEVELS, Player, demonstrations, problem, problems, shuffled, solving, transcripts
from rstar.errors import ConfigError, RolloutError
from rstar.sandbox import Sandbox
from rstar.sandbox.config import SandboxConfig
from rstar.search.calls import Generate
from rstar.text.grammar import STOPS, Grammar, program, segments
from rstar.train.tokenizer import build

GRAMMAR = Grammar(observe=True, answer="printed", task="countdown")
COUNTS = {"L2": 20, "L3": 20, "L4": 10, "L5": 5}


def puzzle_of(one) -> Puzzle:
    return Puzzle.read(one.answer)


def asked(prompt: str, n: int = 1, seed: int = 1) -> Generate:
    return Generate(prompt, n, seed, STOPS)


@given(st.integers(0, 10_000))
def test_problems_can_be_solved_and_are_what_their_level_says(seed: int):
    for one in problems({"L2": 3, "L3": 3, "L4": 1}, seed, "p"):
        puzzle = puzzle_of(one)
        assert len(puzzle.numbers) == LEVELS[one.level or ""]
        assert all(1 <= n <= 20 for n in puzzle.numbers)
        assert puzzle.target in range(1, 100)
        assert puzzle.target not in puzzle.numbers
        assert solving(puzzle.numbers, puzzle.target)
        assert one.text == f"Numbers {puzzle}"


def test_problems_are_fixed_by_their_seed_distinct_and_apart_from_others():
    one, again, other = (problems(COUNTS, seed, "p") for seed in (1, 1, 2))
    assert one == again
    assert one != other
    apart = problems(COUNTS, 2, "q", avoid=one)
    puzzles = [p.answer for p in (*one, *apart)]
    assert len(set(puzzles)) == len(puzzles) == 2 * sum(COUNTS.values())
    assert Counter(p.level for p in one) == COUNTS


def test_a_level_that_is_used_up_is_an_error():
    with pytest.raises(ConfigError, match="L2 of Countdown has not 5000 different problems left"):
        problems({"L2": 5000}, 1, "p")


def test_demonstrations_are_right():
    items = problems(COUNTS, 3, "p")
    for one in demonstrations(items, 1):
        assert judge(one.problem.answer or "", "\n".join(one.steps)).verdict is Verdict.EQUIVALENT


def played(player: Player, one, seed: int) -> str:
    """A whole solution by a scripted policy, with the observations that the executor would write."""
    left = puzzle_of(one).numbers
    text = ""
    while len(left) > 1:
        (said,) = player(asked(GRAMMAR.prompt(one.text) + text, seed=seed))
        segment = GRAMMAR.read(said.text, text)
        assert segment is not None
        (move,) = moves_of(segment.body) or [None]
        assert move is not None
        rest = after(left, move)
        assert rest is not None
        left, seed = rest, seed + 1
        text += said.text + GRAMMAR.observation(segment.kind, countdown.shown(left, puzzle_of(one).target))
    assert text.count("<end_of_code>") == 1
    return text


def share(player: Player, items: list) -> float:
    programs = [(one, program(played(player, one, i))) for i, one in enumerate(items)]
    right = [judge(one.answer, code).verdict is Verdict.EQUIVALENT for one, code in programs]
    return sum(right) / len(right)


def test_the_solver_errs_as_often_as_it_is_told():
    items = problems({"L2": 150, "L3": 150}, 5, "p")
    assert share(Player(0.0), items) == 1.0
    assert 0.75 < share(Player(0.15), items) < 0.95
    assert share(Player(1.0), items) < 0.45


def test_a_call_is_answered_from_its_seed_alone():
    prompt = GRAMMAR.prompt("Numbers 9 8 7 -> 24")
    one, again, other = (Player(1.0)(asked(prompt, 8, seed)) for seed in (1, 1, 2))
    assert one == again != other
    assert len({completion.text for completion in one}) > 1


def test_where_one_number_is_left_nothing_is_said_and_without_a_state_it_is_an_error():
    assert Player()(asked("Numbers 9 8 -> 17 <output>Numbers 17 -> 17<end_of_output>")) == []
    for prompt in ("What is 2 + 2?", "Numbers 9 8 -> ?"):
        with pytest.raises(RolloutError, match="shows no numbers and target"):
            Player()(asked(prompt))


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_base_play_is_legal_and_reaches_no_target_that_it_shows(seed: int, targets: float):
    for play in transcripts(5, seed, targets):
        text = play.prompt.partition("Numbers ")[2].partition("\n")[0]
        moves = moves_of(program(play.solution))
        left: tuple[int, ...] | None = tuple(map(int, text.partition(" ->")[0].split()))
        assert moves is not None
        assert len(moves) == LEVELS[play.level] - 1
        for move in moves:
            assert left is not None
            left = after(left, move)
            assert left is not None
            assert f"Numbers {' '.join(map(str, left))} -> " in play.solution
        assert text.partition("-> ")[2] != str(left[0])


def test_the_share_of_plays_that_show_a_target():
    shares = [sum("?" not in p.prompt for p in transcripts(400, 1, share)) / 400 for share in (0.0, 0.6, 1.0)]
    assert (shares[0], shares[2]) == (0.0, 1.0)
    assert 0.5 < shares[1] < 0.7


@pytest.mark.timeout(120)
def test_the_setup_does_in_the_sandbox_what_the_verifier_replays():
    """Legal and illegal moves alike: what is left is printed, anything else raises, and no move is half made."""
    left = (20, 12, 5, 5, 0)
    one = problem("p", Puzzle(left, 24))
    tried = [Move(operator, a, b) for operator in (*OPERATORS, "**") for a in (*left, 7) for b in (20, 12, 5, 0, 1)]

    async def run():
        async with Sandbox(SandboxConfig(preload=[])) as sandbox:
            ready = await sandbox.run(ROOT_STATE, one.setup)
            assert ready.stdout == ""
            return await sandbox.run_many(ready.state, [move.source for move in tried])

    for move, result in zip(tried, asyncio.run(run()), strict=True):
        rest = after(left, move)
        assert result.ok == (rest is not None), move
        assert rest is None or result.stdout.strip() == countdown.shown(rest, 24)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_shuffling_keeps_what_a_text_means(seed: int, drawn: int):
    for play in transcripts(3, seed, 0.5):
        text = play.prompt + play.solution
        other = shuffled(text, str(drawn))
        assert program(other[len(play.prompt) :]) == program(play.solution)
        assert [own for _, own in segments(other)] == [own for _, own in segments(text)]
        for before, now in zip(countdown._STATE.finditer(text), countdown._STATE.finditer(other), strict=True):
            assert sorted(before[1].split()) == sorted(now[1].split())
            assert before[2] == now[2]


def test_what_two_texts_share_is_shuffled_alike():
    (play,) = transcripts(1, 4, 0.0, ["L5"])
    cut = play.solution.index("<end_of_output>")
    renaming = draw(CountdownAugmentConfig(p=1.0), [play.prompt, play.solution], random.Random(1))
    assert renaming(play.solution).startswith(renaming(play.solution[:cut]))
    assert renaming(play.prompt) != play.prompt
    assert draw(CountdownAugmentConfig(p=0.0), [play.prompt], random.Random(1))(play.prompt) == play.prompt


def test_every_number_is_one_word_of_a_short_text():
    tokenizer = build(TokenizerConfig(numbers="whole"), countdown.vocabulary())

    def length(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    assert {length(f" {n}") for n in range(LARGEST + 1)} == {1}
    assert max(length(play.prompt + play.solution) for play in transcripts(100, 1, 0.5)) <= 120


def test_numbers_beyond_the_largest_are_no_move():
    assert Move("*", 10, 10).value is None
    assert Move("*", 9, 11).value == LARGEST
