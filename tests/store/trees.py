"""Small finished trees for tests of the store."""

from rstar.core.problem import Problem
from rstar.core.tree import Terminal, Tree
from rstar.core.verdict import Verdict


def tree(name: str, size: int = 2, correct: bool = False, attempt: int = 0) -> Tree:
    """A root and `size` answered children; the first is right if `correct`."""
    made = Tree(Problem(name, f"What is {name}? é", "1"), attempt=attempt)
    for i in range(size):
        right = correct and i == 0
        at = made.add(
            0,
            f"<code>\nprint({i})\n<end_of_code>",
            terminal=Terminal.ANSWERED,
            answer=str(i),
            verdict=Verdict.EQUIVALENT if right else Verdict.DIFFERENT,
            reward=1.0 if right else -1.0,
        )
        made.back_up(at, 1.0 if right else -1.0)
    return made
