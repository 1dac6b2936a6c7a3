"""The table of rounds says what was measured, and a dash where nothing was."""

from typing import Any

from rstar.evaluate import report
from rstar.evaluate.metrics import Rate


def measured(right: int, n: int, levels: dict[str, tuple[int, int]] | None = None) -> dict[str, Any]:
    rates = {name: Rate(*counts).to_json() for name, counts in (levels or {"all": (right, n)}).items()}
    return {"accuracy": Rate(right, n).to_json(), "levels": rates}


def summary(number: int, **changes: Any) -> dict[str, Any]:
    made = {
        "round": number,
        "searched_by": "bootstrap" if number == 1 else f"policy of round {number - 1}",
        "coverage": {"problems": 8, "solved": 6, "levels": {"all": {"problems": 8, "solved": 6}}},
        "policy": measured(5, 10),
        "control": measured(1, 10),
        "search": measured(10, 10),
        "pairs": {"step": Rate(3, 4).to_json(), "answer": Rate().to_json()},
    }
    return made | changes


def test_a_row_has_a_cell_for_each_column():
    (row,) = report.rows([summary(2)])
    assert dict(zip(report.COLUMNS, row, strict=True)) == {
        "round": "2",
        "searched by": "policy of round 1",
        "coverage": "75.0 of 8",
        "policy pass@1": "50.0 (23.7–76.3)",
        "control pass@1": "10.0 (1.8–40.4)",
        "search accuracy": "100.0 (72.2–100.0)",
        "PPM step pairs": "75.0 (30.1–95.4)",
        "PPM answer pairs": "–",
    }


def test_what_was_not_measured_is_a_dash():
    nothing = summary(1, control=None, search=None, pairs=None)
    nothing["coverage"] = {"problems": 0, "solved": 0, "levels": {}}
    (row,) = report.rows([nothing])
    assert row == ["1", "bootstrap", "–", "50.0 (23.7–76.3)", "–", "–", "–", "–"]


def test_levels_have_a_table_of_their_own():
    levels = {"L1": (2, 4), "L2": (0, 3)}
    rounds = [summary(1, policy=measured(2, 7, levels), control=None), summary(2, policy=measured(2, 7, levels))]
    rounds[1]["control"] = measured(1, 7, {"L1": (1, 4), "L2": (0, 3)})
    header, body = report.level_rows(rounds)
    assert header == ["round", "pass@1 of", "L1", "L2", "all"]
    assert body == [
        ["1", "policy", "50.0", "0.0", "28.6"],
        ["2", "policy", "50.0", "0.0", "28.6"],
        ["2", "control", "25.0", "0.0", "14.3"],
    ]


def test_coverage_by_level_may_differ_between_rounds():
    one, two = summary(1), summary(2)
    one["coverage"]["levels"] = {"L1": {"problems": 4, "solved": 4}}
    two["coverage"]["levels"] = {"L1": {"problems": 2, "solved": 1}, "L3": {"problems": 5, "solved": 0}}
    header, body = report.coverage_rows([one, two])
    assert header == ["round", "L1", "L3"]
    assert body == [["1", "100.0 of 4", "–"], ["2", "50.0 of 2", "0.0 of 5"]]


def test_problems_without_levels_have_no_tables_by_level():
    assert report.level_rows([summary(1)]) == ([], [])
    assert report.coverage_rows([summary(1)]) == ([], [])
    assert "by level" not in report.table("a", [summary(1)])


def test_the_page_is_markdown_with_every_round():
    page = report.table("my run", [summary(1), summary(2)])
    lines = page.splitlines()
    assert lines[0] == "# my run"
    assert lines[2] == "| " + " | ".join(report.COLUMNS) + " |"
    assert [line.split(" | ")[0] for line in lines[4:6]] == ["| 1", "| 2"]
    assert {line.count("|") for line in lines[2:6]} == {len(report.COLUMNS) + 1}
    assert report.NOTE in page
