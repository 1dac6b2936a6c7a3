"""What is shown of a search while it goes on, told from its calls alone."""

import io

from rich.console import Console

from rstar.cli import live, screen
from rstar.config.search import MctsConfig
from rstar.core.execution import Status, StepResult
from rstar.core.problem import Problem
from rstar.engine.scripted import ScriptedWorld
from rstar.pipeline.watch import watched
from rstar.search import STRATEGIES
from rstar.search.calls import Completion, Execute, Generate, Score, Seeds, drive
from rstar.text.grammar import CODE, END_STEP, Grammar
from rstar.text.prompts import Prompts


def test_a_step_from_birth_to_score():
    story = live.Story()
    ask = Generate("Q", 3, 1, ())
    story.hear(ask, None)
    assert story.steps == []
    first = f"{CODE}\n# one\nx = 1\n{END_STEP}"
    story.hear(ask, [Completion(first, 5), Completion(f"{CODE}\nx = y\n{END_STEP}", 4), Completion(first, 5)])
    assert [step.line() for step in story.steps] == ["# one / x = 1   [x2]", "x = y"]
    story.hear(
        Execute("root", ("# one\nx = 1", "x = y")),
        [StepResult(Status.OK, "s", value="1"), StepResult(Status.EXCEPTION, error="NameError: y")],
    )
    story.hear(Score((f"Q{first}",)), [0.5])
    assert [step.line() for step in story.steps] == [
        "# one / x = 1   [x2, -> 1, score +0.50]",
        "x = y   [NameError: y]",
    ]
    story.hear(Generate(f"Q{first}", 1, 1, ()), [Completion("print(x)", 3)])
    story.hear(Score((f"Q{first}print(x)", "elsewhere")), [-0.25, 0.1])
    assert story.steps[-1].line() == "  print(x)   [score -0.25]"
    assert story.steps[0].score == 0.5
    assert story.calls == 2


def told(of_terminal: bool, monkeypatch) -> str:
    out = io.StringIO()
    monkeypatch.setattr(screen, "err", Console(file=out, force_terminal=of_terminal, width=120, height=20))
    cfg = MctsConfig(rollouts=4, candidates=3, annotation="ppm")
    search = STRATEGIES["mcts"](Problem("p", "What?"), Prompts(Grammar(answer="printed")), cfg, Seeds(1, "p"))
    with live.stream(quiet=False) as tell:
        tree = drive(watched(search, tell), ScriptedWorld())
    text = out.getvalue()
    if not of_terminal:
        # Every node once, in the order of birth, with its score.
        lines = text.splitlines()
        assert len(lines) == len(tree.nodes) - 1
        for line, node in zip(lines, tree.nodes[1:], strict=True):
            assert line.startswith("  " * (node.depth - 1))
            assert ("score" not in line) if node.score is None else (f"score {node.score:+.2f}" in line)
    return text


def test_lines_in_a_log(monkeypatch):
    assert "score" in told(False, monkeypatch)


def test_a_moving_picture_on_a_terminal(monkeypatch):
    assert "steps from" in told(True, monkeypatch)


def test_quiet_is_quiet(monkeypatch):
    with live.stream(quiet=True) as tell:
        assert tell is None
