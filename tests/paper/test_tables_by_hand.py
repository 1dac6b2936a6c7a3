"""Tables from made numbers: every figure is what can be counted."""

import dataclasses
import json

import pytest

from rstar.evaluate.seeds import shares
from rstar.paper.ablations import Outcome, ablations_table
from rstar.paper.judge import Judged
from rstar.paper.reward_models import reward_models_table, settings
from rstar.paper.rounds import coverage_table, policy_table
from rstar.paper.scaling import sampled, scaling_table
from rstar.paper.searches import Searched, costs_of, searches_table
from rstar.paper.sft_data import BOOTSTRAP, OURS, RANDOM, REJECTION, equal, sft_data_table

NAMES = [f"p{i}" for i in range(10)]


def solving(*counts: int):
    """A measure: seed i + 1 solves the first `counts[i]` of ten problems."""
    return shares({seed: {name: i < count for i, name in enumerate(NAMES)} for seed, count in enumerate(counts, 1)})


def cells(table, grid: int = 0) -> list[dict]:
    return table.to_json()["grids"][grid]


def judged(name: str, right: list[bool], scores: list[list[float]], classes: list[int | None]) -> Judged:
    solutions = [
        (number, good, None if number is None else steps)
        for number, good, steps in zip(classes, right, scores, strict=True)
    ]
    return Judged(name, (1, 2), (1, 1), solutions)


ONE = judged("a", [True, False, False, False], [[0.9, 0.1], [-0.9, 0.5], [0.2, 0.2], [1, 1]], [0, 1, 1, None])


def test_what_a_model_chooses_among_solutions():
    assert ONE.picked("last") == 0  # 0.5 is the wrong one
    assert ONE.picked("min") == 0  # 0.2 against 0.1
    assert ONE.picked("product") == 1  # 0.95 * 0.55 against 0.6 * 0.6
    assert ONE.majority() == 0
    assert ONE.random() == pytest.approx(1 / 3)  # the fourth did not answer
    assert ONE.any() == 1


def test_nothing_is_chosen_where_nothing_answered():
    none = judged("a", [False], [[]], [None])
    assert [none.picked("last"), none.majority(), none.random(), none.any()] == [0, 0, 0, 0]


def test_coverage_by_round_and_level():
    level = {name: "L1" if i < 5 else "L2" for i, name in enumerate(NAMES)}
    table = coverage_table({"1": solving(2), "2": solving(5), "3": solving(8)}, level)
    first, second, third = cells(table)
    assert (second["L1"], second["L2"], third["L2"]) == (1.0, 0.0, 0.6)
    assert third["all"]["mean"] == 0.8
    assert third["against the round before"]["mean"] == pytest.approx(0.3)
    assert first["paper, all"] == "60.17"
    assert "The paper's order of rounds is round 3 > round 2; ours is round 3 > round 2" in table.findings[0]


def test_policy_against_control():
    table = policy_table({"1": solving(4, 2), "2": solving(9, 7)}, {"1": solving(4, 2), "2": solving(3, 3)}, {})
    rows = cells(table)
    told = rows[1]["policy"]
    assert (told["mean"], told["spread"], told["by_seed"], told["n"]) == (0.8, 0.1414, {"1": 0.9, "2": 0.7}, 20)
    assert rows[0]["policy against control, points"] is None
    assert rows[1]["policy against control, points"]["mean"] == 0.5
    assert table.findings[1].startswith("Policy against control in round 2: +50.0 (")
    assert [line.label for line in table.plot.lines] == ["policy", "control"]
    assert table.plot.lines[0].y == [30.0, 80.0]


def test_runs_without_a_control_say_so():
    table = policy_table({"1": solving(4)}, {}, {})
    assert "There is no control" in table.findings[1]


def test_reward_models_and_the_way_to_score_a_solution():
    said = {"PPM": {1: [ONE]}, "PQM": {1: [dataclasses.replace(ONE, step=(0, 2))]}}
    table = reward_models_table({2: said, 3: said}, 4)
    rows = {row["chosen by"]: row for row in cells(table, 1)}
    assert rows["PPM"]["best-of-4, last"]["mean"] == 0
    assert rows["PPM"]["best-of-4, product"]["mean"] == 1
    assert rows["PPM"]["step pairs"]["mean"] == 0.5
    assert rows["majority"]["PPM, last, against it, points"]["mean"] == 0
    assert rows["majority"]["PPM, product, against it"]["mean"] == 1
    assert rows["random pick"]["best-of-4, last"]["mean"] == pytest.approx(1 / 3, abs=1e-4)
    assert table.to_json()["pairs"] == {"2": {"step": 2, "answer": 1}, "3": {"step": 2, "answer": 1}}
    few = "Round 3: 2 step pairs (fewer than 300: little to go by), 1 answer pairs; the PPM ranks them "
    assert few + "+50.0 points (step), +0.0 points (answer), +33.3 points (all) against PQM." in table.findings
    assert table.findings[-1].startswith("Over all rounds the PPM chooses best by the product of its steps' scores")
    # The other way round: the right solution has the best last step, and a step that was thought bad.
    last = dataclasses.replace(ONE, solutions=[(0, True, [-0.9, 0.9]), (1, False, [0.5, 0.5])])
    line = reward_models_table({2: {"PPM": {1: [last]}, "PQM": {1: [last]}}}, 2).findings[-1]
    assert line.startswith("Over all rounds the PPM chooses best by its last step's score, as in the paper: +100.0")
    assert "points against the least of its steps' scores" in line


def test_other_models_read_as_many_texts_as_the_ppm():
    from rstar.config.train import PpmConfig

    ppm = PpmConfig(batch=32, micro_batch=8, steps=5, tanh_in_loss=False)
    assert settings(ppm, {"kind": "pqm"})["batch"] == 64
    assert settings(ppm, {"kind": "orm"})["batch"] == 32
    assert settings(ppm, {"kind": "pqm", "steps": 9})["steps"] == 9
    assert settings(ppm, {"kind": "orm"})["tanh_in_loss"] is False, "what learns from pairs has the PPM's loss"
    assert "tanh_in_loss" not in settings(ppm, {"kind": "pqm"})


def test_scaling_is_the_expectation_over_draws():
    curves = sampled({1: [ONE]}, 4)
    means = {way: [sum(v for v, _ in its[1].values()) for its in curve.values()] for way, curve in curves.items()}
    assert means["any (oracle)"] == [0.25, 0.5, 1.0]
    assert means["best by PPM, product"] == [0.25, 0.5, 1.0]
    assert means["majority"][2] == 0
    table = scaling_table({**curves, "MCTS": {1: solving(2), 4: solving(5)}}, 2)
    assert [row["N"] for row in cells(table)] == [1, 2, 4]
    assert cells(table)[2]["MCTS"]["mean"] == 0.5
    assert any(line.startswith("MCTS: +30.0 (") for line in table.findings)
    assert not any(line.startswith("any") for line in table.findings)


def test_sets_of_rows_are_of_equal_size():
    import random

    bootstrap = [{"id": i} for i in range(20)]
    fresh = {OURS: [{"m": i} for i in range(9)], REJECTION: [{"j": i} for i in range(5)], RANDOM: [{"r": 1}] * 30}
    mixed = equal(fresh, bootstrap, True, random.Random(1))
    assert {kind: len(rows) for kind, rows in mixed.items()} == dict.fromkeys(mixed, 20)
    shared = [[row for row in mixed[kind] if "id" in row] for kind in fresh]
    assert shared[0] == shared[1] == shared[2]
    assert len(shared[0]) == 15
    alone = equal(fresh, bootstrap, False, random.Random(1))
    assert {kind: len(rows) for kind, rows in alone.items()} == dict.fromkeys(alone, 5)
    assert all("m" in row for row in alone[OURS])


def test_fine_tuning_data():
    solved = {OURS: solving(5), REJECTION: solving(7), RANDOM: solving(3), BOOTSTRAP: solving(1)}
    metrics = {kind: [{"sft_rows": 20, "fresh": 4, "right": 3}] for kind in solved}
    metrics[BOOTSTRAP] = [{"sft_rows": 20, "fresh": 0, "right": 0}]
    table = sft_data_table(solved, metrics, 3)
    rows = {row["data"]: row for row in cells(table)}
    assert rows[RANDOM]["new ones right, %"] == 0.75
    assert rows[BOOTSTRAP]["new ones right, %"] is None
    assert rows[REJECTION][f"against {OURS}, points"]["mean"] == pytest.approx(0.2)
    assert "rejection sampling is above MCTS (top by Q) here by +20.0" in table.findings[0]


def test_ablations_say_what_is_told_apart():
    policies = {
        "as run": Outcome(solving(2), 0.5, 10, 20),
        "fpu zero": Outcome(solving(2), 0.4, 8, 5),
        "8 rollouts": Outcome(solving(9), 0.3, 6, 4),
    }
    said = {"as run": {1: [ONE]}, "tanh only in use": {1: [ONE]}}
    table = ablations_table(policies, said, 2, "As run: …")
    assert table.findings[0].startswith("By pass@1, told apart from the run: 8 rollouts (+70.0 (")
    assert table.findings[0].endswith("not told apart: fpu zero.")
    assert cells(table)[1]["coverage"] == 0.4
    assert cells(table, 1)[1]["step pairs"]["mean"] == 0.5


def test_searches_say_what_mcts_beats_and_what_beats_it():
    def cost(tokens: float) -> dict[str, float]:
        return {"policy tokens": tokens, "value tokens": 0.0, "executions": 3.4}

    found = {
        "greedy": Searched(solving(1), cost(50)),
        "majority": Searched(solving(5), cost(1234.5)),
        "best of 8": Searched(solving(9), cost(400)),
        "MCTS": Searched(solving(5), cost(300)),
    }
    table = searches_table({(2, 2): found, (2, 5): found}, "mcts (rollouts 4)")
    assert "MCTS is mcts (rollouts 4)." in table.compared
    assert [row["search"] for row in cells(table)] == ["greedy", "MCTS", "best of 8", "majority"]  # by policy tokens
    assert [row["policy tokens"] for row in cells(table)] == ["50", "300", "400", "1,234"]
    assert cells(table)[1]["MCTS against it, points"] is None
    assert table.findings[0].startswith("Models of round 2: MCTS beats `greedy` +40.0 (")
    assert "; is not told apart from `majority`; is beaten by `best of 8` -40.0 (" in table.findings[0]
    assert table.findings[1].startswith("Policy of round 2 with the PPM of round 5: MCTS beats `greedy`")


def test_costs_are_means_over_the_problems_that_were_asked(tmp_path):
    from rstar.core.problem import Problem

    rows = [
        {"id": name, "generated": tokens, "value_tokens": 0, "executions": 1} for name, tokens in (("a", 4), ("b", 90))
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [Problem(id="a", text="?", answer="1")]
    assert costs_of([(tmp_path, asked)]) == {"policy tokens": 4, "value tokens": 0, "executions": 1}
