"""The problems of a run: for training, held out, and for the bootstrap with its demonstrations."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from rstar.config.run import (
    CountdownProblemsConfig,
    DemonstrationsConfig,
    FileProblemsConfig,
    ModelBootstrapConfig,
    RunConfig,
    TeacherConfig,
    WordsProblemsConfig,
)
from rstar.core.problem import Demonstration, Problem
from rstar.data import countdown, demonstrator, wording, words
from rstar.data.jsonl import read_demonstrations, read_problems
from rstar.data.numbers import named, plain, translated
from rstar.errors import ConfigError, InputError
from rstar.text.grammar import PROGRAMS


@dataclass(frozen=True, slots=True)
class ProblemSets:
    """`bootstrap` holds the problems that round 1 searches, with worked steps where there are any."""

    train: list[Problem]
    test: list[Problem]
    bootstrap: list[Demonstration]

    def seen(self) -> set[str]:
        """The ids of the held-out problems that say, word for word, what a problem to learn from says."""
        known = {_said(problem) for problem in (*self.train, *(one.problem for one in self.bootstrap))}
        return {problem.id for problem in self.test if _said(problem) in known}


def _said(problem: Problem) -> tuple[str, str]:
    """A text's words, which are kept apart, and its form, which has the operators too."""
    text = plain(problem)
    return " ".join(wording.words(text)), wording.latex_form(text)


def make(cfg: RunConfig) -> ProblemSets:
    """Draw or read all problems of a run. Raises InputError or ConfigError on what is wrong with them."""
    if (
        cfg.grammar.answer == "boxed"
        and cfg.task not in PROGRAMS
        and not isinstance(cfg.bootstrap, ModelBootstrapConfig)
    ):
        raise ConfigError("grammar.answer: a teacher or demonstrations write no box behind their code; use `printed`")
    match cfg.problems:
        case WordsProblemsConfig():
            sets = _words(cfg, cfg.problems)
        case CountdownProblemsConfig():
            sets = _countdown(cfg, cfg.problems)
        case FileProblemsConfig():
            sets = _files(cfg, cfg.problems)
            sets = ProblemSets(
                [posed(cfg, problem) for problem in sets.train],
                [posed(cfg, problem) for problem in sets.test],
                [shown(cfg, demonstration) for demonstration in sets.bootstrap],
            )
    train_ids = {problem.id for problem in sets.train}
    twice = next((problem.id for problem in sets.test if problem.id in train_ids), None)
    if twice is not None:
        raise InputError(f"the problem id {twice!r} stands in both the training and the held-out problems")
    return sets


def others(cfg: RunConfig, test_seed: int) -> list[Problem]:
    """Held-out problems drawn from another seed, without those that a run has of its own.

    Raises InputError where the problems are those of files, or none is left.
    """
    if isinstance(cfg.problems, FileProblemsConfig):
        raise InputError(f"test_seed: the problems of {cfg.name} are those of files, not drawn from a seed")
    own = make(cfg)
    elsewhere = cfg.model_copy(update={"problems": cfg.problems.model_copy(update={"test_seed": test_seed})})
    drawn = make(elsewhere).test
    known = ProblemSets([*own.train, *own.test], drawn, own.bootstrap).seen()
    if len(known) == len(drawn):
        raise InputError(f"test_seed: {cfg.name} has every problem that is drawn from the seed {test_seed}")
    return [problem for problem in drawn if problem.id not in known]


def posed(cfg: RunConfig, problem: Problem) -> Problem:
    """A problem as a run puts it to its models: with `problems.numbers: named`, under names."""
    return named(problem) if _names_numbers(cfg) else problem


def shown(cfg: RunConfig, demonstration: Demonstration) -> Demonstration:
    """A demonstration as a run shows it to its models."""
    return translated(demonstration) if _names_numbers(cfg) else demonstration


def _names_numbers(cfg: RunConfig) -> bool:
    return isinstance(cfg.problems, FileProblemsConfig) and cfg.problems.numbers == "named" and cfg.task != "code"


def _words(cfg: RunConfig, source: WordsProblemsConfig) -> ProblemSets:
    if not isinstance(cfg.bootstrap, TeacherConfig):
        raise ConfigError("bootstrap.kind: the WORDS family is bootstrapped by its teacher (kind: teacher)")
    for field, counts in (("problems.train", source.train), ("bootstrap.problems", cfg.bootstrap.problems)):
        _known(field, counts, words.LEVELS)
    bootstrap = words.problems(cfg.bootstrap.problems, source.seed, "boot")
    train = words.problems(source.train, source.seed, "train", avoid=bootstrap)
    levels = dict.fromkeys(words.LEVELS, source.test)
    test = words.problems(levels, source.test_seed, "test", avoid=[*bootstrap, *train])
    return ProblemSets(train, test, list(words.demonstrations(bootstrap)))


def _countdown(cfg: RunConfig, source: CountdownProblemsConfig) -> ProblemSets:
    if not isinstance(cfg.bootstrap, TeacherConfig):
        raise ConfigError("bootstrap.kind: the COUNTDOWN family is bootstrapped by its teacher (kind: teacher)")
    if cfg.task != "countdown":
        raise ConfigError(f"task: problems of kind `countdown` are verified by the task of that name, not {cfg.task!r}")
    if not cfg.grammar.observe:
        raise ConfigError("grammar.observe: the policy must be shown what is left; use `true`")
    for field, counts in (("problems.train", source.train), ("bootstrap.problems", cfg.bootstrap.problems)):
        _known(field, counts, countdown.LEVELS)
    # Held-out problems are drawn first: of the smallest level there are few.
    test = countdown.problems(dict.fromkeys(countdown.LEVELS, source.test), source.test_seed, "test")
    bootstrap = countdown.problems(cfg.bootstrap.problems, source.seed, "boot", avoid=test)
    train = countdown.problems(source.train, source.seed, "train", avoid=[*test, *bootstrap])
    return ProblemSets(train, test, list(countdown.demonstrations(bootstrap, source.seed)))


def typed(cfg: RunConfig, text: str) -> Problem:
    """The problem that somebody wrote, without an answer. Raises InputError where it is not of the run's task."""
    if cfg.task != "countdown":
        return posed(cfg, Problem("problem", text.strip()))
    try:
        return countdown.typed("problem", text).hidden()
    except ValueError as error:
        raise InputError(str(error)) from error


def _known(field: str, counts: dict[str, int], levels: Iterable[str]) -> None:
    unknown = sorted(counts.keys() - set(levels))
    if unknown:
        raise ConfigError(f"{field}.{unknown[0]}: there is no such level (levels: {', '.join(levels)})")


def _files(cfg: RunConfig, source: FileProblemsConfig) -> ProblemSets:
    train = read_problems(source.train, cfg.task, cfg.grading.shown_tests)[: source.limit]
    test = read_problems(source.test, cfg.task, cfg.grading.shown_tests)[: source.test_limit]
    match cfg.bootstrap:
        case TeacherConfig():
            raise ConfigError(
                "bootstrap.kind: `teacher` knows the embedded families only; give demonstrations or a model"
            )
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
