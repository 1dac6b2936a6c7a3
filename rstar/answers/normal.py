"""The cheapest sameness of answers: no parser, no process."""

from rstar.answers.exact import plain_number, squash
from rstar.answers.extract import answer_text


def normal_form(answer: str) -> str:
    """A key that only equal answers share: the value of a plain number, else the text without idle spaces."""
    text = squash(answer_text(answer))
    number = plain_number(text)
    return str(number.value) if number is not None else text
