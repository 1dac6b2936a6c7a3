"""The exploration floor: who is asked for how many candidates, and that nothing else changes."""

import pytest

from rstar.config.search import MctsConfig
from rstar.core.problem import Problem
from rstar.engine.scripted import ScriptedWorld
from rstar.errors import RolloutError
from rstar.pipeline.search import Pass
from rstar.search.calls import Generate, Seeds, drive
from rstar.search.explore import explored
from rstar.search.mcts import mcts
from rstar.text.grammar import Grammar
from rstar.text.prompts import Prompts
from tests.search.worlds import logged, of_kind

PROBLEM = Problem("p", "What is asked?", "2")
PROMPTS = Prompts(Grammar(answer="printed"))


def asked(share: float, candidates: int = 6, wave: int = 1) -> list[Generate]:
    cfg = MctsConfig(rollouts=4, candidates=candidates, wave=wave)
    _, log = logged(explored(mcts(PROBLEM, PROMPTS, cfg, Seeds(1, "p")), share), ScriptedWorld())
    return of_kind(log, Generate)


@pytest.mark.parametrize("wave", [1, 3])
@pytest.mark.parametrize(("share", "split"), [(1 / 3, (4, 2)), (0.5, (3, 3)), (0.1, (5, 1)), (0.9, (1, 5))])
def test_the_explorer_writes_its_share_behind_the_same_prompts(share: float, split: tuple[int, int], wave: int):
    calls = asked(share, wave=wave)
    by_role = {role: [call for call in calls if call.role == role] for role in ("policy", "explorer")}
    assert {call.n for call in by_role["policy"]} == {split[0]}
    assert {call.n for call in by_role["explorer"]} == {split[1]}
    assert [call.prompt for call in by_role["policy"]] == [call.prompt for call in by_role["explorer"]]


def test_all_or_nothing():
    assert {call.role for call in asked(1.0)} == {"explorer"}
    assert {call.role for call in asked(0.01)} == {"policy"}
    assert {call.n for call in asked(1.0)} == {6}


def test_a_share_too_small_for_a_candidate_changes_no_tree():
    one = Pass(MctsConfig(), PROMPTS)
    assert drive(Pass(MctsConfig(), PROMPTS, explore=0.01).search(PROBLEM, 1), ScriptedWorld()) == drive(
        one.search(PROBLEM, 1), ScriptedWorld()
    )


def test_candidates_of_both_become_children():
    cfg = MctsConfig(rollouts=1, candidates=4)

    class Two:
        """A world whose explorer sees another prompt, so that it writes other steps."""

        def __call__(self, call):
            if isinstance(call, Generate) and call.role == "explorer":
                return ScriptedWorld(seed=9)(call)
            return ScriptedWorld(seed=0)(call)

    tree, log = logged(explored(mcts(PROBLEM, PROMPTS, cfg, Seeds(1, "p")), 0.5), Two())
    first = {call.role: {text.text for text in reply} for call, reply in log[:2]}
    assert {tree.nodes[i].text for i in tree.nodes[0].children} == first["policy"] | first["explorer"]
    assert first["policy"] != first["explorer"]


def test_an_error_reaches_the_search():
    def careful():
        try:
            yield Generate("prompt", 2, 1, ())
        except RolloutError as error:
            return f"caught {error}"

    search = explored(careful(), 0.5)
    next(search)
    with pytest.raises(StopIteration) as ended:
        search.throw(RolloutError("engine", "gone"))
    assert ended.value.value == "caught gone"
