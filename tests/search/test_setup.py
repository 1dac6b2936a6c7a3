"""What runs before the first step: under every strategy, shown to nobody, and named when it fails."""

import pytest

from rstar.config.search import CONFIGS, MctsConfig
from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.core.problem import Problem
from rstar.errors import RolloutError
from rstar.pipeline.search import Pass
from rstar.search.calls import Execute, Generate, Together, drive
from rstar.search.setup import set_up
from rstar.text.grammar import Grammar
from rstar.text.prompts import Prompts
from tests.search.worlds import RoughWorld, logged, of_kind

SETUP = "def helper(x):\n    return x"
PLAIN = Problem("p", "What is asked?", "2")
PROBLEM = Problem("p", "What is asked?", "2", setup=SETUP)
PROMPTS = Prompts(Grammar(answer="printed"))


class Prepared:
    """A rough world whose interpreter has the state `set up` once the setup has run."""

    def __init__(self, ended: StepResult | None = None):
        self.world = RoughWorld()
        self.ended = ended or StepResult(Status.OK, "set up", stdout="never shown\n")

    def __call__(self, call):
        if isinstance(call, Execute):
            if call.codes == (SETUP,):
                return [self.ended]
            if call.state == "set up":
                return self.world(Execute(ROOT_STATE, call.codes))
        return self.world(call)


@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind != "custom"])
def test_a_setup_runs_first_and_changes_nothing_else(kind: str):
    one = Pass(CONFIGS[kind](), PROMPTS)
    bare, plain = logged(one.search(PLAIN, 1), RoughWorld())
    tree, log = logged(one.search(PROBLEM, 1), Prepared())
    (setup, _), *others = log
    assert setup == Execute(ROOT_STATE, (SETUP,))
    assert tree.problem.setup == SETUP
    assert tree.nodes == bare.nodes
    assert tree.cost == bare.cost
    assert of_kind(others, Generate) == of_kind(plain, Generate)
    assert all(call.state != ROOT_STATE for call in of_kind(others, Execute))
    assert not any("never shown" in call.prompt or "helper" in call.prompt for call in of_kind(others, Generate))


@pytest.mark.parametrize(
    ("ended", "boundary", "said"),
    [
        (StepResult(Status.EXCEPTION, error="NameError: n (line 2)"), "setup", "(exception): NameError: n (line 2)"),
        (StepResult(Status.INFRA, error="broker gone"), "sandbox", "(infra): broker gone"),
    ],
)
def test_a_setup_that_fails_is_the_problems_error(ended: StepResult, boundary: str, said: str):
    with pytest.raises(RolloutError) as caught:
        drive(Pass(MctsConfig(), PROMPTS).search(PROBLEM, 1), Prepared(ended))
    assert str(caught.value) == f"the setup of 'p' failed {said}"
    assert caught.value.boundary == boundary


def test_a_problem_without_setup_is_searched_as_it_is():
    search = Pass(MctsConfig(), PROMPTS).search(PLAIN, 1)
    assert isinstance(next(search), Generate)


def test_a_search_may_catch_what_is_thrown_at_it():
    def careful():
        try:
            yield Together((Execute(ROOT_STATE, ("x",)), Execute("elsewhere", ("y",))))
        except RolloutError as error:
            return str(error)

    search = set_up(PROBLEM, careful())
    next(search)
    asked = search.send([StepResult(Status.OK, "set up")])
    assert [call.state for call in asked.calls] == ["set up", "elsewhere"]
    with pytest.raises(StopIteration) as ended:
        search.throw(RolloutError("sandbox", "gone"))
    assert ended.value.value == "gone"
