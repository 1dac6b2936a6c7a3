"""ReST-MCTS*: tree search guided by the value of partial solutions."""

import math
from collections import Counter
from collections.abc import Sequence

from rstar.config.search import RestMctsConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.search.bandit import uct
from rstar.search.calls import Generate, Search, Seeds, generate
from rstar.search.expand import Sample, expand, follow, reopen
from rstar.search.reward import judge, worth
from rstar.text.prompts import Prompts


def rest_mcts(problem: Problem, prompts: Prompts, cfg: RestMctsConfig, seeds: Seeds) -> Search[Tree]:
    """Select by UCT over values, grow, simulate behind the best newborn, average upwards (arXiv 2406.03816, MCTS*).

    Values are in [0, 1]. The best newborn C takes v_C <- alpha v_C + (1 - alpha) v_max, v_max the highest value of its
    simulation, as its first visit; then every node from the grown one up to the root has one visit more and
    v <- sum_i n_i v_i / sum_i n_i over its children. An answer worth `threshold` ends the search; the most valued one
    answers. Where the self-critic sees nothing left to do, nothing is grown: an unanswered leaf is then a dead end.
    Simulated steps are nodes like any other: a later expansion finds them there.
    """
    tree = Tree(problem)
    sample = Sample(cfg.candidates, cfg.temperature, cfg.top_p, cfg.max_tokens, cfg.max_depth)
    greedy = Sample(1, 0.0, 1.0, cfg.max_tokens, cfg.max_depth)
    process, value, visits = {ROOT: 0.0}, {ROOT: 0.0}, Counter[int]()
    known, grown = dict[int, int](), set[int]()

    def valued(ids: list[int]) -> Search[None]:
        yield from judge(tree, ids, prompts, cfg.value)
        for i in ids:
            if i not in process or tree.nodes[i].terminal is Terminal.DEAD_END:
                process[i] = value[i] = _process_value(tree, i, process.get(tree.nodes[i].parent, 0.0), cfg)

    while tree.is_open(ROOT) and tree.rollouts < cfg.iterations:
        tree.rollouts += 1
        at = ROOT
        while at in grown:
            children = [i for i in tree.nodes[at].children if tree.is_open(i)]
            at = max(children, key=lambda i: (ucb(value[i], visits[i], visits[tree.nodes[i].parent], cfg.c), value[i]))
        grown.add(at)
        if cfg.critic and at != ROOT and (yield from _says_end(tree, at, prompts, seeds)):
            if not tree.nodes[at].children:
                tree.nodes[at].terminal = Terminal.DEAD_END
                yield from valued([at])
        else:
            yield from expand(tree, at, prompts, sample, seeds)
            yield from valued(tree.nodes[at].children or [at])
            alive = [i for i in tree.nodes[at].children if tree.nodes[i].terminal in (None, Terminal.ANSWERED)]
            if alive:
                best = max(alive, key=lambda i: value[i])
                path = yield from follow(tree, best, cfg.simulation, prompts, greedy, seeds, known)
                yield from valued([best, *path])
                reopen(tree, [best, *path])
                value[best] = simulated(value[best], [value[i] for i in path], cfg.alpha)
                visits[best] += 1
        if all(tree.nodes[i].closed for i in tree.nodes[at].children):
            tree.close(at)  # also where nothing was new
        for i in (*reversed(tree.path(at)), ROOT):
            visits[i] += 1
            value[i] = average([(visits[child], value[child]) for child in tree.nodes[i].children], value[i])
        answers = [i for i in tree.leaves() if tree.nodes[i].terminal is Terminal.ANSWERED]
        tree.chosen = max(answers, key=lambda i: process[i], default=None)
        if tree.chosen is not None and process[tree.chosen] >= cfg.threshold:
            break
    return tree


def ucb(value: float, visits: int, parent_visits: int, c: float) -> float:
    """UCT, and infinity before the first visit."""
    return uct(value, visits, parent_visits, c) if visits else math.inf


def simulated(own: float, seen: Sequence[float], alpha: float) -> float:
    """v <- alpha v + (1 - alpha) max of what the simulation saw; v where there was none."""
    return alpha * own + (1 - alpha) * max(seen, default=own)


def average(children: Sequence[tuple[int, float]], own: float) -> float:
    """The mean of the children's values by their visits; a node whose children have none keeps its own."""
    total = sum(visits for visits, _ in children)
    return sum(visits * value for visits, value in children) / total if total else own


def quality(before: float, wrong: float, left: int) -> float:
    """v_k = max(v_{k-1} + w_k, 0), w_k = (1 - v_{k-1}) / (m_k + 1) (1 - 2 r_k): section 3.1 of the paper.

    r_k is how surely the step is `wrong`, in [0, 1], m_k the steps `left` behind it. A right solution of K steps is
    worth k / K after k of them.
    """
    return max(before + (1 - before) / (left + 1) * (1 - 2 * wrong), 0.0)


def _process_value(tree: Tree, at: int, before: float, cfg: RestMctsConfig) -> float:
    """A node's value in [0, 1] as the model gives it, or made from the reward that it gives for the step."""
    node = tree.nodes[at]
    given = (worth(node) + 1) / 2
    if cfg.process == "value":
        return given
    return quality(before, 1 - given, 0 if node.terminal else max(0, cfg.length - node.depth))


def _says_end(tree: Tree, at: int, prompts: Prompts, seeds: Seeds) -> Search[bool]:
    """Whether the self-critic sees nothing left to do behind `at`."""
    prompt = prompts.critic(tree.problem, tree.prefix(at))
    completions = yield from generate(Generate(prompt, 1, seeds.next(), ("\n",), 0.0, max_tokens=16))
    tree.cost.calls += 1
    tree.cost.generated += sum(completion.tokens for completion in completions)
    return any("end" in completion.text.lower().replace(".", " ").split() for completion in completions)
