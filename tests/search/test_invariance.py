"""Trees do not depend on how calls are batched; `tests/engine/test_driver.py` has more schedules and problems."""

import pytest

from rstar.search.calls import drive
from tests.engine.clock import run
from tests.engine.test_driver import SCHEDULES, collect, searches
from tests.search.cases import CASES, problems


@pytest.mark.parametrize("schedule", ["everything at once", "small batches, slow lanes"])
@pytest.mark.parametrize("name", CASES)
def test_trees_from_the_driver_are_those_driven_by_hand(name: str, schedule: str):
    case = CASES[name]
    outcomes = run(collect(SCHEDULES[schedule].driver(case.world), searches(case, 5)))
    assert {key: outcome.result for key, outcome in outcomes.items()} == {
        problem.id: drive(case.search(problem), case.world) for problem in problems(5)
    }
