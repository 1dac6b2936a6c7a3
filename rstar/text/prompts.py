"""The prompts a search sends: the fine-tuned format, or an instruction with worked examples for a general model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import jinja2

from rstar.core.problem import Demonstration, Problem
from rstar.text.grammar import Grammar, written


@dataclass(frozen=True, slots=True)
class Prompts:
    """How a problem is put to the policy.

    `fine_tuned` is the format of the training data, byte for byte; `instruct` explains the format and shows `examples`
    to a model that was never trained on it (the bootstrap round with a general model).
    """

    grammar: Grammar
    style: Literal["fine_tuned", "instruct"] = "fine_tuned"
    examples: tuple[Demonstration, ...] = ()

    def policy(self, problem: Problem) -> str:
        """The prompt a solution is written behind."""
        if self.style == "fine_tuned":
            return self.grammar.prompt(problem.text)
        examples = [
            {"problem": e.problem.text, "answer": e.problem.answer, "code": "".join(written(e.steps))}
            for e in self.examples
        ]
        return _template("bootstrap.jinja").render(
            problem=problem.text, examples=examples, boxed=self.grammar.boxed, task=self.grammar.task
        )

    @property
    def question(self) -> str:
        """How a step opens that poses a sub-question; a fine-tuned model's own comments say what a step asks."""
        return "#" if self.style == "fine_tuned" else "# Sub-question:"

    def rephrase(self, problem: Problem) -> str:
        """An instruction to put the problem in other words; a model that knows only solutions cannot follow it."""
        return _template("rephrase.jinja").render(problem=problem.text)

    def statement(self, problem: Problem) -> str:
        """An instruction to state a problem together with its answer (self-verification)."""
        return _template("statement.jinja").render(problem=problem.text, answer=problem.answer)

    def varied(self, how: Literal["numbers", "conditions", "new"], problem: Problem, beside: Sequence[Problem]) -> str:
        """An instruction to write another problem: with other numbers, with another condition, or a new one like this
        and those `beside` it."""
        seeds = [one.text for one in (problem, *beside)]
        return _template(f"{how}.jinja").render(problem=problem.text, seeds=seeds)

    def judge(self, problem: Problem, solution: str) -> str:
        """An instruction to say of a partial solution: sure, likely or impossible (tree of thoughts)."""
        return _template("judge.jinja").render(problem=problem.text, solution=solution)

    def critic(self, problem: Problem, solution: str) -> str:
        """An instruction to say whether a partial solution is to continue or to end (ReST-MCTS*)."""
        return _template("critic.jinja").render(problem=problem.text, solution=solution)

    def value(self, problem: Problem) -> str:
        """The prompt a value model reads: always the fine-tuned format."""
        return self.grammar.prompt(problem.text)


@cache
def _template(name: str) -> jinja2.Template:
    source = resources.files("rstar.text").joinpath("templates", name).read_text(encoding="utf-8")
    # The output is a prompt for a language model, never a page: escaping would change the problem's text.
    return jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True).from_string(source)
