import pytest
from pydantic import ValidationError

from rstar.config.search import CustomConfig, imported
from rstar.core.problem import Problem
from rstar.search.calls import Seeds, drive
from rstar.search.custom import custom
from tests.search.cases import EXAMPLE, PRINTED, ROUGH
from tests.search.example import best_first
from tests.search.steps import PROMPTS

PROBLEM = Problem("p", "text", "2")


def test_a_named_function_searches():
    named = drive(custom(PROBLEM, PROMPTS, EXAMPLE, Seeds(0, "p")), ROUGH)
    assert named == drive(best_first(PROBLEM, PROMPTS, EXAMPLE, Seeds(0, "p")), ROUGH)
    assert PROMPTS.grammar == PRINTED


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("best_first", "'best_first' is not written package.module:function"),
        ("tests.search.example:", "is not written package.module:function"),
        ("no.such.module:search", r"cannot import no.such.module \(No module named 'no'\)"),
        ("tests.search.example:other", "tests.search.example has no other"),
        ("tests.search.example:__name__", "tests.search.example:__name__ is not a function"),
    ],
)
def test_what_cannot_be_found_is_refused_when_the_config_is_read(function: str, said: str):
    with pytest.raises(ValidationError, match=said):
        CustomConfig(function=function)
    with pytest.raises(ValueError, match=said):
        imported(function)
