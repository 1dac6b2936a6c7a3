"""Tree of thoughts: the policy judges its own steps."""

from functools import partial

from rstar.config.search import TotConfig
from rstar.core.problem import Problem
from rstar.core.tree import ROOT, Terminal, Tree
from rstar.search.beam import Judge, levels, sampling
from rstar.search.calls import Completion, Generate, Search, Seeds, generate, together
from rstar.search.expand import expand
from rstar.search.reward import judge, settle, unscored, unsettled, worth
from rstar.text.prompts import Prompts

OPINIONS = {"sure": 1.0, "likely": 0.0, "impossible": -1.0}


def tot(problem: Problem, prompts: Prompts, cfg: TotConfig, seeds: Seeds) -> Search[Tree]:
    """Breadth or depth first over steps that are valued by asking the policy (arXiv 2305.10601).

    V(s) is the mean over `evaluations` of what the policy says of s: sure 1, likely 0, impossible -1; or the value
    model's score. bfs keeps the best `width` of each level.
    """
    tree = Tree(problem, rollouts=1)
    valued = partial(_valued, tree, prompts, cfg, seeds)
    if cfg.order == "bfs":
        yield from levels(tree, prompts, sampling(cfg), cfg.width, seeds, valued)
    else:
        yield from _depth_first(tree, prompts, cfg, seeds, valued)
    return tree


def _depth_first(tree: Tree, prompts: Prompts, cfg: TotConfig, seeds: Seeds, valued: Judge) -> Search[None]:
    """Follow the best candidate, turn back where all others are below the threshold; the first answer is the answer.

    When the expansions are spent, it is the first answer among what was left for later.
    """
    stack, left = [ROOT], cfg.expansions
    while stack:
        at = stack.pop()
        if tree.nodes[at].terminal is Terminal.ANSWERED:
            tree.chosen = at
            return
        if not left:
            continue
        left -= 1
        born = yield from expand(tree, at, prompts, sampling(cfg), seeds)
        values = yield from valued(born or [at])
        good = [(value, -i) for value, i in zip(values, born, strict=False) if value >= cfg.threshold]
        stack += [-i for _, i in sorted(good) if tree.nodes[-i].terminal in (None, Terminal.ANSWERED)]


def _valued(tree: Tree, prompts: Prompts, cfg: TotConfig, seeds: Seeds, ids: list[int]) -> Search[list[float]]:
    if cfg.judge == "value":
        yield from judge(tree, ids, prompts, cfg.value)
    else:
        fresh = unsettled(tree, ids)
        asked = unscored(tree, fresh)
        said = yield from together([_ask(tree, i, prompts, cfg, seeds) for i in asked])
        for i, completions in zip(asked, said, strict=True):
            tree.nodes[i].score = sum(map(opinion, completions)) / max(1, len(completions))
        yield from settle(tree, fresh, prompts, None)
    return [worth(tree.nodes[i]) for i in ids]


def _ask(tree: Tree, at: int, prompts: Prompts, cfg: TotConfig, seeds: Seeds) -> Search[list[Completion]]:
    prompt = prompts.judge(tree.problem, tree.prefix(at))
    completions = yield from generate(
        Generate(prompt, cfg.evaluations, seeds.next(), ("\n",), cfg.judge_temperature, max_tokens=16)
    )
    tree.cost.calls += 1
    tree.cost.generated += sum(completion.tokens for completion in completions)
    return completions


def opinion(completion: Completion) -> float:
    """The first word of OPINIONS in what was said; 0 for anything else."""
    words = completion.text.lower().replace(".", " ").replace(",", " ").split()
    return next((OPINIONS[word] for word in words if word in OPINIONS), 0.0)
