"""Lanes over the sandbox, the grader and scripted teachers. (Those over models: `rstar.engine.hf`.)"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import cast

from rstar.answers.grader import Grader
from rstar.core.verdict import Judgement, Verdict
from rstar.engine.driver import Lane, Ticket
from rstar.errors import RolloutError
from rstar.sandbox import Sandbox
from rstar.search.calls import Answer, Completion, Execute, Generate, Reply, Verify


def sandbox_lane(sandbox: Sandbox) -> Lane:
    """Execute calls: the siblings of one expansion go to the sandbox together, problems apart."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply | RolloutError]:
        calls = [(ticket.key, cast(Execute, ticket.call)) for ticket in tickets]
        runs = (sandbox.run_many(call.state, call.codes, group=key) for key, call in calls)
        return list(await asyncio.gather(*runs))

    return Lane(worker, max_batch=1, max_concurrent=8 * (os.cpu_count() or 1))


def grader_lane(grader: Grader) -> Lane:
    """Verify calls. An answer whose code printed something else than it says in words is unverifiable."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply | RolloutError]:
        calls = [cast(Verify, ticket.call) for ticket in tickets]
        return [[await _judge(grader, call.reference, answer) for answer in call.answers] for call in calls]

    return Lane(worker, max_batch=16, max_concurrent=16)


async def _judge(grader: Grader, reference: str, answer: Answer) -> Judgement:
    judgement = await grader.grade(reference, answer.text)
    if judgement.verdict is Verdict.EQUIVALENT and answer.printed and answer.printed != answer.text:
        executed = await grader.grade(reference, answer.printed)
        if executed.verdict is Verdict.DIFFERENT:
            return Judgement(Verdict.UNVERIFIABLE, "printed_differs", judgement.ms + executed.ms)
    return judgement


def teacher_lane(teacher: Callable[[Generate], list[Completion]]) -> Lane:
    """Generate calls answered by a plain function: the scripted teachers of the bootstrap round."""

    async def worker(tickets: Sequence[Ticket]) -> list[Reply | RolloutError]:
        replies: list[Reply | RolloutError] = []
        for ticket in tickets:
            try:
                replies.append(teacher(cast(Generate, ticket.call)))
            except RolloutError as error:
                replies.append(error)
        return replies

    return Lane(worker, max_batch=64, max_concurrent=1)
