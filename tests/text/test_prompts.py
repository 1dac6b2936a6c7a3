import pytest

from rstar.core.problem import Demonstration, Problem
from rstar.text.grammar import Grammar, segments
from rstar.text.prompts import Prompts

PROBLEM = Problem("p", "Is 2 < 3 & 'so' on?", "yes")
EXAMPLE = Demonstration(Problem("e", "What is 1 + 1?", "2"), ("# Step 1: add\nx = 1 + 1", "# Now print\nprint(x)"))


def test_the_fine_tuned_prompt_is_the_training_format():
    prompts = Prompts(Grammar())
    expected = (
        "<|user|>:\nIs 2 < 3 & 'so' on?\n<|assistant|>: Let's think step by step and solve the problem with code."
    )
    assert prompts.policy(PROBLEM) == expected
    assert prompts.value(PROBLEM) == expected


def test_a_value_model_reads_the_training_format_whatever_the_policy_reads():
    assert Prompts(Grammar(), "instruct", (EXAMPLE,)).value(PROBLEM) == Prompts(Grammar()).policy(PROBLEM)


@pytest.mark.parametrize("answer", ["boxed", "printed"])
def test_the_instruction_ends_where_the_solutions_of_its_examples_begin(answer: str):
    """Behind the prompt the policy is to go on as the examples do, with <code>: the grammar reads nothing else."""
    prompt = Prompts(Grammar(answer=answer), "instruct", (EXAMPLE,)).policy(PROBLEM)  # type: ignore[arg-type]
    assert "Problem: What is 1 + 1?\n<code>\n" in prompt
    assert prompt.endswith("\n\nProblem: Is 2 < 3 & 'so' on?\n")


@pytest.mark.parametrize("answer", ["boxed", "printed"])
def test_worked_examples_are_solutions_of_the_grammar_they_teach(answer: str):
    grammar = Grammar(answer=answer)  # type: ignore[arg-type]
    prompt = Prompts(grammar, "instruct", (EXAMPLE,)).policy(PROBLEM)
    solution = prompt.split("Problem: What is 1 + 1?\n")[1].split("\n\nProblem: ")[0]
    after = ""
    kinds = []
    for text, by_policy in segments(solution):
        if by_policy:
            segment = grammar.read(text, after)
            assert segment is not None, text
            kinds.append(segment.kind)
        else:
            assert text == grammar.observation(kinds[-1], "2")
        after += text
    assert grammar.ends(kinds[-1])
    assert after == solution


def test_only_a_boxed_grammar_asks_for_a_box():
    assert "\\boxed{...}" in Prompts(Grammar(answer="boxed"), "instruct").policy(PROBLEM)
    assert "boxed" not in Prompts(Grammar(answer="printed"), "instruct").policy(PROBLEM)
