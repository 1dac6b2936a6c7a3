"""Views on finished trees: root-to-leaf trajectories and preference pairs of steps."""

from dataclasses import dataclass
from typing import Literal

from rstar.core.tree import Tree


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One root-to-answered-leaf path. `q_values[i]` belongs to the node `path[i]`."""

    problem_id: str
    attempt: int
    path: tuple[int, ...]
    text: str
    q_values: tuple[float, ...]
    answer: str | None
    correct: bool

    @property
    def leaf(self) -> int:
        return self.path[-1]

    @property
    def mean_q(self) -> float:
        return sum(self.q_values) / len(self.q_values)

    @property
    def min_q(self) -> float:
        return min(self.q_values)

    @classmethod
    def of(cls, tree: Tree, leaf: int) -> "Trajectory":
        """The trajectory of `tree` that ends in `leaf`."""
        path = tuple(tree.path(leaf))
        node = tree.nodes[leaf]
        return cls(
            tree.problem.id,
            tree.attempt,
            path,
            tree.prefix(leaf),
            tuple(tree.nodes[i].q for i in path),
            node.answer,
            node.correct,
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference: `chosen` over `rejected`, both whole texts behind the prompt.

    `kind` is `step` (both share the prefix) or `answer` (whole trajectories). `weight` is 1/(n_chosen n_rejected) of
    the group, so that every prefix counts once in the loss; `group` names that prefix.
    """

    problem_id: str
    group: str
    kind: Literal["step", "answer"]
    chosen: str
    rejected: str
    margin: float
    weight: float
