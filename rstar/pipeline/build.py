"""`rstar data build`: many sources in, one file of training problems out, and a list of all that was left out.

One pass over the rows (references, overlaps with benchmarks, equal texts), then near-duplicates among what is left.
Texts and signatures wait in files: memory holds a digest and a place of each problem.
"""

import os
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from pydantic import BaseModel

from rstar.answers.grader import equality
from rstar.answers.normal import normal_form
from rstar.config.data import BuildConfig, SourceConfig
from rstar.core.problem import Problem
from rstar.data import benchmarks, sources
from rstar.data.decontaminate import Hit, Index
from rstar.data.dedup import Bands, MinHash, candidates, jaccard
from rstar.data.tasks import problem_of, problem_row
from rstar.data.wording import latex_form, numbers
from rstar.errors import InputError
from rstar.pipeline.progress import Progress, silent
from rstar.store.fingerprint import file_sha256
from rstar.store.manifest import replacing

EVERY = 500
"""Rows between two reports of progress."""
REASONS = ("rows", "no text", "unverifiable", "contaminated", "duplicate", "conflict", "near-duplicate", "kept")


@dataclass(frozen=True, slots=True)
class Files:
    """Where a build writes: the problems, and beside them what overlapped, what was left out, and the report."""

    out: Path

    def beside(self, what: str) -> Path:
        return self.out.with_name(f"{self.out.name.removesuffix('.jsonl')}.{what}")

    @property
    def hits(self) -> Path:
        return self.beside("hits.jsonl")

    @property
    def dropped(self) -> Path:
        return self.beside("dropped.jsonl")

    @property
    def report(self) -> Path:
        return self.beside("report.json")


class Report(BaseModel):
    """What a build says of itself; `counts` is source -> reason -> problems, the sum of all sources included."""

    counts: dict[str, dict[str, int]]
    benchmarks: dict[str, int]
    """How many problems each has."""
    overlaps: dict[str, dict[str, int]]
    """Benchmark -> problems that overlap it, and hits by rule."""
    sources: dict[str, dict[str, Any]]
    recipe: dict[str, Any]
    sha256: str
    """Of the training file."""


def build(cfg: BuildConfig, out: Path, progress: Progress = silent) -> Report:
    """Write the training file `out` and what stands beside it; returns the report.

    Nothing appears under its name before all of it is there, the training file last. Raises InputError on whatever is
    wrong with sources or benchmarks.
    """
    if not out.parent.is_dir():
        raise InputError(f"--out: there is no folder {out.parent}")
    if out.is_dir() or out.suffix != ".jsonl":
        raise InputError(f"--out: {out} is to be a file that ends in .jsonl")
    given = sources.resolved(cfg)
    read = {path.resolve() for source in given.values() for path in source.files}
    read |= {path.resolve() for path in map(Path, cfg.benchmarks) if path.is_file()}
    files = Files(out)
    for path in (out, files.hits, files.dropped, files.report):
        if path.is_dir():
            raise InputError(f"--out: {path} is a folder, and a file of that name is to be written")
        if path.resolve() in read:
            raise InputError(f"--out: {path} is read as a source or a benchmark; give the training file another name")
    index = Index(cfg.decontaminate.words, cfg.decontaminate.share)
    held = {Path(name).stem: index.add(Path(name).stem, benchmarks.texts(name)) for name in cfg.benchmarks}
    with ExitStack() as stack:
        spool = _Spool(stack.enter_context(tempfile.TemporaryFile(dir=out.parent)))
        signatures = stack.enter_context(tempfile.TemporaryFile(dir=out.parent))
        kept = stack.enter_context(replacing(out))  # what is entered first appears last
        written = stack.enter_context(replacing(files.report))
        hits = stack.enter_context(replacing(files.hits))
        dropped = stack.enter_context(replacing(files.dropped))
        equal = stack.enter_context(equality())
        one = _Build(cfg, index, spool, signatures, equal, hits, dropped)
        for name, source in given.items():
            one.take(name, source, progress)
        digest = sha256()
        for problem in one.left(progress):
            line = orjson.dumps(problem_row(problem)) + b"\n"
            digest.update(line)
            kept.write(line)
        report = Report(
            counts={name: _counts(one.counts[name]) for name in given} | {"all": _counts(one.total())},
            benchmarks=held,
            overlaps={name: dict(sorted(count.items())) for name, count in sorted(one.overlaps.items())},
            sources={name: _described(source) for name, source in given.items()},
            recipe=cfg.model_dump(mode="json", exclude={"sources"}),
            sha256=digest.hexdigest(),
        )
        written.write((report.model_dump_json(indent=2) + "\n").encode())
    return report


@dataclass(slots=True)
class _Spool:
    """Problems that were taken so far, in a file; `at(i)` reads one back."""

    file: IO[bytes]
    starts: "array[int]" = field(default_factory=lambda: array("Q", [0]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def add(self, problem: Problem) -> int:
        self.starts.append(self.starts[-1] + self.file.write(orjson.dumps(problem_row(problem))))
        return len(self) - 1

    def at(self, i: int) -> Problem:
        self.file.flush()
        raw = os.pread(self.file.fileno(), self.starts[i + 1] - self.starts[i], self.starts[i])
        return problem_of(orjson.loads(raw))


@dataclass(slots=True)
class _Build:
    cfg: BuildConfig
    index: Index
    spool: _Spool
    signatures: IO[bytes]
    equal: Callable[[str, str], bool]
    hits: IO[bytes]
    dropped: IO[bytes]
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    overlaps: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    first: dict[bytes, int] = field(default_factory=dict)
    conflicting: set[int] = field(default_factory=set)

    def take(self, name: str, source: SourceConfig, progress: Progress) -> None:
        """One pass over the rows of a source."""
        minhash = MinHash(self.cfg.dedup.hashes)
        count = self.counts[name]
        for taken in sources.read(name, source):
            count["rows"] += 1
            if count["rows"] % EVERY == 0:
                progress(f"{name} rows", count["rows"], count["rows"] + EVERY)
            problem = taken.problem
            if taken.reason is not None:
                self.drop(problem, taken.reason)
            elif found := self.index.hits(problem.text):
                self.overlap(problem, found)
            elif (earlier := self.known(problem)) is not None:
                self.again(problem, earlier)
            else:
                self.spool.add(problem)
                if self.cfg.dedup.near is not None:
                    self.signatures.write(minhash.signature(problem.text).tobytes())
        progress(f"{name} rows", count["rows"], count["rows"])

    def known(self, problem: Problem) -> int | None:
        """Where the first problem with this text, up to LaTeX, stands; None when this is the first."""
        key = blake2b(latex_form(problem.text).encode(), digest_size=12).digest()
        return None if self.first.setdefault(key, len(self.spool)) == len(self.spool) else self.first[key]

    def again(self, problem: Problem, earlier: int) -> None:
        """The same text once more: a duplicate, or, with another reference, a problem whose answer nobody knows."""
        other = self.spool.at(earlier)
        if self.same_answer(problem, other):
            self.drop(problem, "duplicate", other)
            return
        if earlier not in self.conflicting:
            self.conflicting.add(earlier)
            self.drop(other, "conflict", problem)
        self.drop(problem, "conflict", other)

    def same_answer(self, one: Problem, other: Problem) -> bool:
        left, right = one.answer or "", other.answer or ""
        return normal_form(left) == normal_form(right) or self.equal(left, right)

    def overlap(self, problem: Problem, found: list[Hit]) -> None:
        """A hit for each benchmark problem, with both texts."""
        self.counts[problem.source or ""]["contaminated"] += 1
        for name in dict.fromkeys(hit.held.benchmark for hit in found):
            self.overlaps[name]["problems"] += 1
        for hit in found:
            self.overlaps[hit.held.benchmark][hit.rule.value] += 1
            row = {
                "id": problem.id,
                "benchmark": hit.held.benchmark,
                "benchmark_id": hit.held.id,
                "rule": hit.rule,
                "share": hit.share,
                "run": hit.run,
                "problem": problem.text,
                "benchmark_problem": hit.held.text,
            }
            self.hits.write(orjson.dumps(row) + b"\n")

    def drop(self, problem: Problem, reason: str, other: Problem | None = None) -> None:
        self.counts[problem.source or ""][reason.partition(":")[0]] += 1
        row = problem_row(problem) | {"reason": reason}
        if other is not None:
            row |= {"other": other.id, "other_problem": other.text, "other_answer": other.answer}
        self.dropped.write(orjson.dumps(row) + b"\n")

    def left(self, progress: Progress) -> Iterator[Problem]:
        """What stays, in the order of the sources."""
        near = self.near(progress)
        for i in range(len(self.spool)):
            if i in self.conflicting:
                continue
            problem = self.spool.at(i)
            if i in near:
                self.drop(problem, "near-duplicate", self.spool.at(near[i]))
                continue
            self.counts[problem.source or ""]["kept"] += 1
            yield problem

    def near(self, progress: Progress) -> dict[int, int]:
        """Problems that are near-duplicates of earlier ones which stay, and of which."""
        how, total = self.cfg.dedup, len(self.spool)
        if how.near is None or not total:
            return {}
        self.signatures.flush()
        table = np.memmap(self.signatures, np.uint32, "r", shape=(total, how.hashes))
        pairs: dict[int, set[int]] = defaultdict(set)
        for left, right in candidates(table, Bands.of(how.near, how.hashes)):
            pairs[right].add(left)
        found: dict[int, int] = {}
        for done, (right, lefts) in enumerate(sorted(pairs.items()), start=1):
            here = self.spool.at(right)
            for left in sorted(lefts - found.keys() - self.conflicting):
                if self.is_near(here, self.spool.at(left), how.near):
                    found[right] = left
                    break
            if done % EVERY == 0 or done == len(pairs):
                progress("near-duplicates", done, len(pairs))
        return found

    def is_near(self, one: Problem, other: Problem, threshold: float) -> bool:
        """The same numbers, the same reference, and nearly the same words: what differs in a number is another
        problem."""
        return (
            numbers(one.text) == numbers(other.text)
            and jaccard(one.text, other.text) >= threshold
            and self.same_answer(one, other)
        )

    def total(self) -> Counter[str]:
        return sum(self.counts.values(), Counter())


def _counts(count: Counter[str]) -> dict[str, int]:
    return {reason: count[reason] for reason in REASONS}


def _described(source: SourceConfig) -> dict[str, Any]:
    """A source in the report: its recipe, files by name and content."""
    told = source.model_dump(mode="json", exclude_defaults=True)
    if source.files:
        told["files"] = {path.name: file_sha256(path) for path in source.files}
    return told
