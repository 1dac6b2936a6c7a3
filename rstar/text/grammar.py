"""Code-augmented CoT as text: how a step is read from a completion and what the executor writes behind it.

The layout is that of the released rStar-Math data::

    <code>
    # Step 1: ...
    total = 2 * 20 * 12
    <end_of_step>

    # Now print the final answer
    print(total)
    <end_of_code>
    <output>480<end_of_output>
    <answer>... \\boxed{480}
    <end_of_answer>
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from rstar.answers import countdown
from rstar.answers.normal import normal_form
from rstar.answers.yesno import yes_or_no

CODE = "<code>"
END_STEP = "<end_of_step>"
END_CODE = "<end_of_code>"
OUTPUT = "<output>"
END_OUTPUT = "<end_of_output>"
ANSWER = "<answer>"
END_ANSWER = "<end_of_answer>"
USER = "<|user|>:"
ASSISTANT = "<|assistant|>:"

STOPS = (END_STEP, END_CODE, END_ANSWER)
MARKERS = (USER, ASSISTANT, CODE, END_STEP, END_CODE, OUTPUT, END_OUTPUT, ANSWER, END_ANSWER)

PROMPT_HEAD = f"{USER}\n"
PROMPT_TAIL = f"\n{ASSISTANT} Let's think step by step and solve the problem with code."

_MARKER = re.compile("|".join(re.escape(marker) for marker in MARKERS))


Task = Literal["math", "code", "yesno", "countdown"]
"""What a solution answers with: a value, the program that it is itself, yes or no, or a program of moves."""
PROGRAMS = frozenset({"code", "countdown"})
"""Tasks whose solutions answer with what they are, not with what they say."""


class Kind(StrEnum):
    """What a segment of a solution is."""

    STEP = "step"
    LAST_STEP = "last_step"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Segment:
    """One well-formed completion: a step of code (`body` is its source) or the closing answer (`body` is its text)."""

    kind: Kind
    body: str
    first: bool = False

    def render(self) -> str:
        """The exact text; `Grammar.read` is its inverse."""
        lead = f"{CODE}\n" if self.first else "\n\n"
        match self.kind:
            case Kind.STEP:
                return f"{lead}{self.body}\n{END_STEP}"
            case Kind.LAST_STEP:
                return f"{lead}{self.body}\n{END_CODE}"
            case Kind.ANSWER:
                return f"\n{ANSWER}{self.body}\n{END_ANSWER}"


@dataclass(frozen=True, slots=True)
class Grammar:
    """How solutions are written.

    `observe` shows the policy what a step printed, as an output block behind the step. `answer` says what the answer
    is: the text in a box after the code (`boxed`), or the last line that the code printed (`printed`, for models too
    small to copy it into a box). Where the `task` is code, the steps themselves are the answer and nothing follows
    them.
    """

    observe: bool = False
    answer: Literal["boxed", "printed"] = "boxed"
    task: Task = "math"

    @property
    def boxed(self) -> bool:
        """Whether an answer block follows the code."""
        return self.answer == "boxed" and self.task not in PROGRAMS

    def prompt(self, problem: str) -> str:
        """What stands before a solution, in search and in training."""
        return f"{PROMPT_HEAD}{problem}{PROMPT_TAIL}"

    def read(self, text: str, after: str) -> Segment | None:
        """The segment that `text`, written behind the solution text `after`, is; None when it is not well-formed."""
        found = _MARKER.findall(text)
        if not found or not text.endswith(found[-1]):
            return None
        done = _ended_code(after)
        inner = text[: -len(found[-1])]
        if found[-1] == END_ANSWER:
            lead, _, body = inner.partition(ANSWER)
            if not done or found[:-1] != [ANSWER] or lead.strip() or not body.strip():
                return None
            return Segment(Kind.ANSWER, body.strip())
        if found[-1] not in (END_STEP, END_CODE) or done:
            return None
        first = not after
        if first:
            if found[:-1] != [CODE] or not inner.startswith(CODE):
                return None
            inner = inner[len(CODE) :]
        elif len(found) != 1:
            return None
        body = inner.strip("\n").rstrip()
        if not body.strip():
            return None
        return Segment(Kind.STEP if found[-1] == END_STEP else Kind.LAST_STEP, body, first)

    def observation(self, kind: Kind, printed: str) -> str:
        """What the executor writes behind a step that ran: an output block, or nothing."""
        if kind is Kind.STEP and not (self.observe and printed):
            return ""
        if kind is Kind.LAST_STEP and not self.boxed and not self.observe:
            return ""
        return f"\n{OUTPUT}{_without_markers(printed)}{END_OUTPUT}"

    def ends(self, kind: Kind) -> bool:
        """Whether a segment of this kind closes the solution."""
        return kind is Kind.ANSWER or (kind is Kind.LAST_STEP and not self.boxed)

    def opening(self, after: str) -> str:
        """What a step behind the solution text `after` starts with, before its first line."""
        return "\n\n" if after else f"{CODE}\n"

    def result(self, solution: str, said: str | None) -> str | None:
        """The answer of a solution whose box, or last print, says `said`."""
        match self.task:
            case "code" | "countdown":
                return program(solution)
            case "yesno":
                return yes_or_no(said or "") or said
            case "math":
                return said

    def key(self, answer: str) -> str:
        """What equal answers share: the normal form of a value, the code of a program without its comments, the
        number that moves come to."""
        if self.task == "countdown":
            return countdown.claim(answer) or _bare(answer)
        return _bare(answer) if self.task == "code" else normal_form(answer)


def written(steps: list[str] | tuple[str, ...]) -> list[str]:
    """The policy's text for each worked step in turn, the last one closing the code."""
    last = len(steps) - 1
    return [
        Segment(Kind.LAST_STEP if i == last else Kind.STEP, step.strip("\n").rstrip(), first=i == 0).render()
        for i, step in enumerate(steps)
    ]


def program(solution: str) -> str:
    """The code of all steps of a solution text, as one program."""
    steps = (_MARKER.sub("", piece).strip("\n") for piece, own in segments(solution) if own)
    return "\n".join(step for step in steps if step.strip())


def opening_comment(step: str) -> str:
    """The start of a step's text up to the end of the comment that it opens with; empty where it opens with code."""
    lines = step.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if line.strip() and line.strip() != CODE), len(lines))
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("#")), len(lines))
    return "".join(lines[:end]) if end > start else ""


def segments(text: str) -> list[tuple[str, bool]]:
    """Cut a whole solution after each marker that ends something: (piece, was it written by the policy?).

    The pieces joined give `text` back; the executor's output blocks are the pieces marked False.
    """
    pieces: list[tuple[str, bool]] = []
    start = 0
    for match in _MARKER.finditer(text):
        if match.group() in (END_STEP, END_CODE, END_ANSWER, END_OUTPUT):
            pieces.append((text[start : match.end()], match.group() != END_OUTPUT))
            start = match.end()
    if start < len(text):
        pieces.append((text[start:], True))
    return pieces


def _without_markers(printed: str) -> str:
    while _MARKER.search(printed):  # again, because cutting one marker out can join the halves of another
        printed = _MARKER.sub("", printed)
    return printed


def _bare(code: str) -> str:
    lines = (line.rstrip() for line in code.splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def _ended_code(after: str) -> bool:
    return END_CODE in after
