"""A search in the terminal while it happens: steps as they are born, what they printed, how they score."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.live import Live
from rich.text import Text

from rstar.cli import screen
from rstar.core.execution import StepResult
from rstar.pipeline.watch import Listener
from rstar.search.calls import Call, Completion, Execute, Generate, Reply, Score
from rstar.text.grammar import END_CODE, END_STEP, MARKERS

WIDTH = 100


@dataclass(slots=True)
class Step:
    """A step that the search was offered: behind which text, at which depth, and what is known of it by now."""

    prompt: str
    text: str
    depth: int
    count: int = 1
    outcome: str = ""
    failed: bool = False
    score: float | None = None
    shown: bool = False

    def line(self) -> str:
        """The step on one line."""
        text = self.text
        for marker in MARKERS:
            text = text.replace(marker, "\n")
        flat = " / ".join(part for part in (line.strip() for line in text.splitlines()) if part)
        flat = flat if len(flat) <= WIDTH else flat[: WIDTH - 1] + "…"
        marks = [f"x{self.count}"] if self.count > 1 else []
        marks += [self.outcome] if self.outcome else []
        marks += [f"score {self.score:+.2f}"] if self.score is not None else []
        return f"{'  ' * self.depth}{flat or '(nothing)'}" + (f"   [{', '.join(marks)}]" if marks else "")


class Story:
    """What a search has been offered so far, made from the calls alone: it is the same for every strategy."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.calls = 0

    def hear(self, call: Call, reply: Reply | None) -> None:
        """A call and its reply; a call that is only being asked says nothing new."""
        if reply is None:
            return
        match call:
            case Generate():
                self._born(call, [one for one in reply if isinstance(one, Completion)])
            case Execute(codes=codes):
                for code, result in zip(codes, reply, strict=True):
                    if isinstance(result, StepResult):
                        self._ran(code, result)
            case Score(prefixes=prefixes):
                for prefix, value in zip(prefixes, reply, strict=True):
                    if isinstance(value, float):
                        self._scored(prefix, value)
            case _:
                pass

    def _born(self, call: Generate, completions: list[Completion]) -> None:
        self.calls += 1
        depth = call.prompt.count(END_STEP) + call.prompt.count(END_CODE)
        new: dict[str, Step] = {}
        for completion in completions:
            if completion.text in new:
                new[completion.text].count += 1
            else:
                new[completion.text] = Step(call.prompt, completion.text, depth)
        self.steps += new.values()

    def _ran(self, code: str, result: StepResult) -> None:
        step = next((one for one in reversed(self.steps) if not one.outcome and code.strip() in one.text), None)
        if step is not None:
            printed = (result.stdout.strip() or result.value or "").replace("\n", " ")
            step.failed = not result.ok
            step.outcome = (printed and f"-> {printed}"[:WIDTH]) if result.ok else result.error or result.status.value

    def _scored(self, prefix: str, value: float) -> None:
        found = [one for one in self.steps if prefix.startswith(one.prompt + one.text)]
        if found:
            longest = max(len(one.prompt) + len(one.text) for one in found)
            for one in found:
                if len(one.prompt) + len(one.text) == longest:
                    one.score = value


@contextmanager
def stream(quiet: bool) -> Iterator[Listener | None]:
    """A listener that shows a search on standard error: a moving picture on a terminal, plain lines elsewhere."""
    if quiet:
        yield None
    elif screen.err.is_terminal:
        story = Story()
        with Live(get_renderable=lambda: _picture(story), console=screen.err, refresh_per_second=8, transient=True):
            yield story.hear
    else:
        lines = _Lines()
        yield lines.hear
        lines.flush()


def _picture(story: Story) -> Text:
    """The newest steps, as many as fit."""
    room = max(5, screen.err.height - 4)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{len(story.steps)} steps from {story.calls} calls\n", style="bold")
    for step in story.steps[-room:]:
        text.append(step.line() + "\n", style="red" if step.failed else "green" if (step.score or 0) > 0 else "")
    return text


class _Lines:
    """A line a step, printed when the search asks for the next ones: by then its outcome and its score are known."""

    def __init__(self) -> None:
        self._story = Story()

    def hear(self, call: Call, reply: Reply | None) -> None:
        if isinstance(call, Generate) and reply is None:
            self.flush()
        self._story.hear(call, reply)

    def flush(self) -> None:
        for step in self._story.steps:
            if not step.shown:
                step.shown = True
                screen.err.print(step.line(), markup=False, highlight=False)
