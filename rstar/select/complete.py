"""Labels by a stronger model: what becomes of a step when somebody better goes on from it (Q*, 2406.14283)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import structs

from rstar.core.execution import ROOT_STATE
from rstar.core.tree import ROOT, Tree
from rstar.errors import RolloutError
from rstar.search.calls import Generate, Search, Seeds, Together, execute
from rstar.search.expand import Sample, expand
from rstar.search.reward import settle
from rstar.search.setup import set_up
from rstar.select.labels import Labels
from rstar.text.grammar import Kind
from rstar.text.prompts import Prompts


def completed(
    tree: Tree, prompts: Prompts, sample: Sample, seeds: Seeds, role: str = "stronger", ids: Sequence[int] | None = None
) -> Search[Labels]:
    """Q*'s labels by completion: the best reward, R = 1 for right and 0 for wrong, of `sample.n` completions by `role`.

    Every step of the finished tree (or those in `ids`) is run again and completed to its end, each step executed, the
    answer verified against the reference. An end is its own completion. None where no completion was decided.
    """
    return (yield from set_up(tree.problem, _completed(tree, prompts, sample, seeds, role, ids)))


def _completed(
    tree: Tree, prompts: Prompts, sample: Sample, seeds: Seeds, role: str, ids: Sequence[int] | None
) -> Search[Labels]:
    labels: Labels = [None] * len(tree.nodes)
    for at, node in enumerate(tree.nodes):
        if at == ROOT or (ids is not None and at not in ids):
            continue
        if node.terminal is not None:
            labels[at] = 1.0 if node.correct else 0.0 if node.wrong else None
            continue
        prefix = yield from _again(tree, at, prompts)
        rewards = []
        for _ in range(sample.n):
            own = replace(prefix, nodes=[structs.replace(one, children=list(one.children)) for one in prefix.nodes])
            rewards.append((yield from asking(role, _finish(own, prompts, sample, seeds))))
        decided = [reward for reward in rewards if reward is not None]
        labels[at] = max(decided, default=None)
    return labels


def asking(role: str, search: Search[Any]) -> Search[Any]:
    """The same search with another generator: `role` answers what it asks the policy."""
    reply: Any = None
    while True:
        try:
            call = search.send(reply)
        except StopIteration as stop:
            return stop.value
        if isinstance(call, Together):
            call = Together(tuple(_to(role, one) for one in call.calls))
        reply = yield _to(role, call)


def _to(role: str, call: Any) -> Any:
    return replace(call, role=role) if isinstance(call, Generate) else call


def _again(tree: Tree, at: int, prompts: Prompts) -> Search[Tree]:
    """A tree of nothing but the path to `at`, its code run again: finished trees keep no interpreter states."""
    copy = Tree(tree.problem)
    end, state = ROOT, ROOT_STATE
    for i in tree.path(at):
        node = tree.nodes[i]
        segment = prompts.grammar.read(node.text, copy.prefix(end))
        if segment is not None and segment.kind is not Kind.ANSWER:
            (result,) = yield from execute(state, [segment.body])
            if not result.ok or result.state is None:
                raise RolloutError("sandbox", f"a step that had run fails when it is run again: {result.error}")
            state = result.state
        end = copy.add(
            end,
            node.text,
            observation=node.observation,
            status=node.status,
            printed=node.printed,
            state=state,
        )
    return copy


def _finish(tree: Tree, prompts: Prompts, sample: Sample, seeds: Seeds) -> Search[float | None]:
    """Go on from the last node, one step at a time; the reward at the end."""
    at = len(tree.nodes) - 1
    one = replace(sample, n=1)
    while tree.nodes[at].terminal is None:
        born = yield from expand(tree, at, prompts, one, seeds)
        yield from settle(tree, born or [at], prompts, None)
        at = born[0] if born else at
    node = tree.nodes[at]
    return 1.0 if node.correct else 0.0 if node.wrong else None
