"""The WORDS family: its levels, its answers, and its teacher."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar.core.problem import Problem
from rstar.data import words
from rstar.search.calls import Generate
from rstar.text.grammar import END_CODE, END_STEP, PROMPT_HEAD, PROMPT_TAIL, STOPS, Grammar, written

EACH = dict.fromkeys(words.LEVELS, 40)
EVERY = words.problems(EACH, 5, "t")


def ask(teacher: words.Teacher, problem: Problem, solution: str = "", n: int = 1, seed: int = 0) -> list[str]:
    call = Generate(f"{PROMPT_HEAD}{problem.text}{PROMPT_TAIL}{solution}", n, seed, STOPS)
    return [completion.text for completion in teacher(call)]


def solved(teacher: words.Teacher, problem: Problem, seed: int = 0) -> str:
    """A whole solution, step by step."""
    solution = ""
    while END_CODE not in solution:
        solution += ask(teacher, problem, solution, seed=seed + len(solution))[0]
    return solution


def run(code: str) -> str:
    """What the steps print, in plain Python."""
    printed: list[object] = []
    exec(code, {"print": printed.append, "__builtins__": {}})
    (value,) = printed
    return str(value)


def code_of(solution: str) -> str:
    return solution.replace("<code>", "").replace(END_STEP, "").replace(END_CODE, "")


def test_each_verb_has_one_meaning_and_each_set_every_shape():
    assert sorted(verb for members in words.SETS.values() for verb in members) == sorted(words.VERBS)
    assert len(set(words.VERBS)) == 32
    for members in words.SETS.values():
        assert sorted(words.MEANING[verb] for verb in members) == sorted(words.SHAPES)


def test_a_shape_is_the_code_it_is_written_as():
    for shape, function in words.SHAPES.items():
        for x, n in ((7, 3), (-2, 60), (0, 5)):
            assert eval(shape.format(n=n), {"x": x}) == function(x, n)


def test_a_level_uses_its_verb_sets_and_no_others():
    of_verb = {verb: name for name, members in words.SETS.items() for verb in members}
    for problem in EVERY:
        _, _, events = words.read(problem.text)
        used = "".join(sorted(of_verb[verb] for verb, _ in events))
        assert used in ["".join(sorted(kinds)) for kinds in words.LEVELS[problem.level]], problem.text
    # And each combination of a level comes up.
    for level, kinds in words.LEVELS.items():
        seen = {len(words.read(p.text)[2]) for p in EVERY if p.level == level}
        assert seen == {len(kind) for kind in kinds}


def test_numbers_of_a_problem_are_distinct_and_no_value_runs_away():
    for problem in EVERY:
        _, start, events = words.read(problem.text)
        numbers = [start, *(n for _, n in events)]
        assert len(set(numbers)) == len(numbers)
        assert len({verb for verb, _ in events}) == len(events)
        assert abs(int(problem.answer)) <= words.LARGEST


def test_answers_are_what_the_worked_steps_print():
    for problem, shown in zip(EVERY, words.demonstrations(EVERY), strict=True):
        assert shown.problem == problem
        assert run("\n".join(shown.steps)) == problem.answer


def test_problems_are_as_many_as_asked_with_ids_by_level():
    made = words.problems({"L1": 3, "L3": 2, "L2": 0}, 1, "x")
    assert [problem.id for problem in made] == ["x-L1-0", "x-L1-1", "x-L1-2", "x-L3-0", "x-L3-1"]
    assert [problem.level for problem in made] == ["L1"] * 3 + ["L3"] * 2


def test_texts_are_distinct_and_avoid_what_is_given():
    first = words.problems(EACH, 5, "a")
    assert len({problem.text for problem in first}) == len(first)
    second = words.problems(EACH, 5, "b", avoid=first)
    assert len(second) == len(first)
    assert not {p.text for p in first} & {p.text for p in second}


def test_the_seed_decides_and_each_level_has_its_own_stream():
    assert words.problems(EACH, 5, "t") == EVERY
    assert {p.text for p in words.problems(EACH, 6, "t")} != {p.text for p in EVERY}
    alone = words.problems({"L4": 40}, 5, "t")
    assert [p.text for p in alone] == [p.text for p in EVERY if p.level == "L4"]


@pytest.mark.parametrize("text", ["", "What is 2 + 3?", "At first Ann has 3."])
def test_other_texts_are_not_read(text):
    with pytest.raises(ValueError, match="not a WORDS problem"):
        words.read(text)


KNOWN = words.problems({"L1": 30, "L2": 30}, 9, "boot")


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.sampled_from(KNOWN), st.integers(0, 2**63 - 1), st.integers(1, 6))
def test_the_same_seed_gives_the_same_replies(problem, seed, n):
    teacher = words.Teacher(0.5)
    replies = ask(teacher, problem, n=n, seed=seed)
    assert len(replies) == n
    assert ask(words.Teacher(0.5), problem, n=n, seed=seed) == replies
    assert ask(teacher, problem, n=n + 3, seed=seed)[:n] == replies


@pytest.mark.parametrize("problem", KNOWN[::6], ids=lambda p: p.id)
def test_without_noise_the_teacher_writes_the_demonstration(problem):
    (shown,) = words.demonstrations([problem])
    for seed in range(3):
        solution = solved(words.Teacher(0.0), problem, seed)
        assert solution == "".join(written(shown.steps))
        assert run(code_of(solution)) == problem.answer


def test_what_it_writes_is_read_by_the_grammar():
    grammar = Grammar(answer="printed")
    solution = ""
    while END_CODE not in solution:
        (text,) = ask(words.Teacher(0.3), KNOWN[-1], solution, seed=len(solution))
        assert grammar.read(text, solution) is not None
        solution += text


@pytest.mark.parametrize("noise", [0.0, 0.15, 0.5, 1.0])
def test_the_share_of_errors_is_about_the_noise(noise):
    """An error is another shape 7 times in 10 (one in eight of them hits the right one), else another number."""
    wrong = total = 0
    for problem in KNOWN[:30]:
        name, start, ((verb, n), *_) = words.read(problem.text)
        first = ask(words.Teacher(0.0), problem)[0]
        right = ask(words.Teacher(0.0), problem, first)[0]
        replies = ask(words.Teacher(noise), problem, first, n=100, seed=total)
        wrong += sum(reply != right for reply in replies)
        total += len(replies)
        assert all(f"# {name} {verb} {n}\n" in reply for reply in replies), "the comment was changed"
        assert f"x = {start}" in first
    slips = 0.7 * 7 / 8 + 0.3 * (1 - 1 / len(words.NUMBERS))
    # Four standard deviations of 3,000 draws at worst.
    assert wrong / total == pytest.approx(noise * slips, abs=0.037)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_at_the_start_only_the_number_may_be_wrong(noise):
    wrong = total = 0
    for problem in KNOWN[:30]:
        name, start, _ = words.read(problem.text)
        right = f"<code>\n# {name} has {start}\nx = {start}\n{END_STEP}"
        replies = ask(words.Teacher(noise), problem, n=100, seed=total)
        wrong += sum(reply != right for reply in replies)
        total += len(replies)
        assert {re.sub(r"x = \d+", f"x = {start}", reply) for reply in replies} == {right}
    assert wrong / total == pytest.approx(0.3 * noise * (1 - 1 / len(words.NUMBERS)), abs=0.034)


def test_verbs_it_does_not_know_get_any_shape():
    problem = next(p for p in EVERY if p.level == "L3" and len(words.read(p.text)[2]) == 1)
    first = ask(words.Teacher(0.0), problem)[0]
    replies = ask(words.Teacher(0.0), problem, first, n=300)
    shapes = {re.sub(r"\d+", "{n}", reply.partition("x = ")[2].partition("\n")[0]) for reply in replies}
    assert shapes == set(words.SHAPES)


@pytest.mark.parametrize(("shape", "turned"), words.TURNED.items())
@given(x=st.integers(-1000, 1000), n=st.integers(3, 60))
def test_a_turned_shape_means_the_same(shape, turned, x, n):
    assert eval(turned.format(n=n), {"x": x}) == words.SHAPES[shape](x, n)


def test_turned_steps_are_the_same_solutions_written_otherwise():
    for problem in KNOWN:
        solution = solved(words.Teacher(0.0, turned=1.0), problem, 1)
        assert run(code_of(solution)) == problem.answer
        steps = [shape for verb, _ in words.read(problem.text)[2] if (shape := words.MEANING[verb]) in words.TURNED]
        assert (solution == solved(words.Teacher(0.0), problem, 1)) == (not steps)
