"""What a COUNTDOWN search finds without any model: coverage of random legal play.

    python benchmarks/floor.py configs/evolve-countdown.yaml --round 2 --seeds 1 2 3

Searches the training problems of a round with the round's own settings (terminal-guided), every candidate a random
legal move. Steps are replayed in this process by the rules of the verifier, which are those of the problems' setup, so
it takes seconds. What a policy finds means something only above this: `base` learns to play so, and `explore` mixes
such candidates into a policy's. The last line is JSON.
"""

import argparse
import sys
from collections import Counter
from typing import Any

import orjson

from rstar.answers.countdown import Puzzle, after, judge, moves_of
from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.data.countdown import LEVELS, Player, shown
from rstar.data.sets import make
from rstar.evaluate.report import markdown, percent
from rstar.pipeline.inspect import config
from rstar.pipeline.prepare import turn_of
from rstar.pipeline.search import Pass, grammar_of
from rstar.search.calls import Call, Execute, Generate, Reply, Verify, drive
from rstar.text.prompts import Prompts


class Played:
    """A world of one puzzle: a scripted policy, and moves that are replayed. A state's name is what is left in it."""

    def __init__(self, puzzle: Puzzle, policy: Player):
        self.puzzle = puzzle
        self.policy = policy

    def __call__(self, call: Call) -> Reply:
        match call:
            case Generate():
                return self.policy(call)
            case Execute(state=state, codes=codes):
                return [self._run(state, code) for code in codes]
            case Verify(reference=reference, answers=answers):
                return [judge(reference, answer.text) for answer in answers]
        raise TypeError(f"nothing answers {call}")

    def _run(self, state: str, code: str) -> StepResult:
        if state == ROOT_STATE:  # the setup
            return StepResult(Status.OK, str(self.puzzle))
        moves = moves_of(code)
        rest = after(Puzzle.read(state).numbers, moves[0]) if moves else None
        if rest is None:
            return StepResult(Status.EXCEPTION, error="ValueError: not a legal move")
        return StepResult(Status.OK, str(Puzzle(rest, self.puzzle.target)), f"{shown(rest, self.puzzle.target)}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="+", help="config files and overrides, as `rstar evolve` takes them")
    parser.add_argument("--round", type=int, default=2, help="whose settings are used")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    asked = parser.parse_args()
    table: list[dict[str, Any]] = []
    for seed in asked.seeds:
        cfg = config([*asked.config, f"seed={seed}"])
        how = cfg.rounds[asked.round - 1].search.model_copy(update={"annotation": "terminal"})
        one = Pass(how, Prompts(grammar_of(cfg)))
        solved: Counter[str] = Counter()
        every: Counter[str] = Counter()
        for problem in turn_of(cfg, asked.round, make(cfg).train):
            tree = drive(one.search(problem, seed), Played(Puzzle.read(problem.answer or ""), Player(1.0)))
            every[problem.level or ""] += 1
            solved[problem.level or ""] += any(node.correct for node in tree.nodes)
        shares = {level: solved[level] / every[level] for level in LEVELS if level in every}
        table.append({"seed": seed, **shares, "all": solved.total() / every.total()})
    names = list(table[0])[1:]
    print(markdown(["seed", *names], [[str(row["seed"]), *(percent(row[name]) for name in names)] for row in table]))
    print(orjson.dumps({"name": "floor", "round": asked.round, "coverage": table}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
