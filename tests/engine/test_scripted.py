import pytest

from rstar.core.execution import ROOT_STATE, Status
from rstar.core.verdict import Verdict
from rstar.engine.scripted import ScriptedWorld
from rstar.search.calls import Answer, Execute, Generate, Score, Verify
from rstar.text.grammar import STOPS, Grammar, Kind

PROMPT = Grammar().prompt("How many?")
FIRST = "<code>\n# step 0\nx = 7\n<end_of_step>"


def generate(prompt: str, n: int = 8, seed: int = 5, temperature: float = 1.0) -> Generate:
    return Generate(prompt, n, seed, STOPS, temperature)


def test_every_reply_is_a_function_of_the_call_alone():
    calls = [
        generate(PROMPT),
        Execute(ROOT_STATE, ("x = 7", "print(x)", "nonsense")),
        Score((PROMPT, PROMPT + FIRST)),
        Verify("7", (Answer("7"), Answer("8"))),
    ]
    world = ScriptedWorld(3)
    forward = [world(call) for call in calls]
    backward = [ScriptedWorld(3)(call) for call in reversed(calls)][::-1]
    assert forward == backward


def test_seeds_prompts_and_worlds_make_a_difference():
    replies = [
        ScriptedWorld(world)(generate(prompt, seed=seed))
        for world in (0, 1)
        for prompt in (PROMPT, Grammar().prompt("Other?"))
        for seed in (5, 6)
    ]
    assert len({tuple(c.text for c in reply) for reply in replies}) == len(replies)


def test_temperature_zero_is_one_text_whatever_the_seed():
    texts = {c.text for seed in range(5) for c in ScriptedWorld()(generate(PROMPT, seed=seed, temperature=0.0))}
    assert len(texts) == 1


def test_branching_bounds_the_distinct_steps():
    texts = {c.text for seed in range(20) for c in ScriptedWorld(branching=3)(generate(PROMPT, seed=seed))}
    assert len(texts) == 3


def test_the_executor_really_adds_up():
    world = ScriptedWorld()
    first, printed, failed = world(Execute(ROOT_STATE, ("# a\nx = 7", "x = 2\nprint(x)", "# b\nraise ValueError(1)")))
    assert (first.status, first.stdout) == (Status.OK, "")
    assert (printed.status, printed.stdout) == (Status.OK, "2\n")
    assert (failed.status, failed.state) == (Status.EXCEPTION, None)
    more, less = world(Execute(first.state, ("x = x + 5\nprint(x)", "x = x - 9\nprint(x)")))
    assert (more.stdout, less.stdout) == ("12\n", "-2\n")


@pytest.mark.parametrize("answer", ["boxed", "printed"])
@pytest.mark.parametrize("observe", [False, True])
def test_the_policy_writes_in_the_grammar(observe: bool, answer: str):
    """Followed greedily to its end, every solution is well-formed and what it answers is what the code printed."""
    grammar = Grammar(observe, answer)  # type: ignore[arg-type]
    for seed in range(30):
        world = ScriptedWorld(seed, failing=0.0, unparsable=0.0, printing=0.5)
        after, state, shown, segment = "", ROOT_STATE, "", None
        while segment is None or not grammar.ends(segment.kind):
            text = world(generate(grammar.prompt("How many?") + after, n=1, temperature=0.0))[0].text
            segment = grammar.read(text, after)
            assert segment is not None, text
            after += text
            if segment.kind is not Kind.ANSWER:
                result = world(Execute(state, (segment.body,)))[0]
                assert result.ok
                state, shown = result.state, result.stdout.strip()
                after += grammar.observation(segment.kind, shown)
        if answer == "boxed":
            assert segment.body == f"The answer is \\boxed{{{shown}}}."
        else:
            assert shown == state


def test_scores_are_in_range_and_differ_by_role():
    prefixes = tuple(f"prefix {i}" for i in range(100))
    ppm, orm = ScriptedWorld()(Score(prefixes)), ScriptedWorld()(Score(prefixes, "orm"))
    assert all(-1 <= value <= 1 for value in ppm)
    assert min(ppm) < -0.5 < 0.5 < max(ppm)
    assert ppm != orm


def test_the_grader_compares_strings():
    right, wrong = ScriptedWorld()(Verify("7", (Answer("7"), Answer("7.0"))))
    assert (right.verdict, wrong.verdict) == (Verdict.EQUIVALENT, Verdict.DIFFERENT)
