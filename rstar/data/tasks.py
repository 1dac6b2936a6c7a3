"""The rows of problem files, task by task: values, programs with tests (MBPP), yes or no (StrategyQA), Countdown."""

import ast
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from rstar.answers.countdown import LARGEST, Puzzle, ordered
from rstar.answers.program import shown, suite
from rstar.answers.yesno import yes_or_no
from rstar.core.problem import Demonstration, Problem
from rstar.data import countdown
from rstar.text.grammar import Task


def _text_or_none(value: Any) -> Any:
    """Public files say all sorts of things under `source`; what is no text says nothing here."""
    return value if isinstance(value, str) and value else None


class ProblemRow(BaseModel):
    """A line of a problem file, in any of the usual public forms; fields that are not known are ignored."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(min_length=1, validation_alias=AliasChoices("id", "unique_id", "task_id", "index", "idx"))
    problem: str = Field(min_length=1, validation_alias=AliasChoices("problem", "question"))
    answer: str = Field(min_length=1)
    level: str | None = None
    setup: str | None = None
    source: Annotated[str | None, BeforeValidator(_text_or_none)] = None
    parent: str | None = None

    @field_validator("setup")
    @classmethod
    def _is_code(cls, setup: str | None) -> str | None:
        try:
            ast.parse(setup or "")
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"is not Python: {error}") from error
        return setup if setup and setup.strip() else None

    def posed(self, shown_tests: int) -> Problem:
        """The problem that the line puts."""
        return Problem(self.id, self.problem, self.answer, self.level, self.setup, self.source, self.parent)


def _in_words(value: Any) -> Any:
    return ("yes" if value else "no") if isinstance(value, bool) else value


class YesNoRow(ProblemRow):
    """A question that is answered with yes or no, as truth value or in words."""

    id: str = Field(min_length=1, validation_alias=AliasChoices("id", "qid", "index", "idx"))
    answer: Annotated[str, BeforeValidator(_in_words)]

    @field_validator("answer")
    @classmethod
    def _is_yes_or_no(cls, answer: str) -> str:
        said = yes_or_no(answer)
        if said is None:
            raise ValueError(f"{answer!r} is neither yes nor no")
        return said


class CodeRow(BaseModel):
    """A program to write and the assertions that it must pass; a solution in the row is not read."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(min_length=1, validation_alias=AliasChoices("id", "task_id", "index", "idx"))
    problem: str = Field(min_length=1, validation_alias=AliasChoices("problem", "text", "prompt"))
    tests: list[str] = Field(min_length=1, validation_alias=AliasChoices("tests", "test_list"))
    setup: str = Field("", validation_alias=AliasChoices("test_setup_code", "setup"))
    imports: list[str] = Field([], validation_alias=AliasChoices("test_imports", "imports"))
    level: str | None = None

    @field_validator("tests")
    @classmethod
    def _are_assertions(cls, tests: list[str]) -> list[str]:
        for test in tests:
            suite(test)
        return tests

    def posed(self, shown_tests: int) -> Problem:
        """The problem that the line puts."""
        reference = "\n".join([*self.imports, *([self.setup] if self.setup else []), *self.tests])
        return Problem(self.id, with_tests(self.problem, reference, shown_tests), reference, self.level)


def with_tests(text: str, reference: str, count: int) -> str:
    """A code problem's text with the first `count` of its tests, which say what the function is called."""
    tests = shown(reference, count)
    return "\n".join([text.strip(), "Your code should pass:", *tests]) if tests else text.strip()


class CountdownRow(BaseModel):
    """Numbers to combine and a target."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(min_length=1)
    numbers: list[Annotated[int, Field(ge=0, le=LARGEST)]] = Field(min_length=2)
    target: int = Field(ge=0, le=LARGEST)
    level: str | None = None

    def posed(self, shown_tests: int) -> Problem:
        """The problem that the line puts."""
        return countdown.problem(self.id, Puzzle(ordered(self.numbers), self.target), self.level)


class _Worked(BaseModel):
    steps: list[str] = Field(min_length=1)


class DemonstrationRow(_Worked, ProblemRow):
    """A line of a demonstration file: a problem with its worked steps."""


class _WorkedYesNo(_Worked, YesNoRow):
    pass


class _WorkedCode(_Worked, CodeRow):
    pass


class _WorkedCountdown(_Worked, CountdownRow):
    pass


Row = ProblemRow | CodeRow | CountdownRow
WorkedRow = DemonstrationRow | _WorkedYesNo | _WorkedCode | _WorkedCountdown
ROWS: dict[Task, type[Row]] = {"math": ProblemRow, "code": CodeRow, "yesno": YesNoRow, "countdown": CountdownRow}
WORKED_ROWS: dict[Task, type[WorkedRow]] = {
    "math": DemonstrationRow,
    "code": _WorkedCode,
    "yesno": _WorkedYesNo,
    "countdown": _WorkedCountdown,
}


def demonstration(row: WorkedRow, shown_tests: int) -> Demonstration:
    """The problem that a worked line puts, with its steps."""
    return Demonstration(row.posed(shown_tests), tuple(row.steps))


def problem_row(problem: Problem) -> dict[str, Any]:
    """A problem as a line of a problem file; what it does not have is left out."""
    row = {"id": problem.id, "problem": problem.text, "answer": problem.answer}
    more = {name: getattr(problem, name) for name in ("level", "setup", "source", "parent")}
    return row | {name: value for name, value in more.items() if value is not None}


def problem_of(row: dict[str, Any]) -> Problem:
    """The inverse of `problem_row`."""
    more = {name: row.get(name) for name in ("level", "setup", "source", "parent")}
    return Problem(row["id"], row["problem"], row["answer"], **more)
