"""Q*: best-first (A*) search over steps."""

import heapq
from collections.abc import Sequence

from rstar.config.search import QstarConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.errors import RolloutError
from rstar.search.calls import Search, Seeds, score, together
from rstar.search.expand import Sample, grow, propose
from rstar.search.reward import FAILED, judge, worth
from rstar.text.prompts import Prompts


def qstar(problem: Problem, prompts: Prompts, cfg: QstarConfig, seeds: Seeds) -> Search[Tree]:
    """Pop the state with the highest f(s) = g(s) + lam h(s); the first answer popped is the answer (arXiv 2406.14283).

    g(s) = Agg(R_P(s_1) ... R_P(s_t)), h(s) = max over K candidates a of Q^(s, a). The candidates sampled for h(s) are
    the expansion of s, so they are there when s is popped, and each of them that is open is expanded for its own h. A
    finished solution has no candidates: its h is the Q^ of the step that finished it. Steps that failed are never
    popped. When `expansions` are spent (the best candidates come first), only what has an h is still popped.
    """
    tree = Tree(problem, rollouts=1)
    queue: list[tuple[float, int]] = []
    rewards: dict[int, float] = {}
    logprobs: dict[int, float | None] = {}
    arrived, left = [ROOT], cfg.expansions
    while True:
        by_worth = sorted((i for i in arrived if tree.is_open(i)), key=lambda i: (-worth(tree.nodes[i]), i))
        opened = sorted(by_worth[:left])
        left -= len(opened)
        yield from together(
            [
                _reward(tree, [i for i in arrived if i != ROOT], prompts, cfg, rewards, logprobs),
                *(_open(tree, at, prompts, cfg, seeds, logprobs) for at in opened),
            ]
        )
        for at in arrived:
            node = tree.nodes[at]
            if node.terminal is Terminal.ANSWERED or (at in opened and node.children):
                values = [worth(tree.nodes[i]) for i in node.children] or [worth(node)]
                heapq.heappush(queue, (-estimate([rewards[i] for i in tree.path(at)], values, cfg), at))
        if not queue:
            return tree
        _, best = heapq.heappop(queue)
        if tree.nodes[best].terminal is Terminal.ANSWERED:
            tree.chosen = best
            return tree
        arrived = [i for i in tree.nodes[best].children if tree.nodes[i].terminal in (None, Terminal.ANSWERED)]


def estimate(rewards: Sequence[float], values: Sequence[float], cfg: QstarConfig) -> float:
    """f(s) from the R_P of its steps and the Q^ of its candidates."""
    return aggregate(rewards, cfg.aggregator) + cfg.lam * max(values)


def aggregate(rewards: Sequence[float], how: str) -> float:
    """Agg over the rewards of a state's steps; 0 for the problem itself, which has none."""
    if not rewards:
        return 0.0
    return {"min": min(rewards), "max": max(rewards), "sum": sum(rewards), "last": rewards[-1]}[how]


def _open(
    tree: Tree, at: int, prompts: Prompts, cfg: QstarConfig, seeds: Seeds, logprobs: dict[int, float | None]
) -> Search[None]:
    """Sample the K candidates of `at`, run them and ask for their Q^."""
    sample = Sample(cfg.candidates, cfg.temperature, cfg.top_p, cfg.max_tokens, cfg.max_depth)
    completions = yield from propose(tree, at, prompts, sample, seeds)
    born = yield from grow(tree, at, completions, prompts, cfg.max_depth)
    of_text = {completion.text: completion.logprob for completion in completions}
    logprobs.update((i, of_text[tree.nodes[i].text]) for i in born)
    yield from judge(tree, born or [at], prompts, cfg.value)


def _reward(
    tree: Tree,
    ids: list[int],
    prompts: Prompts,
    cfg: QstarConfig,
    rewards: dict[int, float],
    logprobs: dict[int, float | None],
) -> Search[None]:
    """R_P of each step: the PRM's score, the executor's verdict (1 for a step that ran), or its log-probability."""
    if cfg.g == "prm" and ids:
        head = prompts.value(tree.problem)
        scores = yield from score([head + tree.prefix(i) for i in ids], cfg.g_role)
        tree.cost.scored += len(ids)
        rewards.update(zip(ids, scores, strict=True))
        return
    for i in ids:
        if cfg.g == "logprob":
            logprob = logprobs[i]
            if logprob is None:
                raise RolloutError("search", "g: logprob needs a policy that reports log-probabilities")
            rewards[i] = logprob
        else:
            failed = tree.nodes[i].terminal not in (None, Terminal.ANSWERED)
            rewards[i] = 0.0 if cfg.g == "none" else FAILED if failed else 1.0
