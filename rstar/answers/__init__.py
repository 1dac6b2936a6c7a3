"""Answers: find them in a response, decide whether two are equal, and let several vote. Importing this is light."""

from rstar.answers.extract import extract
from rstar.answers.grade import Mode, compare
from rstar.answers.grader import Grader, GraderUnavailable, equality, grade_pairs
from rstar.answers.vote import classes, equal_classes, majority, weighted_vote

__all__ = [
    "Grader",
    "GraderUnavailable",
    "Mode",
    "classes",
    "compare",
    "equal_classes",
    "equality",
    "extract",
    "grade_pairs",
    "majority",
    "weighted_vote",
]
