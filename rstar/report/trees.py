"""Search trees for the explorer: which problems are shown, which of their nodes, and what was taken from them."""

import hashlib
import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from rstar.config.run import SelectConfig
from rstar.core.tree import ROOT, Node, Tree
from rstar.select.pairs import PairRule, pairs
from rstar.select.trajectories import best, difficulty, drawn
from rstar.text.grammar import ANSWER, MARKERS, opening_comment

NODES = 300
"""Nodes of one tree that are shown at most."""
FIELDS = (
    *("id", "parent", "visits", "q", "score", "terminal", "comment", "code", "output", "error"),
    *("answer", "verdict", "rule", "count", "marks", "action"),
)
"""What is told of a node, in this order; what is absent at the end of a row is left out."""
TEXT = 2000
"""Characters of one text that are shown at most."""

Marks = dict[int, str]
"""Node -> letters of what it became: `s` on a selected trajectory and `S` its end; `c` and `r` chosen and rejected in a
pair of steps, `C` and `R` in one of whole trajectories; `a` on the way to the strategy's own answer and `A` its end."""


def taken(trees: Sequence[Tree], how: SelectConfig) -> list[Marks]:
    """What the select stage took from one problem's trees: selected trajectories, and both sides of each pair."""
    found: list[defaultdict[int, str]] = [defaultdict(str) for _ in trees]
    place = {tree.attempt: i for i, tree in enumerate(trees)}
    for trajectory in (best if how.by == "q" else drawn)(trees, how.top):
        marks = found[place[trajectory.attempt]]
        for at in trajectory.path:
            marks[at] += "s"
        marks[trajectory.leaf] += "S"
    rule = PairRule(how.pairs, how.answer_pairs, how.min_margin, how.min_edit_distance)
    sides = {(pair.group, side, getattr(pair, side)) for pair in pairs(trees, rule) for side in ("chosen", "rejected")}
    for tree, marks in zip(trees, found, strict=True):
        groups = {f"{tree.problem.id}/{tree.attempt}/{node.parent}" for node in tree.nodes}
        names = groups & {group for group, _, _ in sides}
        ends = set(tree.leaves())
        for at, node in enumerate(tree.nodes[1:], start=1):
            group = f"{tree.problem.id}/{tree.attempt}/{node.parent}"
            if group in names:
                text = tree.prefix(at)
                marks[at] += "".join(side[0] for side in ("chosen", "rejected") if (group, side, text) in sides)
            if at in ends and node.answer is not None:
                whole = f"{tree.problem.id}/answers", tree.prefix(at)
                for side in ("chosen", "rejected"):
                    if (whole[0], side, whole[1]) in sides:
                        marks[at] += side[0].upper()
    return [{at: "".join(dict.fromkeys(letters)) for at, letters in marks.items()} for marks in found]


def told(tree: Tree, marks: Marks) -> dict[str, Any]:
    """A tree for the page, at most NODES nodes of it: what was taken first, then by visits, always with all above."""
    kept = _kept(tree, marks)
    return {
        "attempt": tree.attempt,
        "rollouts": tree.rollouts,
        "left_out": len(tree.nodes) - len(kept),
        "nodes": [_row(at, tree.nodes[at], marks.get(at, "")) for at in kept],
    }


@dataclass(slots=True)
class Sample:
    """Problems for the explorer, drawn evenly from every level and difficulty while their trees stream past.

    Which ones depends on their ids alone. At most `most` problems of each kind are held, so memory stays bounded.
    """

    most: int
    seen: int = 0
    _kinds: dict[tuple[str, str], list[tuple[int, int, bytes]]] = field(default_factory=lambda: defaultdict(list))

    def offer(self, trees: Sequence[Tree], marks: Callable[[Sequence[Tree]], list[Marks]]) -> None:
        """One problem with all its trees; `marks` is asked only where the problem is taken."""
        self.seen += 1
        problem = trees[0].problem
        kind = problem.level or "all", difficulty(trees).value
        rank = -int.from_bytes(hashlib.sha256(problem.id.encode()).digest()[:8])
        heap = self._kinds[kind]
        if not self.most or (len(heap) >= self.most and rank < heap[0][0]):
            return
        row = {
            "id": problem.id,
            "text": _short(problem.text),
            "answer": problem.answer,
            "level": kind[0],
            "difficulty": kind[1],
            "setup": problem.setup,
            "trees": [told(tree, its) for tree, its in zip(trees, marks(trees), strict=True)],
        }
        heapq.heappush(heap, (rank, self.seen, orjson.dumps(row)))
        if len(heap) > self.most:
            heapq.heappop(heap)

    def drawn(self, room: int) -> list[bytes]:
        """The problems that fit into `room` bytes, as JSON, one of each kind in turn, in the order they came."""
        turns = itertools.zip_longest(*(sorted(heap, reverse=True) for _, heap in sorted(self._kinds.items())))
        chosen: list[tuple[int, bytes]] = []
        for _, came, row in (one for turn in turns for one in turn if one is not None):
            if len(chosen) < self.most and len(row) <= room:
                room -= len(row)
                chosen.append((came, row))
        return [row for _, row in sorted(chosen)]


def _kept(tree: Tree, marks: Marks) -> list[int]:
    if len(tree.nodes) <= NODES:
        return list(range(len(tree.nodes)))
    kept = {ROOT}
    for at in sorted(range(1, len(tree.nodes)), key=lambda i: (i not in marks, -tree.nodes[i].visits, i)):
        path = [i for i in tree.path(at) if i not in kept]
        if len(kept) + len(path) <= NODES:
            kept.update(path)
    return sorted(kept)


def _row(at: int, node: Node, marks: str) -> list[Any]:
    comment, code = _read(node.text or node.rephrased or "")
    values = [
        *(at, node.parent, node.visits, round(node.q, 3)),
        None if node.score is None else round(node.score, 3),
        node.terminal and node.terminal.value,
        *(comment, code, _short(_plain(node.observation) or (node.printed or "").strip()), node.error),
        *(node.answer and _short(node.answer), node.verdict and node.verdict.value, node.rule),
        *(node.count, marks, node.action and node.action.value),
    ]
    while values[-1] in (None, ""):
        values.pop()
    return values


def _read(text: str) -> tuple[str, str]:
    """The words and the code of a step: an answer is all words."""
    if ANSWER in text:
        return _short(_plain(text)), ""
    comment = opening_comment(text)
    return _short("\n".join(_words(comment))), _short(_plain(text.removeprefix(comment)))


def _words(comment: str) -> Iterator[str]:
    for line in _plain(comment).splitlines():
        yield line.lstrip("#").strip()


def _plain(text: str) -> str:
    for marker in MARKERS:
        text = text.replace(marker, "")
    return text.strip("\n").rstrip()


def _short(text: str) -> str:
    return text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"
