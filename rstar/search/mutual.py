"""rStar's mutual reasoning: five actions grow a tree by self-consistency, and a discriminator completes its solutions.

The reference is out of reach: the tree is grown on the problem without it, and nothing here asks for a verdict.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rstar.config.search import MutualConfig
from rstar.core.problem import Problem
from rstar.core.trajectory import Trajectory
from rstar.core.tree import ROOT, Action, Node, Terminal, Tree
from rstar.search.bandit import uct
from rstar.search.calls import Completion, Generate, Search, Seeds, generate, together
from rstar.search.expand import grow
from rstar.text.grammar import END_CODE, MARKERS, STOPS, opening_comment
from rstar.text.prompts import Prompts


@dataclass(frozen=True, slots=True)
class _Setting:
    """What every part of one search needs; `role` writes at `temperature`."""

    tree: Tree
    prompts: Prompts
    cfg: MutualConfig
    seeds: Seeds
    role: str
    temperature: float


def mutual(problem: Problem, prompts: Prompts, cfg: MutualConfig, seeds: Seeds) -> Search[Tree]:
    """Grow a tree with the generator, let the discriminator complete its solutions, choose one (arXiv 2408.06195).

    A rollout goes from the root to where nothing is open: at an unexplored node it takes every action that is allowed
    there, elsewhere it descends by UCT. A terminal's reward is the share that its answer has among all answers so far.
    """
    tree = Tree(problem.hidden())
    it = _Setting(tree, prompts, cfg, seeds, "policy", cfg.temperature)
    votes: Counter[str] = Counter()
    rng = random.Random(seeds.next())
    while tree.is_open(ROOT) and tree.rollouts < cfg.rollouts:
        at = ROOT
        while tree.is_open(at):
            if not tree.nodes[at].children:
                born = yield from _expand(it, at)
                _settle(it, born, votes)
            if tree.is_open(at):
                at = _select(tree, at, cfg.c, rng)
        tree.rollouts += 1
    yield from _discriminate(it, votes)
    return tree


def allowed(node: Node, cfg: MutualConfig) -> list[Action]:
    """The actions behind a node: A4 only after A3, A5 only at the root; code that has ended is only answered."""
    if END_CODE in node.text:
        return [Action.REMAINING_STEPS]
    barred = {Action.REANSWER} if node.action is not Action.SUBQUESTION else set()
    barred |= {Action.REPHRASE} if node.parent >= ROOT or cfg.depth == 1 else set()
    return [action for action in Action if action in cfg.actions and action not in barred]


def _expand(it: _Setting, at: int) -> Search[list[int]]:
    """Take every action at `at`, side by side; the newborn, and `at` itself where nothing came of it."""
    groups = yield from together([_act(it, at, action) for action in allowed(it.tree.nodes[at], it.cfg)])
    born = sorted(i for group in groups for i in group)
    if not it.tree.nodes[at].children:
        it.tree.nodes[at].terminal = Terminal.DEAD_END
        born.append(at)
    return born


def _act(it: _Setting, at: int, action: Action) -> Search[list[int]]:
    match action:
        case Action.ONE_STEP:
            return _steps(it, at, action, it.cfg.steps)
        case Action.REMAINING_STEPS:
            return _finish(it, at)
        case Action.SUBQUESTION:
            opening = it.prompts.grammar.opening(it.tree.prefix(at)) + it.prompts.question
            return _steps(it, at, action, it.cfg.subquestions, opening)
        case Action.REANSWER:
            return _reanswer(it, at)
        case Action.REPHRASE:
            return _rephrase(it)


def _steps(it: _Setting, at: int, action: Action, n: int, opening: str = "") -> Search[list[int]]:
    """Up to `n` different next steps behind `at` (A1), each starting with `opening` where that is given (A3)."""
    texts = yield from _write(it, at, n, opening)
    born = yield from _adopt(it, at, texts, action)
    for i in born:
        node = it.tree.nodes[i]
        if node.terminal is None and node.depth >= it.cfg.depth and END_CODE not in node.text:
            node.terminal = Terminal.MAX_DEPTH
    return born


def _finish(it: _Setting, at: int) -> Search[list[int]]:
    """One step after the other behind `at` until the solution ends (A2)."""
    chain: list[int] = []
    while not chain or it.tree.nodes[chain[-1]].terminal is None:
        end = chain[-1] if chain else at
        born = yield from _adopt(it, end, (yield from _write(it, end, 1)), Action.REMAINING_STEPS)
        if not born and chain:
            it.tree.nodes[end].terminal = Terminal.DEAD_END
        if not born:
            break
        chain += born
    return chain


def _reanswer(it: _Setting, at: int) -> Search[list[int]]:
    """The sub-question of the step `at` with its code sampled anew: a sibling, for it stands in the step's place (A4).

    The same code again is one more count of a step that is there.
    """
    node = it.tree.nodes[at]
    opening = opening_comment(node.text)
    texts = (yield from _write(it, node.parent, 1, opening)) if opening else []
    there = {it.tree.nodes[i].text: i for i in it.tree.nodes[node.parent].children}
    for text in texts:
        if text.text in there:
            it.tree.nodes[there[text.text]].count += 1
    return (yield from _adopt(it, node.parent, [t for t in texts if t.text not in there], Action.REANSWER))


def _rephrase(it: _Setting) -> Search[list[int]]:
    """A node without text, below which the problem is put in other words (A5).

    A model that knows only solutions cannot rephrase: for it the question comes first and the conditions follow.
    """
    tree, problem = it.tree, it.tree.problem
    tokens = 0
    if it.prompts.grammar.task == "code":
        return []  # a specification loses its tests and names in other words
    if it.prompts.style == "instruct":
        prompt = it.prompts.rephrase(problem)
        (said,) = (yield from _ask(it, prompt, 1, ("\n\n",))) or [Completion("", 0)]
        text, tokens = said.text.strip(), said.tokens
    else:
        text = question_first(problem.text)
    if text in ("", problem.text) or any(marker in text for marker in MARKERS):
        return []
    state = tree.nodes[ROOT].state
    return [tree.add(ROOT, "", tokens=tokens, action=Action.REPHRASE, rephrased=text, state=state)]


def question_first(text: str) -> str:
    """The last sentence first, the others behind it in their order."""
    *conditions, question = re.split(r"(?<=[.!?])\s+", text.strip())
    return " ".join([question, *conditions])


def _write(it: _Setting, at: int, n: int, opening: str = "") -> Search[list[Completion]]:
    """What may stand behind `at`; `opening` is part of the prompt and of every text."""
    top = next((it.tree.nodes[i].rephrased for i in it.tree.path(at)[:1]), None)
    problem = it.tree.problem if top is None else replace(it.tree.problem, text=top)
    prompt = it.prompts.policy(problem) + it.tree.prefix(at) + opening
    texts = yield from _ask(it, prompt, n, STOPS)
    return [replace(text, text=opening + text.text) for text in texts]


def _ask(it: _Setting, prompt: str, n: int, stop: tuple[str, ...]) -> Search[list[Completion]]:
    cfg, cost = it.cfg, it.tree.cost
    call = Generate(prompt, n, it.seeds.next(), stop, it.temperature, cfg.top_p, cfg.max_tokens, it.role)
    texts = yield from generate(call)
    cost.calls += 1
    cost.generated += sum(text.tokens for text in texts)
    return texts


def _adopt(it: _Setting, at: int, texts: Sequence[Completion], action: Action) -> Search[list[int]]:
    """Run the texts as children of `at`; those of other actions stay apart even where they say the same."""
    if not texts:
        return []
    born = yield from grow(it.tree, at, texts, it.prompts, it.cfg.max_depth, merge=False)
    for i in born:
        it.tree.nodes[i].action = action
    return born


def _settle(it: _Setting, born: list[int], votes: Counter[str]) -> None:
    """Count the new answers, then back up each new terminal once: an answer by its share, a failure by 0."""
    ends = [i for i in born if it.tree.nodes[i].terminal is not None]
    for node in (it.tree.nodes[i] for i in ends):
        if node.answer is not None:
            votes[it.prompts.grammar.key(node.answer)] += node.count
    for i in ends:
        reward = (
            share(votes, it.prompts.grammar.key(answer)) if (answer := it.tree.nodes[i].answer) is not None else 0.0
        )
        it.tree.nodes[i].reward = reward
        it.tree.back_up(i, reward)
        it.tree.close(i)


def share(votes: Counter[str], key: str) -> float:
    """Self-consistency: which part of all answers is this one."""
    return votes[key] / votes.total()


def _select(tree: Tree, at: int, c: float, rng: random.Random) -> int:
    """An unvisited open child at random while there is one, then the open child with the highest UCT."""
    parent = tree.nodes[at]
    ids = [i for i in parent.children if tree.is_open(i)]
    unvisited = [i for i in ids if not tree.nodes[i].visits]
    if unvisited:
        return rng.choice(unvisited)
    return max(ids, key=lambda i: uct(tree.nodes[i].q, tree.nodes[i].visits, parent.visits, c))


def _discriminate(it: _Setting, votes: Counter[str]) -> Search[None]:
    """Have the best solutions completed by the discriminator, score them, and choose.

    reward x confidence = mean Q along the trajectory x share of its answer among all answers in the end. A solution
    whose completion answers the same keeps that as its score; another falls below all that are kept (score - 1).
    """
    tree, key = it.tree, it.prompts.grammar.key
    worth: dict[int, float] = {}
    by_text: dict[str, int] = {}
    for leaf in tree.leaves():
        answer = tree.nodes[leaf].answer
        if answer is not None and by_text.setdefault(tree.prefix(leaf), leaf) == leaf:
            worth[leaf] = Trajectory.of(tree, leaf).mean_q * share(votes, key(answer))
    candidates = sorted(worth, key=lambda i: (-worth[i], i))[: it.cfg.discriminated or None]
    if it.cfg.discriminated:
        agreed = yield from together([_agrees(it, leaf) for leaf in candidates])
        worth = {i: worth[i] if agrees else worth[i] - 1 for i, agrees in zip(candidates, agreed, strict=True)}
    for i in candidates:
        tree.nodes[i].score = worth[i]
    tree.chosen = max(candidates, key=lambda i: (worth[i], -i), default=None)


def _agrees(it: _Setting, leaf: int) -> Search[bool]:
    """Whether the discriminator, shown the problem and the first steps of a solution, comes to the same answer."""
    tree, cfg, key = it.tree, it.cfg, it.prompts.grammar.key
    steps = [i for i in tree.path(leaf) if tree.nodes[i].status is not None]
    kept = cut(len(steps), random.Random(it.seeds.next()), cfg.cut_from, cfg.cut_to)
    aside = Tree(tree.problem, cost=tree.cost)
    at = ROOT
    for node in (tree.nodes[i] for i in steps[:kept]):
        at = aside.add(at, node.text, observation=node.observation, printed=node.printed, state=node.state)
    completed = yield from _finish(
        replace(it, tree=aside, role=cfg.discriminator, temperature=cfg.discriminator_temperature), at
    )
    said = aside.nodes[completed[-1]].answer if completed else None
    return said is not None and key(said) == key(tree.nodes[leaf].answer or "")


def cut(steps: int, rng: random.Random, least: float, most: float) -> int:
    """How many of a solution's steps the discriminator is shown: a random share, at least one missing."""
    shown = round(rng.uniform(least, most) * steps)
    return min(max(shown, 1), steps - 1)
