"""Yes and no: what is read as which, and what is neither."""

import pytest

from rstar.answers.yesno import judge, yes_or_no
from rstar.core.verdict import Verdict

RIGHT, WRONG, OPEN = Verdict.EQUIVALENT, Verdict.DIFFERENT, Verdict.UNVERIFIABLE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *[(text, "yes") for text in ("yes", "Yes.", " YES ", "True", "true", "y", "**Yes**", "\\text{Yes}", "'yes'")],
        *[(text, "no") for text in ("no", "No!", "False", "n", "\\boxed{\\text{no}}", "The answer is no.")],
        ("The answer is \\boxed{yes}", "yes"),
        ("Yes, it is larger.", "yes"),
        ("no, since 3 < 4", "no"),
        ("Yes and no", None),
        ("yes, or no", None),
        ("", None),
        ("maybe", None),
        ("0", None),
        ("1", None),
        ("nothing", None),
        ("yesterday, all my troubles", None),
        ("I know that it is so", None),
    ],
)
def test_what_is_read_as_yes_and_as_no(text: str, said: str | None):
    assert yes_or_no(text) == said


@pytest.mark.parametrize(
    ("reference", "text", "printed", "verdict"),
    [
        ("yes", "True", None, RIGHT),
        ("no", "False", "False", RIGHT),
        ("yes", "no", None, WRONG),
        ("True", "yes", "4", RIGHT),
        ("yes", "42", None, OPEN),
        ("yes", "", None, OPEN),
        ("maybe", "yes", None, OPEN),
        ("yes", "yes", "no", OPEN),
        ("no", "yes", "no", WRONG),
    ],
)
def test_verdicts(reference: str, text: str, printed: str | None, verdict: Verdict):
    assert judge(reference, text, printed).verdict is verdict
