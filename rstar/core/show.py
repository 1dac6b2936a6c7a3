"""A tree as text: for people at a terminal and for golden tests."""

from rstar.core.tree import ROOT, Node, Tree


def show(tree: Tree, width: int = 96) -> str:
    """One line a node, indented by depth: id, N, Q, score, what ended it, and the step on one line."""
    lines = [f"{tree.problem.id}: {_one_line(tree.problem.text, width)}"]
    if tree.problem.setup:
        lines.append(f"setup: {_one_line('; '.join(tree.problem.setup.splitlines()), width)}")
    stack = [ROOT]
    while stack:
        at = stack.pop()
        lines.append(_line(at, tree.nodes[at], width))
        stack.extend(reversed(tree.nodes[at].children))
    return "\n".join(lines) + "\n"


def _line(at: int, node: Node, width: int) -> str:
    marks = [f"N={node.visits} Q={node.q:+.2f}"]
    if node.action:
        marks.append(node.action.value)
    if node.score is not None:
        marks.append(f"score={node.score:+.2f}")
    if node.count > 1:
        marks.append(f"x{node.count}")
    if node.terminal:
        marks.append(node.terminal.value if not node.error else f"{node.terminal.value}: {node.error}")
    if node.answer is not None:
        marks.append(f"answer {node.answer!r} {node.verdict.value if node.verdict else 'ungraded'}")
    elif node.closed and not node.terminal:
        marks.append("closed")
    text = node.text or node.rephrased
    step = f"  | {_one_line(text, width)}" if text else ""
    return f"{'  ' * node.depth}[{at}] {' '.join(marks)}{step}"


def _one_line(text: str, width: int) -> str:
    flat = " / ".join(line for line in (part.strip() for part in text.splitlines()) if line)
    return flat if len(flat) <= width else flat[: width - 1] + "…"
