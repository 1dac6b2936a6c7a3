"""Labels by completion, in a world where the policy never comes to an end and a stronger model does."""

from dataclasses import replace

from rstar.core.execution import ROOT_STATE, Status, StepResult
from rstar.core.problem import Problem
from rstar.core.tree import Terminal, Tree
from rstar.core.verdict import Judgement, Verdict
from rstar.search.calls import Call, Completion, Execute, Generate, Reply, Seeds, Verify, drive
from rstar.search.expand import Sample
from rstar.select.complete import completed
from rstar.text.grammar import Grammar, Kind, Segment
from rstar.text.prompts import Prompts

PROMPTS = Prompts(Grammar(answer="printed"))
ONE = Sample(1, 0.0, 1.0, 64, 6)


def step(body: str, first: bool = False) -> str:
    return Segment(Kind.STEP, body, first).render()


def last(body: str) -> str:
    return Segment(Kind.LAST_STEP, body).render()


class Stronger:
    """Adds the number in its seed's place in `numbers` to the last x, then prints; states are the values of x."""

    def __init__(self, *numbers: int):
        self.numbers = numbers
        self.asked: list[Call] = []
        self.completions = 0

    def __call__(self, call: Call) -> Reply:
        self.asked.append(call)
        match call:
            case Generate(prompt=prompt):
                if "+" in prompt.rpartition("x = ")[2]:
                    return [Completion(last("print(x)"), 3)]
                number = self.numbers[self.completions % len(self.numbers)]
                self.completions += 1
                return [Completion(step(f"# go on\nx = x + {number}"), 5)]
            case Execute(state=state, codes=(code,)):
                return [self.run(state, code)]
            case Verify(reference=reference, answers=answers):
                return [
                    Judgement(Verdict.EQUIVALENT if a.text == reference else Verdict.DIFFERENT, "string")
                    for a in answers
                ]
        raise AssertionError(call)

    def run(self, state: str, code: str) -> StepResult:
        x = 0 if state == ROOT_STATE else int(state)
        body = code.splitlines()[-1]
        if body == "print(x)":
            return StepResult(Status.OK, str(x), stdout=f"{x}\n")
        words = body.split()
        return StepResult(Status.OK, str(int(words[-1]) + (x if "+" in words else 0)))


def tree() -> Tree:
    """Three first steps: x = 1, x = 5 and one that failed. The answer is 3."""
    made = Tree(Problem("p", "What?", "3"))
    for number in (1, 5):
        made.add(0, step(f"# start\nx = {number}", True), status=Status.OK)
    made.add(0, step("# start\nfail()", True), status=Status.EXCEPTION, terminal=Terminal.CODE_ERROR)
    return made


def test_a_step_is_worth_what_a_stronger_model_makes_of_it():
    world = Stronger(2)  # 1 + 2 = 3 is right, 5 + 2 = 7 is not
    assert drive(completed(tree(), PROMPTS, ONE, Seeds(0, "p")), world) == [None, 1.0, 0.0, 0.0]
    assert {call.role for call in world.asked if isinstance(call, Generate)} == {"stronger"}


def test_the_best_of_several_completions_counts():
    assert drive(completed(tree(), PROMPTS, replace(ONE, n=2), Seeds(0, "p")), Stronger(1, 2)) == [None, 1.0, 0.0, 0.0]
    assert drive(completed(tree(), PROMPTS, ONE, Seeds(0, "p")), Stronger(1, 2)) == [None, 0.0, 0.0, 0.0]


def test_the_code_before_runs_again_and_the_tree_stays_as_it_is():
    before, asked = tree(), tree()
    world = Stronger(2)
    drive(completed(asked, PROMPTS, ONE, Seeds(0, "p"), "teacher", ids=[1]), world)
    assert asked == before
    assert [call for call in world.asked if isinstance(call, Execute)] == [
        Execute(ROOT_STATE, ("# start\nx = 1",)),
        Execute("1", ("# go on\nx = x + 2",)),
        Execute("3", ("print(x)",)),
    ]


def test_ends_are_their_own_completions_and_undecided_ones_say_nothing():
    made = Tree(Problem("p", "What?", "3"))
    for verdict in (Verdict.EQUIVALENT, Verdict.DIFFERENT, Verdict.UNVERIFIABLE):
        made.add(0, last(f"print({verdict})"), terminal=Terminal.ANSWERED, answer="?", verdict=verdict)
    assert drive(completed(made, PROMPTS, ONE, Seeds(0, "p")), Stronger(2)) == [None, 1.0, 0.0, None]
