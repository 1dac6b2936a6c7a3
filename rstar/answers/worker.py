"""A grading process: reads (mode, gold, candidate) as JSON lines, answers (verdict, rule, ms), exits on end of file.

Started by `rstar.answers.pool` with `python -m rstar.answers.worker MEMORY_BYTES`. Its first line is the outcome of a
self-test: a grader that cannot tell a dozen known pairs apart must not grade at all. Before the first pair that needs
math-verify it says `loading`, and `loaded` when that is done, since importing takes longer than a pair may.
"""

import json
import os
import resource
import sys
from time import perf_counter
from typing import TextIO

from rstar.answers import library
from rstar.answers.grade import Mode, compare
from rstar.core.verdict import Verdict

SELF_TEST: tuple[tuple[str, str, bool], ...] = (
    ("3", "4", False),
    ("42", "42.0", True),
    (r"\frac{1}{2}", r"\frac{2}{4}", True),
    (r"2\sqrt{3}", r"\sqrt{12}", True),
    (r"2\sqrt{3}", r"3\sqrt{2}", False),
    ("x^2-5x+6", "(x-2)(x-3)", True),
    ("x^2-5x+6", "(x+2)(x+3)", False),
    ("(0,1)", "[0,1]", False),
    ("2, 3", r"\{3, 2\}", True),
    ("1000000007", "1000000009", False),
    ("x>5", r"(5,\infty)", True),
    (r"5\text{ cm}", r"5\text{ m}", False),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}", True),
    (r"\frac{1}{3}", "0.33", False),
)


def self_test() -> str:
    """Empty where every known pair is told apart, else the first that is not."""
    for gold, candidate, expected in SELF_TEST:
        for left, right in ((gold, candidate), (candidate, gold)):
            judgement = compare(left, right)
            if (judgement.verdict is Verdict.EQUIVALENT) != expected:
                return f"{left!r} against {right!r} gave {judgement.verdict} by {judgement.rule}"
    return ""


class _Library:
    """math-verify, loaded on first need and announced to the parent, whose clock stands still meanwhile."""

    def __init__(self, replies: TextIO):
        self._replies = replies
        self.loading_ms = 0.0  # once, and no pair's own time

    def __call__(self, gold: str, candidate: str, mode: Mode) -> tuple[Verdict, str] | None:
        if not library.may_decide(gold, candidate, mode):
            return None
        if not self.loading_ms:
            start = perf_counter()
            print(json.dumps(["loading"]), file=self._replies, flush=True)
            print(json.dumps(["loaded", library.load()]), file=self._replies, flush=True)
            self.loading_ms = (perf_counter() - start) * 1000
        return library.ask(gold, candidate, mode)


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answers requests until the parent closes its end."""
    behind = _Library(replies)
    for line in requests:
        mode, gold, candidate = json.loads(line)
        try:
            before_ms = behind.loading_ms
            judgement = compare(gold, candidate, _mode(mode), behind)
            reply = [judgement.verdict, judgement.rule, judgement.ms - (behind.loading_ms - before_ms)]
        except MemoryError:
            reply = [Verdict.UNVERIFIABLE, "memory", 0.0]
        except RecursionError:
            reply = [Verdict.UNVERIFIABLE, "recursion", 0.0]
        print(json.dumps(reply), file=replies, flush=True)


def _mode(name: str) -> Mode:
    return "compat" if name == "compat" else "strict"


def main() -> None:
    """Limits its own memory, proves itself, then serves."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing that a library prints may look like a reply
    print(json.dumps(["ready", self_test()]), file=replies, flush=True)
    try:
        serve(sys.stdin, replies)
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # the parent is gone; flushing to it would only raise again


if __name__ == "__main__":
    main()
