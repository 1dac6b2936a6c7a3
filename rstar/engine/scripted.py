"""A deterministic world without models: every reply is a function of the call alone. For tests and tutorials.

`ScriptedWorld` answers all four calls by hashing them; as a plain function it drives a search by hand
(`rstar.search.calls.drive`), as lanes it serves the driver. It is a stand-in for nothing: its "policy" writes
arithmetic in the real grammar, its "executor" really adds the numbers up, its "value model" is a hash.
"""

import asyncio
import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.core.verdict import Judgement, Verdict
from rstar.engine.driver import Lane, Ticket
from rstar.search.calls import Call, Completion, Execute, Finish, Generate, Reply, Score, Verify
from rstar.text.grammar import CODE, END_CODE, END_OUTPUT, END_STEP, OUTPUT, Kind, Segment

_OPENED = re.compile(rf"(?:{CODE}\n|(?<=_step>|utput>)\n\n)(#[^<]*)\Z")
"""A prompt that ends in the opening comment of a step."""
_CODE = re.compile(r"x = (x [-+] )?(\d+)$|print\(x\)$")


@dataclass(frozen=True, slots=True)
class ScriptedWorld:
    """Answers any call, always the same way.

    `branching` bounds the distinct steps a prompt can be continued by; `failing`, `unparsable` and `ending` are the
    shares of steps that raise, cannot be read, or print the answer, `printing` that of steps which print on their way.
    Where the grammar wants a box, what was printed last is copied into it.
    """

    seed: int = 0
    branching: int = 4
    failing: float = 0.1
    unparsable: float = 0.05
    ending: float = 0.3
    printing: float = 0.0

    def __call__(self, call: Call) -> Reply:
        match call:
            case Generate():
                return [self._complete(call, i) for i in range(call.n)]
            case Execute():
                return [_run(call.state, code) for code in call.codes]
            case Score():
                return [round(2 * self._unit("score", call.role, prefix) - 1, 6) for prefix in call.prefixes]
            case Verify():
                return [
                    Judgement(Verdict.EQUIVALENT if a.text == call.reference else Verdict.DIFFERENT, "string")
                    for a in call.answers
                ]

    def _complete(self, call: Generate, i: int) -> Completion:
        """A continuation of the prompt; where it ends in the opening of a step, the rest of a step.

        Where no step is asked for, some words.
        """
        if END_STEP not in call.stop:
            return Completion(f"In other words {int(self._unit('words', call.prompt) * 9) + 1}: how many?\n\n", 6)
        opened = _OPENED.search(call.prompt)
        if opened is None:
            return self._step(call, i)
        step = self._step(replace(call, prompt=call.prompt[: opened.start()]), i)
        rest = step.text.partition("#")[2]
        if opened[1].endswith("\n"):
            rest = rest.partition("\n")[2]
        return replace(step, text=rest) if rest else step

    def _step(self, call: Generate, i: int) -> Completion:
        rng = random.Random(f"{self.seed}|{call.seed}|{i if call.temperature else 0}")
        pick = rng.randrange(self.branching) if call.temperature else 0
        unit = self._unit("kind", call.prompt, str(pick))
        first = not call.prompt.endswith((END_STEP, END_OUTPUT))
        number = int(self._unit("number", call.prompt, str(pick)) * 9) + 1
        if unit < self.unparsable:
            return Completion("and so on", 3, Finish.LENGTH)
        head, _, block = call.prompt.rpartition(OUTPUT)
        if not first and head.endswith(f"{END_CODE}\n"):
            printed = block.removesuffix(END_OUTPUT).splitlines()[-1]
            return Completion(Segment(Kind.ANSWER, f"The answer is \\boxed{{{printed}}}.").render(), 5)
        if unit < self.unparsable + self.failing:
            return Completion(Segment(Kind.STEP, f"# fail\nraise ValueError({number})", first).render(), 8)
        if not first and unit > 1 - self.ending:
            return Completion(Segment(Kind.LAST_STEP, "# answer\nprint(x)").render(), 6)
        code = f"x = {number}" if first else f"x = x {'+' if pick % 2 else '-'} {number}"
        if self._unit("print", call.prompt, str(pick)) < self.printing:
            code += "\nprint(x)"
        return Completion(Segment(Kind.STEP, f"# step {pick}\n{code}", first).render(), 10)

    def _unit(self, *parts: str) -> float:
        """A number in [0, 1) that depends on nothing but the parts."""
        digest = hashlib.sha256("\x1f".join((str(self.seed), *parts)).encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


def _run(state: str, code: str) -> StepResult:
    """A one-variable interpreter whose state id is the variable's value."""
    x = 0 if state == ROOT_STATE else int(state)
    stdout = ""
    for line in code.splitlines():
        match = _CODE.match(line)
        if line.startswith("#"):
            continue
        if match is None:
            return StepResult(Status.EXCEPTION, error="ValueError: scripted (line 2)")
        if line == "print(x)":
            stdout += f"{x}\n"
            continue
        number = int(match.group(2))
        sign = -1 if match.group(1) == "x - " else 1
        x = x + sign * number if match.group(1) else number
    return StepResult(Status.OK, str(x), stdout=stdout)


def lane(
    answer: Callable[[Call], Reply],
    max_batch: int = 64,
    max_concurrent: int = 1,
    latency_s: Callable[[Sequence[Ticket]], float] | None = None,
) -> Lane:
    """A lane that answers by a plain function, after `latency_s(batch)` seconds if that is given."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply]:
        if latency_s is not None:
            await asyncio.sleep(latency_s(tickets))
        return [answer(ticket.call) for ticket in tickets]

    return Lane(worker, max_batch, max_concurrent)
