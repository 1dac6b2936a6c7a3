"""Growing one node by executed steps: the move that every strategy shares."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rstar.answers.extract import extract
from rstar.core.execution import TIMEOUTS, Status, StepResult
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.errors import RolloutError
from rstar.search.calls import Completion, Generate, Search, Seeds, execute, generate
from rstar.text.grammar import END_CODE, STOPS, Kind, Segment
from rstar.text.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Sample:
    """How many candidates an expansion asks for, and how they are sampled."""

    n: int
    temperature: float
    top_p: float
    max_tokens: int
    max_depth: int


def expand(tree: Tree, at: int, prompts: Prompts, sample: Sample, seeds: Seeds) -> Search[list[int]]:
    """Grow `at` by sampled steps that have run; returns the ids of the newborn."""
    completions = yield from propose(tree, at, prompts, sample, seeds)
    return (yield from grow(tree, at, completions, prompts, sample.max_depth))


def propose(tree: Tree, at: int, prompts: Prompts, sample: Sample, seeds: Seeds) -> Search[list[Completion]]:
    """What the policy would write behind `at`."""
    prompt = prompts.policy(tree.problem) + tree.prefix(at)
    completions = yield from generate(
        Generate(prompt, sample.n, seeds.next(), STOPS, sample.temperature, sample.top_p, sample.max_tokens)
    )
    tree.cost.calls += 1
    tree.cost.generated += sum(completion.tokens for completion in completions)
    return completions


def grow(
    tree: Tree, at: int, completions: Sequence[Completion], prompts: Prompts, max_depth: int, merge: bool = True
) -> Search[list[int]]:
    """Make completions children of `at` and run them; returns the ids of the newborn.

    Exact duplicates, of one another and of children that are already there, merge and keep their count. A step that
    failed, cannot be read, or stands too deep is a terminal from birth. A node without children is a dead end, and
    itself becomes the terminal.
    """
    born = []
    by_text = {tree.nodes[i].text: i for i in tree.nodes[at].children} if merge else {}
    for completion in completions:
        if completion.text in by_text:
            tree.nodes[by_text[completion.text]].count += 1
        else:
            by_text[completion.text] = tree.add(at, completion.text, tokens=completion.tokens)
            born.append(by_text[completion.text])
    if not born:
        if not tree.nodes[at].children:
            tree.nodes[at].terminal = Terminal.DEAD_END
        return born
    yield from _run(tree, at, born, prompts)
    for child in born:
        node = tree.nodes[child]
        # A block of code that has ended may still be answered, one level deeper.
        if node.terminal is None and node.depth >= max_depth and END_CODE not in node.text:
            node.terminal = Terminal.MAX_DEPTH
    return born


def follow(
    tree: Tree, at: int, steps: int, prompts: Prompts, sample: Sample, seeds: Seeds, known: dict[int, int]
) -> Search[list[int]]:
    """The nodes that up to `steps` further steps, one at a time, lead through from `at`.

    `known` remembers which step followed which node, so that none is sampled twice.
    """
    path = []
    for _ in range(steps):
        if at not in known and tree.nodes[at].terminal is None:
            born = yield from expand(tree, at, prompts, sample, seeds)
            known.update((at, child) for child in born[:1])
        if at not in known:
            break
        at = known[at]
        path.append(at)
    return path


def reopen(tree: Tree, ids: Iterable[int]) -> None:
    """Nodes that were only looked ahead from are not exhausted, however that went: open them and all above them."""
    for at in ids:
        while at >= ROOT and tree.nodes[at].terminal is None:
            tree.nodes[at].closed = False
            at = tree.nodes[at].parent


def _run(tree: Tree, at: int, born: list[int], prompts: Prompts) -> Search[None]:
    """Read the newborn as steps and execute those that are code."""
    grammar = prompts.grammar
    after = tree.prefix(at)
    coded: list[tuple[int, Segment]] = []
    for child in born:
        node = tree.nodes[child]
        segment = grammar.read(node.text, after)
        if segment is None:
            node.terminal = Terminal.UNPARSABLE
        elif segment.kind is Kind.ANSWER:
            node.printed = tree.nodes[at].printed
            _answer(tree, child, extract(segment.body), prompts)
        else:
            coded.append((child, segment))
    if not coded:
        return
    state = tree.nodes[at].state
    if state is None:
        raise RolloutError("search", f"node {at} has no interpreter state to run its children on")
    results = yield from execute(state, [segment.body for _, segment in coded])
    tree.cost.executions += len(coded)
    for (child, segment), result in zip(coded, results, strict=True):
        _record(tree, child, segment, result, prompts)


def _record(tree: Tree, child: int, segment: Segment, result: StepResult, prompts: Prompts) -> None:
    """Write the executor's typed verdict into the node."""
    if result.status is Status.INFRA:
        raise RolloutError("sandbox", result.error or "the sandbox could not run a step")
    node = tree.nodes[child]
    node.status, node.error, node.state = result.status, result.error, result.state
    if not result.ok:
        node.terminal = Terminal.TIMEOUT if result.status in TIMEOUTS else Terminal.CODE_ERROR
        return
    shown = result.stdout.strip() or (result.value or "")
    node.printed = shown or None
    if segment.kind is Kind.LAST_STEP and not prompts.grammar.observe:
        # Nothing was shown on the way, so the closing block holds all that the program printed.
        shown = "\n".join(printed for i in tree.path(child) if (printed := tree.nodes[i].printed))
    node.observation = prompts.grammar.observation(segment.kind, shown)
    if prompts.grammar.ends(segment.kind):
        _answer(tree, child, last_line(node.printed), prompts)


def last_line(printed: str | None) -> str | None:
    """The executed answer: the last line that was printed."""
    return printed.splitlines()[-1].strip() if printed else None


def _answer(tree: Tree, child: int, said: str | None, prompts: Prompts) -> None:
    node = tree.nodes[child]
    node.answer = prompts.grammar.result(tree.prefix(child), said)
    node.terminal = Terminal.ANSWERED if node.answer else Terminal.UNPARSABLE
