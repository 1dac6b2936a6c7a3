"""The search tree: a flat list of nodes with integer parents, one JSON line on disk, the source of truth."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

import msgspec

from rstar.core.execution import ROOT_STATE, StateId, Status
from rstar.core.problem import Problem
from rstar.core.verdict import Verdict

ROOT = 0


class Terminal(StrEnum):
    """Why a node has no successor."""

    ANSWERED = "answered"
    UNPARSABLE = "unparsable"
    CODE_ERROR = "code_error"
    TIMEOUT = "timeout"
    MAX_DEPTH = "max_depth"
    DEAD_END = "dead_end"


ANSWERED = Terminal.ANSWERED
"""By itself, because a member is looked up through its class many times slower than a name."""


class Action(StrEnum):
    """What made a node in mutual reasoning (rStar, section 3.2): A1 to A5."""

    ONE_STEP = "one_step"
    REMAINING_STEPS = "remaining_steps"
    SUBQUESTION = "subquestion"
    REANSWER = "reanswer"
    REPHRASE = "rephrase"


_EQUIVALENT, _DIFFERENT = Verdict.EQUIVALENT, Verdict.DIFFERENT


class Node(msgspec.Struct, gc=False, eq=False, forbid_unknown_fields=True):
    """One step, after it ran. (A Struct, because trees are read by the million: a tenth of a dataclass's time.)

    `text` is what the policy wrote, its closing marker included; `observation` what the executor put behind it.
    `visits` is N, `value_sum` the sum of what was backed up (the PPM's score is a node's first visit), `score` what the
    value model returned for the prefix that ends here, in [-1, 1]; `reward` what the task returned at a terminal.
    `count` says how many identical candidates were merged into this node. `action` made it, where a strategy has
    several; a node that rephrases the problem has no text of its own, and everything below it was asked with
    `rephrased` in the problem's place.
    """

    parent: int
    depth: int = 0
    text: str = ""
    observation: str = ""
    count: int = 1
    tokens: int = 0
    status: Status | None = None
    error: str | None = None
    answer: str | None = None
    printed: str | None = None
    terminal: Terminal | None = None
    verdict: Verdict | None = None
    rule: str | None = None
    reward: float | None = None
    score: float | None = None
    visits: int = 0
    value_sum: float = 0.0
    closed: bool = False
    action: Action | None = None
    rephrased: str | None = None
    children: list[int] = []
    state: StateId | None = None

    def __eq__(self, other: object) -> bool:
        """Whether both say the same; a state belongs to a sandbox, not to the step."""
        if not isinstance(other, Node):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Node.__struct_fields__ if name != "state")

    __hash__ = None  # type: ignore[assignment]

    @property
    def q(self) -> float:
        """Q-value, value_sum / N, in [-1, 1]; 0 before the first visit."""
        return self.value_sum / self.visits if self.visits else 0.0

    @property
    def correct(self) -> bool:
        return self.verdict is _EQUIVALENT

    @property
    def wrong(self) -> bool:
        """Known to be wrong: an answer that was not graded, or could not be decided, is neither right nor wrong."""
        if self.terminal is ANSWERED:
            return self.verdict is _DIFFERENT
        return self.terminal is not None


@dataclass(slots=True)
class Cost:
    """What a search spent: model calls, tokens the policy generated, executed steps, scored prefixes; and, as far as
    the engine tells, tokens of prompts the policy computed and tokens value models read."""

    calls: int = 0
    generated: int = 0
    executions: int = 0
    scored: int = 0
    prefilled: int = 0
    value_tokens: int = 0


@dataclass(slots=True)
class Tree:
    """A finished or growing search. `nodes[ROOT]` is the problem itself; node ids are positions in the list.

    `chosen` is the leaf that a strategy itself took as its answer, where its own rule decides that.
    """

    problem: Problem
    attempt: int = 0
    rollouts: int = 0
    chosen: int | None = None
    cost: Cost = field(default_factory=Cost)
    nodes: list[Node] = field(default_factory=lambda: [Node(parent=-1, state=ROOT_STATE)])

    def add(self, parent: int, text: str, **values: Any) -> int:
        """Append a child of `parent`; returns its id."""
        at = len(self.nodes)
        self.nodes.append(Node(parent=parent, depth=self.nodes[parent].depth + 1, text=text, **values))
        self.nodes[parent].children.append(at)
        return at

    def path(self, at: int) -> list[int]:
        """Node ids from below the root down to `at`; empty for the root."""
        ids = []
        while at != ROOT:
            ids.append(at)
            at = self.nodes[at].parent
        return ids[::-1]

    def prefix(self, at: int) -> str:
        """The solution text from the root down to `at`, observations included."""
        return "".join([self.nodes[i].text + self.nodes[i].observation for i in self.path(at)])

    def leaves(self) -> Iterator[int]:
        """Terminal nodes in order of birth."""
        return (i for i, node in enumerate(self.nodes) if node.terminal is not None and i != ROOT)

    def is_open(self, at: int) -> bool:
        """Whether something below (or at) this node is still unexplored."""
        return not self.nodes[at].closed

    def back_up(self, at: int, value: float) -> None:
        """One visit of `value` for every node from `at` up to the root: q(s)^k = q(s)^{k-1} + q(s_d)^k."""
        while at >= ROOT:
            node = self.nodes[at]
            node.visits += 1
            node.value_sum += value
            at = node.parent

    def close(self, at: int) -> None:
        """Mark a node exhausted, and every ancestor whose children are then all exhausted."""
        while at >= ROOT:
            node = self.nodes[at]
            node.closed = True
            at = node.parent
            if at >= ROOT and not all(self.nodes[i].closed for i in self.nodes[at].children):
                return

    def to_json(self) -> dict[str, Any]:
        """A plain dict; fields at their defaults are left out, `children` follow from `parent`."""
        return {
            "problem": _without_none(self.problem),
            "attempt": self.attempt,
            "rollouts": self.rollouts,
            **({} if self.chosen is None else {"chosen": self.chosen}),
            "cost": {f.name: getattr(self.cost, f.name) for f in fields(Cost)},
            "nodes": [_compact(node) for node in self.nodes],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Tree":
        """The inverse of `to_json`. Raises ValueError on what is not a tree."""
        try:
            return cls._of(msgspec.convert(data, _Stored))
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    @classmethod
    def from_line(cls, line: bytes) -> "Tree":
        """The tree in a line of JSON, without the dicts between. Raises ValueError on what is not a tree."""
        try:
            return cls._of(_DECODER.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(str(error)) from error

    @classmethod
    def _of(cls, stored: "_Stored") -> "Tree":
        return cls(stored.problem, stored.attempt, stored.rollouts, stored.chosen, stored.cost, _linked(stored))


class _Stored(msgspec.Struct):
    """A tree as it lies on disk."""

    problem: Problem
    attempt: int
    rollouts: int
    cost: Cost
    nodes: list[Node]
    chosen: int | None = None


_DECODER = msgspec.json.Decoder(_Stored)
_STORED = {
    name: default
    for name, default in zip(reversed(Node.__struct_fields__), reversed(Node.__struct_defaults__), strict=False)
    if name not in ("children", "state")
}
"""What is left out of a line where it is the default; `parent` has none."""


def _linked(stored: _Stored) -> list[Node]:
    """The nodes, each parent knowing its children. Raises ValueError where they are no tree."""
    nodes = stored.nodes
    if not nodes:
        raise ValueError("a tree has at least its root")
    if nodes[ROOT].parent != -1 or nodes[ROOT].children:
        raise ValueError(f"node {ROOT} has parent {nodes[ROOT].parent}")
    for at in range(1, len(nodes)):
        parent = nodes[at].parent
        if not 0 <= parent < at:
            raise ValueError(f"node {at} has parent {parent}")
        nodes[parent].children.append(at)
    if stored.chosen is not None and not 0 <= stored.chosen < len(nodes):
        raise ValueError(f"there is no node {stored.chosen} to be chosen")
    return nodes


def _compact(node: Node) -> dict[str, Any]:
    values = ((name, getattr(node, name)) for name in Node.__struct_fields__ if name in _STORED or name == "parent")
    return {name: value for name, value in values if name == "parent" or value != _STORED[name]}


def _without_none(problem: Problem) -> dict[str, Any]:
    values = {f.name: getattr(problem, f.name) for f in fields(Problem)}
    return {name: value for name, value in values.items() if value is not None}
