"""Augmentation by a policy that knows sums of three numbers: `python -m tests.pipeline.augmenting FOLDER [DELAY_S]`.

It writes questions and solves them, reading no more than the prompt; a third of its solutions is wrong. The
sandbox and the grader are the real ones.
"""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rstar.config.augment import QuestionsConfig
from rstar.pipeline.augment import augment
from rstar.pipeline.search import Models
from rstar.search.calls import Completion, Generate
from rstar.store.manifest import Manifest
from rstar.text.grammar import END_STEP, PROMPT_HEAD, PROMPT_TAIL, Kind, Segment
from tests.pipeline import tiny

METHODS = ("rephrase", "self_verification", "fobar", "answers", "numbers", "conditions", "new")
SUM = re.compile(r"Start with (\w+), add (\w+) and take (\w+)(?:, then add (\d+))?\.")
SAID = re.compile(r"Someone starts with (\w+), gets (\w+) and gives (\w+) away\.")
RESULT = re.compile(r"(?:is|are left:) (-?\d+)[,.]")


def policy(delay_s: float = 0.0) -> Callable[[Generate], list[Completion]]:
    def answer(call: Generate) -> list[Completion]:
        time.sleep(delay_s)
        if END_STEP in call.stop:
            return [Completion(_solution(call.prompt, call.seed + i), 5) for i in range(call.n)]
        return [Completion(_question(call.prompt, call.seed), 9)]

    return answer


def _question(prompt: str, seed: int) -> str:
    asked = SUM.findall(prompt)[-1]
    a, b, c = (int(word) for word in asked[:3])
    if prompt.endswith("In other words:"):
        return f" Someone starts with {a}, gets {b} and gives {c} away. How many are left?\n\n"
    if prompt.endswith("Statement:"):
        return f" Start with {a}, add {b} and take {c}. There are left: {a + b - c}."
    if prompt.endswith("With another condition:"):
        return f" Start with {a}, add {b} and take {c}, then add {seed % 5 + 1}."
    return f" Start with {a + seed % 7 + 1}, add {b + 3} and take {c + 1}."


def _solution(prompt: str, seed: int) -> str:
    problem = prompt.partition(PROMPT_HEAD)[2].partition(PROMPT_TAIL)[0]
    first = SUM.search(problem) or SAID.search(problem)
    assert first is not None, problem
    a, b, c, *more = first.groups()
    extra = int(more[0]) if more and more[0] else 0
    result = RESULT.search(problem)
    slip = 0 if seed % 3 else 1 + seed % 997
    if result is None:
        value = int(a) + int(b) - int(c) + extra
    elif a == "x":
        value = int(result[1]) - int(b) + int(c)
    elif b == "x":
        value = int(result[1]) - int(a) + int(c)
    else:
        value = (int(a) + int(b) - int(result[1])) if c == "x" else int(result[1])
    return Segment(Kind.LAST_STEP, f"# work it out\nprint({value + slip})", first=True).render()


def config(folder: Path, methods: tuple[str, ...] = METHODS, **more: object) -> QuestionsConfig:
    tiny.write(folder / "problems.jsonl", tiny.KNOWN[:6])
    return QuestionsConfig(
        problems=folder / "problems.jsonl",
        policy=Path("scripted"),
        methods=methods,
        grammar={"answer": "printed"},
        sandbox={"preload": []},
        max_live=2,
        **more,
    )


def run(folder: Path, delay_s: float = 0.0, **more: object) -> Manifest:
    return augment(config(folder, **more), folder / "out", models=Models({"policy": policy(delay_s)}))


if __name__ == "__main__":
    run(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
