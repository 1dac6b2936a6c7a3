"""What a COUNTDOWN search finds, against what it finds without any model: coverage and random legal play.

    python benchmarks/floor.py configs/evolve-countdown.yaml --seeds 1 2 3

Random play searches the training problems of each round from the second on with the round's own settings
(terminal-guided), every candidate a random legal move. Steps are replayed in this process by the rules of the verifier,
which are those of the problems' setup, so this takes seconds a round. It searches each problem once, also where a round
has `retry`. What a policy finds means something only above this: `base` learns to play so, and `explore` mixes such
candidates into a policy's.

Beside it stands what the evolution found at each seed, with the difference by a paired bootstrap over problems, all
seeds of a problem together. Finished runs are reused, such as those of `benchmarks/evolution.py` with the same words;
`--alone` makes none and asks random play only, and has no bar. The last line is JSON. The bar: in each of these
rounds the evolution finds more, and the interval of the difference lies above 0.
"""

import argparse
import sys

import orjson

from rstar.answers.countdown import Puzzle, after, judge, moves_of
from rstar.cli.screen import progress, told
from rstar.config.run import CountdownProblemsConfig, RunConfig
from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.data.countdown import Player, shown
from rstar.data.sets import make
from rstar.evaluate.seeds import Figure, difference, figure, shares
from rstar.paper.page import Cell, Difference, Grid
from rstar.paper.rounds import solved
from rstar.paper.runs import Run, beside_control, finished, of_level, planned
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
    parser.add_argument("--rounds", type=int, nargs="+", help="which rounds; all from the second on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--alone", action="store_true", help="random play only, without an evolution")
    asked = parser.parse_args()
    paper = beside_control(asked.config, seeds=asked.seeds)
    cfgs = {seed: planned(paper, seed) for seed in paper.seeds}
    first = cfgs[asked.seeds[0]]
    if not isinstance(first.problems, CountdownProblemsConfig):
        parser.error(f"random play knows problems of kind `countdown` only, not those of {first.name}")
    rounds = asked.rounds or range(2, len(first.rounds) + 1)
    for number in rounds or [2]:
        if not 2 <= number <= len(first.rounds):
            parser.error(f"--rounds: there is no round {number} that searches training problems")
    runs: list[Run] = []
    if not asked.alone:
        with progress(quiet=False) as report:
            runs = finished(paper, report)
    rows: list[list[Cell]] = []
    names: list[str] = []
    gains: list[Figure] = []
    for number in rounds:
        level: dict[str, str] = {}
        found = {"random play": shares({seed: played(cfg, number, level) for seed, cfg in cfgs.items()})}
        if runs:
            found["evolution"] = shares({run.seed: solved(run.round(number).search, level) for run in runs})
            gains.append(difference(*found.values()))
        names = sorted(set(level.values()))
        for who, measure in found.items():
            by_level = [figure(of_level(measure, level, name)).mean for name in names]
            against = Difference(gains[-1]) if who == "evolution" else None
            rows.append([number, who, *by_level, figure(measure), against])
    grid = Grid(["round", "searched by", *names, "all", "against random play, points"], rows)
    print(grid.markdown())
    ok = None if asked.alone else all(gain.interval is not None and gain.interval[0] > 0 for gain in gains)
    print(orjson.dumps({"name": "floor", "ok": ok, "coverage": grid.to_json()}).decode())
    return int(ok is False)


def played(cfg: RunConfig, number: int, level: dict[str, str]) -> dict[str, float]:
    """Problem -> 1 where random play solves it, of those that a round searches; its level is noted."""
    how = cfg.rounds[number - 1].search.model_copy(update={"annotation": "terminal"})
    one = Pass(how, Prompts(grammar_of(cfg)))
    found: dict[str, float] = {}
    for problem in turn_of(cfg, number, make(cfg).train):
        tree = drive(one.search(problem, cfg.seed), Played(Puzzle.read(problem.answer or ""), Player(1.0)))
        level[problem.id] = problem.level or "all"
        found[problem.id] = float(any(node.correct for node in tree.nodes))
    return found


if __name__ == "__main__":
    with told():
        sys.exit(main())
