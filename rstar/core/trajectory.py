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
        path = tree.path(leaf)
        nodes = [tree.nodes[i] for i in path]
        return cls(
            tree.problem.id,
            tree.attempt,
            tuple(path),
            "".join([node.text + node.observation for node in nodes]),
            tuple([node.q for node in nodes]),
            nodes[-1].answer,
            nodes[-1].correct,
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
