"""Who answers Verify calls: the grader, the tests of a program, a reading of yes and no, or a replay of moves."""

from collections.abc import Sequence
from typing import cast

from rstar.answers import countdown, yesno
from rstar.answers.grader import Grader
from rstar.answers.program import Suite, suite
from rstar.core.execution import ROOT_STATE, StateId, Status, StepResult
from rstar.core.verdict import Judgement, Verdict
from rstar.engine.driver import Lane, Ticket
from rstar.engine.lanes import grader_lane
from rstar.errors import RolloutError
from rstar.sandbox import Sandbox
from rstar.search.calls import Reply, Verify
from rstar.text.grammar import Task

UNDECIDED = frozenset({Status.INFRA, Status.NONDETERMINISTIC})
"""Ends of a run that say nothing about the program: the machine's, or another outcome at each replay."""


def verifier(task: Task, grader: Grader, sandbox: Sandbox) -> Lane:
    """The lane for Verify calls of a task."""
    match task:
        case "code":
            return program_lane(sandbox)
        case "yesno":
            return yesno_lane()
        case "countdown":
            return countdown_lane()
        case "math":
            return grader_lane(grader)


def yesno_lane() -> Lane:
    """References and answers that say yes or no."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply | RolloutError]:
        calls = [cast(Verify, ticket.call) for ticket in tickets]
        return [[yesno.judge(call.reference, a.text, a.printed) for a in call.answers] for call in calls]

    return Lane(worker, max_batch=64)


def countdown_lane() -> Lane:
    """References that are puzzles, answers that are programs of moves: read and replayed, whatever they printed."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply | RolloutError]:
        replies: list[Reply | RolloutError] = []
        for ticket in tickets:
            call = cast(Verify, ticket.call)
            try:
                replies.append([countdown.judge(call.reference, answer.text) for answer in call.answers])
            except ValueError as error:
                replies.append(RolloutError("verify", f"the reference of {ticket.key} cannot be used: {error}"))
        return replies

    return Lane(worker, max_batch=64)


def program_lane(sandbox: Sandbox) -> Lane:
    """References that are tests, answers that are programs: right is what passes every test in the sandbox.

    A program that raises, exits, or runs into a limit is wrong; one whose values are no literals, and whatever the
    machine spoiled, is unverifiable. Nothing is decided by text.
    """

    async def worker(tickets: Sequence[Ticket]) -> list[Reply | RolloutError]:
        replies: list[Reply | RolloutError] = []
        for ticket in tickets:
            call = cast(Verify, ticket.call)
            try:
                tests = suite(call.reference)
            except ValueError as error:
                replies.append(RolloutError("verify", f"the tests of {ticket.key} cannot be used: {error}"))
            else:
                replies.append([await passes(sandbox, tests, answer.text, ticket.key) for answer in call.answers])
        return replies

    return Lane(worker, max_batch=1, max_concurrent=16)


async def passes(sandbox: Sandbox, tests: Suite, program: str, group: str | None = None) -> Judgement:
    """Run a program, have it compute what each test asks for, and hold that against what is expected, elsewhere."""
    state: StateId = ROOT_STATE
    for part, code in (("program", program), ("setup", tests.setup)):
        if code.strip():
            ran = await sandbox.run(state, code, group=group)
            if ran.state is None:
                return _ended(part, ran)
            state = ran.state
    longest = sandbox.config.limits.out_chars
    said = await sandbox.run_many(state, [test.question(longest) for test in tests.tests], "never", group=group)
    wrong = next((one for one in said if not one.ok and one.status not in UNDECIDED), None)
    if wrong is not None:
        return _ended("tests", wrong)
    told = [one.value if one.ok and one.value not in (None, "None") else None for one in said]
    heard = await sandbox.run(ROOT_STATE, tests.hearing([text or "'[]'" for text in told]), group=group)
    if heard.state is None:
        return Judgement(Verdict.UNVERIFIABLE, "tests:unreadable")
    claims = [test.claim for test, text in zip(tests.tests, told, strict=True) if text is not None]
    held = await sandbox.run_many(heard.state, claims, "never", group=group)
    if any(not one.ok and one.status not in UNDECIDED for one in held):
        return Judgement(Verdict.DIFFERENT, "tests:failed")
    if all(one.ok for one in (*said, *held)) and None not in told:
        return Judgement(Verdict.EQUIVALENT, "tests:passed")
    spoiled = next((one for one in (*said, *held) if not one.ok), None)
    return Judgement(Verdict.UNVERIFIABLE, "tests:value" if spoiled is None else f"tests:{spoiled.status}")


def _ended(part: str, ran: StepResult) -> Judgement:
    verdict = Verdict.UNVERIFIABLE if ran.status in UNDECIDED else Verdict.DIFFERENT
    return Judgement(verdict, f"{part}:{ran.status}")
