"""Code and yes-or-no questions end to end: a script writes the solutions, everything else is the real thing."""

import ast
import builtins
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rstar.config.load import load
from rstar.config.run import RunConfig
from rstar.config.search import AnySearch, GreedyConfig, MctsConfig, MutualConfig
from rstar.core.problem import Problem
from rstar.core.verdict import Verdict
from rstar.data.jsonl import read_demonstrations, read_problems
from rstar.evaluate.answer import choose
from rstar.pipeline.engines import Models
from rstar.pipeline.progress import silent
from rstar.pipeline.search import Pass, grammar_of, search_stage
from rstar.search.calls import Completion, Generate
from rstar.store.manifest import stage
from rstar.store.trees import read_trees
from rstar.text.grammar import PROMPT_HEAD, PROMPT_TAIL, STOPS, Task, written
from rstar.text.prompts import Prompts

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT.parent / "shared" / "data" / "benchmarks"
EXAMPLES = ROOT / "configs" / "examples"
STRATEGIES: dict[str, AnySearch] = {
    "greedy": GreedyConfig(),
    "mcts": MctsConfig(rollouts=2, candidates=2),
    "mutual": MutualConfig(rollouts=2, steps=2, subquestions=2, discriminated=2),
}


class Script:
    """A policy that knows one solution of each problem, and writes it step by step whatever it is asked."""

    def __init__(self, solutions: dict[str, list[str]]):
        self.solutions = {text: "".join(written(steps)) for text, steps in solutions.items()}

    def __call__(self, call: Generate) -> list[Completion]:
        head, _, so_far = call.prompt.partition(PROMPT_TAIL)
        whole = self.solutions.get(head.removeprefix(PROMPT_HEAD), "")
        rest = whole[len(so_far) :] if whole.startswith(so_far) else ""
        ends = [rest.index(stop) + len(stop) for stop in STOPS if stop in rest]
        return [Completion(rest[: min(ends)], 1)] * call.n if ends else []


def config(task: Task, folder: Path) -> RunConfig:
    settings = ["name=tasks", f"task={task}", "grammar.answer=printed", "rounds=[{}]", "sandbox.preload=[]"]
    return load(RunConfig, [*settings, f"runtime.runs={folder}"])


def searched(
    cfg: RunConfig, how: AnySearch, problems: list[Problem], policy: Callable[[Generate], list[Completion]], at: Path
) -> dict[str, Verdict | None]:
    """The verdict on the answer that each search chose, the references hidden from it."""
    with stage(at, "search", {}, {}) as it:
        one = Pass(how, Prompts(grammar_of(cfg)), hidden=True)
        files = search_stage(it, cfg, problems, Models({"policy": policy}), [one], silent, "search")
        it.finish(files, {}, 0.0)
    found = {}
    for tree in read_trees(at / "trees"):
        leaf = choose(tree, how)
        found[tree.problem.id] = None if leaf is None else tree.nodes[leaf].verdict
    return found


def steps_of(program: str) -> list[str]:
    """A program as steps: each statement of its top level with a comment, three steps at most."""
    program = "\n".join(program.splitlines())
    pieces = [ast.get_source_segment(program, node) or "" for node in ast.parse(program).body]
    groups = [pieces[:1], pieces[1:-1], pieces[-1:]] if len(pieces) > 2 else [[piece] for piece in pieces]
    return ["# Next\n" + "\n".join(group) for group in groups if group]


def spoilt(program: str, tests: list[str]) -> str:
    """The program with its function replaced by one that says the same to everything."""
    calls = [n.func for n in ast.walk(ast.parse(tests[0])) if isinstance(n, ast.Call)]
    name = next(f.id for f in calls if isinstance(f, ast.Name) and not hasattr(builtins, f.id))
    return f"{program}\ndef {name}(*given, **named):\n    return 'spoilt'"


FAKES = [
    "import sys\nsys.exit(0)",
    "import builtins\nbuiltins.AssertionError = ValueError\nclass Same:\n    def __eq__(self, other):\n"
    "        return True\nbuiltins.round = lambda *a: Same()",
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_mbpp_samples_are_solved_by_what_passes_their_tests_and_by_nothing_else(tmp_path, strategy: str):
    """Every third solution is the sample's own, every third a spoilt one, every third a fake."""
    path = SAMPLES / "mbpp.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    every = 40 if strategy == "greedy" else 160
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[::every]]
    sample = tmp_path / "sample.jsonl"
    sample.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    problems = read_problems(sample, "code")
    kinds = [("right", "spoilt", "fake")[i % 3] for i in range(len(rows))]
    solutions = {}
    for i, (row, problem, kind) in enumerate(zip(rows, problems, kinds, strict=True)):
        programs = {"right": row["solution"], "spoilt": spoilt(row["solution"], row["tests"]), "fake": FAKES[i % 2]}
        solutions[problem.text] = steps_of(programs[kind])
    cfg = config("code", tmp_path)
    verdicts = searched(cfg, STRATEGIES[strategy], problems, Script(solutions), tmp_path / "search")
    right = {problem.id for problem, kind in zip(problems, kinds, strict=True) if kind == "right"}
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.EQUIVALENT} == right
    spoilt_ones = {problem.id for problem, kind in zip(problems, kinds, strict=True) if kind == "spoilt"}
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.DIFFERENT} >= spoilt_ones


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategyqa_samples_are_right_where_the_script_says_what_is_so(tmp_path, strategy: str):
    """The script is right on two samples, wrong on the next and says neither on the fourth."""
    path = SAMPLES / "strategyqa.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    problems = read_problems(path, "yesno")[::20]
    said = {}
    for i, problem in enumerate(problems):
        right = problem.answer == "yes"
        words = (repr(right), repr("Yes." if right else "No"), repr(not right), repr("perhaps"))[i % 4]
        said[problem.text] = ["# Think\nfound = 1", f"# Say it\nprint({words})"]
    cfg = config("yesno", tmp_path)
    verdicts = searched(cfg, STRATEGIES[strategy], problems, Script(said), tmp_path / "search")
    expected = (Verdict.EQUIVALENT, Verdict.EQUIVALENT, Verdict.DIFFERENT, Verdict.UNVERIFIABLE)
    assert [verdicts[problem.id] for problem in problems] == [expected[i % 4] for i in range(len(problems))]


@pytest.mark.parametrize("task", ["code", "yesno"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_shipped_examples_are_solved_by_their_own_steps(tmp_path, task: Task, strategy: str):
    demonstrations = [
        d for name in (task, f"{task}-test") for d in read_demonstrations(EXAMPLES / f"{name}.jsonl", task)
    ]
    script = Script({d.problem.text: list(d.steps) for d in demonstrations})
    problems = [d.problem for d in demonstrations]
    verdicts = searched(config(task, tmp_path), STRATEGIES[strategy], problems, script, tmp_path / "search")
    assert set(verdicts.values()) == {Verdict.EQUIVALENT}
    assert len(verdicts) == len(problems) == 7


def test_hidden_tests_never_reach_a_prompt(tmp_path):
    asked: list[str] = []
    demonstrations = read_demonstrations(EXAMPLES / "code.jsonl", "code")
    script = Script({d.problem.text: list(d.steps) for d in demonstrations})

    def listening(call: Generate) -> list[Completion]:
        asked.append(call.prompt)
        return script(call)

    problems = [d.problem for d in demonstrations]
    for name, how in STRATEGIES.items():
        searched(config("code", tmp_path), how, problems, listening, tmp_path / name)
    for problem in problems:
        first, *others = [line for line in (problem.answer or "").splitlines() if line.startswith("assert")]
        assert any(first in prompt for prompt in asked)
        assert not [test for test in others for prompt in asked if test in prompt]
