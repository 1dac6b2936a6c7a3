"""The problems of a run: for training, held out, and for the bootstrap with its demonstrations."""

import random
from dataclasses import dataclass

from rstar.config.run import (
    DemonstrationsConfig,
    FileProblemsConfig,
    ModelBootstrapConfig,
    RunConfig,
    TeacherConfig,
    WordsProblemsConfig,
)
from rstar.core.problem import Demonstration, Problem
from rstar.data import demonstrator, words
from rstar.data.jsonl import read_demonstrations, read_problems
from rstar.errors import ConfigError, InputError


@dataclass(frozen=True, slots=True)
class ProblemSets:
    """`bootstrap` holds the problems that round 1 searches, with worked steps where there are any."""

    train: list[Problem]
    test: list[Problem]
    bootstrap: list[Demonstration]


def make(cfg: RunConfig) -> ProblemSets:
    """Draw or read all problems of a run. Raises InputError or ConfigError on what is wrong with them."""
    if cfg.grammar.answer == "boxed" and cfg.task != "code" and not isinstance(cfg.bootstrap, ModelBootstrapConfig):
        raise ConfigError("grammar.answer: a teacher or demonstrations write no box behind their code; use `printed`")
    match cfg.problems:
        case WordsProblemsConfig():
            sets = _words(cfg, cfg.problems)
        case FileProblemsConfig():
            sets = _files(cfg, cfg.problems)
    train_ids = {problem.id for problem in sets.train}
    twice = next((problem.id for problem in sets.test if problem.id in train_ids), None)
    if twice is not None:
        raise InputError(f"the problem id {twice!r} stands in both the training and the held-out problems")
    return sets


def _words(cfg: RunConfig, source: WordsProblemsConfig) -> ProblemSets:
    if not isinstance(cfg.bootstrap, TeacherConfig):
        raise ConfigError("bootstrap.kind: the WORDS family is bootstrapped by its teacher (kind: teacher)")
    for field, counts in (("problems.train", source.train), ("bootstrap.problems", cfg.bootstrap.problems)):
        unknown = sorted(counts.keys() - words.LEVELS.keys())
        if unknown:
            raise ConfigError(f"{field}.{unknown[0]}: there is no such level (levels: {', '.join(words.LEVELS)})")
    bootstrap = words.problems(cfg.bootstrap.problems, source.seed, "boot")
    train = words.problems(source.train, source.seed, "train", avoid=bootstrap)
    levels = dict.fromkeys(words.LEVELS, source.test)
    test = words.problems(levels, source.test_seed, "test", avoid=[*bootstrap, *train])
    return ProblemSets(train, test, list(words.demonstrations(bootstrap)))


def _files(cfg: RunConfig, source: FileProblemsConfig) -> ProblemSets:
    train = read_problems(source.train, cfg.task, cfg.grading.shown_tests)[: source.limit]
    test = read_problems(source.test, cfg.task, cfg.grading.shown_tests)[: source.test_limit]
    match cfg.bootstrap:
        case TeacherConfig():
            raise ConfigError("bootstrap.kind: `teacher` knows WORDS only; give demonstrations or a model")
        case ModelBootstrapConfig():
            return ProblemSets(train, test, [Demonstration(problem, ()) for problem in train])
        case DemonstrationsConfig() as given:
            return ProblemSets(train, test, _demonstrations(cfg, given))


def _demonstrations(cfg: RunConfig, given: DemonstrationsConfig) -> list[Demonstration]:
    every = read_demonstrations(given.demonstrations, cfg.task, cfg.grading.shown_tests)
    for number, demonstration in enumerate(every, start=1):
        wrong = demonstrator.check(demonstration)
        if wrong:
            raise InputError(f"{given.demonstrations}, demonstration {number} ({demonstration.problem.id!r}): {wrong}")
    count = max(1, round(given.share * len(every)))
    chosen = set(random.Random(cfg.seed).sample(range(len(every)), count))
    return [demonstration for i, demonstration in enumerate(every) if i in chosen]
