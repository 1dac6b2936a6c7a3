"""Solutions written out by hand, as texts of the policy."""

from rstar.text.grammar import Grammar, Kind, Segment
from rstar.text.prompts import Prompts

GRAMMAR = Grammar(answer="printed")
PROMPTS = Prompts(GRAMMAR)
HEAD = GRAMMAR.prompt("text")


def first(code: str) -> str:
    return Segment(Kind.STEP, code, first=True).render()


def step(code: str) -> str:
    return Segment(Kind.STEP, code).render()


def last(code: str) -> str:
    return Segment(Kind.LAST_STEP, code).render()
