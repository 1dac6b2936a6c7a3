"""The table, the tests and the plot of a comparison, on rows written out by hand."""

import re

import pytest

from rstar.evaluate import comparison
from rstar.evaluate.comparison import Row, cells, level_rows, notable, ordered, page, pairs
from rstar.evaluate.metrics import Rate


def row(strategy: str, right: str, generated: int, budget: str = "", levels: tuple[str, ...] = ("all",)) -> Row:
    """A row over as many problems as `right` has letters, R for each that is solved."""
    solved = tuple(letter == "R" for letter in right)
    rate = Rate(sum(solved), len(solved)).to_json()
    cost = {
        "problems": len(solved),
        "generated": generated,
        "prefilled": 7,
        "value_tokens": 0,
        "executions": 30,
        "calls": 9,
    }
    told = {
        "accuracy": rate,
        "levels": dict.fromkeys(levels, rate),
        "cost": cost,
        "clock": {"cpu_s": 5.0, "gpu_s": 0.0, "wall_s": 2.5},
    }
    return Row(strategy, budget, told, solved)


CHEAP = row("greedy", "RRWWWWWWWW", 100)
VOTE = row("vote", "RRRRWWWWWW", 1000, "n=8")
BEST = row("best", "RRRRRRRRRR", 1400, "n=8")
WORST = row("beam", "WWWWRWWWWW", 1410, "width=2")


def test_rows_are_in_the_order_of_what_they_cost():
    assert ordered([BEST, CHEAP, VOTE]) == [CHEAP, VOTE, BEST]


def test_the_table_shows_costs_a_problem():
    (only,) = cells([VOTE], [])
    assert len(only) == len(comparison.HEADER)
    assert only[:4] == ["vote", "n=8", "40.0 (16.8–68.7)", "100"]
    assert only[4:] == ["1", "0", "3.0", "0.9", "0.50", "0.00", "0.25", ""]


def test_the_table_shows_the_difference_to_the_first_row():
    rows = [CHEAP, VOTE, BEST]
    last = [line[-1] for line in cells(rows, pairs(rows))]
    assert last[0] == ""
    assert last[1].startswith("+20.0 (+0.0 to ")
    assert last[2] == "+80.0 (+50.0 to +100.0) *"


def test_any_two_rows_are_tested_on_the_same_problems():
    tests = pairs([CHEAP, VOTE, BEST, WORST])
    assert len(tests) == 6
    told = {(one["first"], one["second"]): one for one in tests}
    assert told["greedy", "vote n=8"]["difference"] == 0.2
    assert not told["greedy", "vote n=8"]["like"]
    assert told["vote n=8", "best n=8"]["like"]
    assert (told["vote n=8", "best n=8"]["only_first"], told["vote n=8", "best n=8"]["only_second"]) == (0, 6)


def test_what_is_told_apart_at_like_budgets():
    found = notable(pairs([CHEAP, VOTE, BEST, WORST]))
    assert [(one["first"], one["second"]) for one in found] == [("best n=8", "beam width=2"), ("vote n=8", "best n=8")]


def test_the_page_holds_the_table_and_says_how_many_pairs_were_tried():
    rows = ordered([CHEAP, VOTE, BEST, WORST])
    text = page("title", "About it.", rows, pairs(rows), "plot.png")
    assert text.startswith("# title\n\nAbout it.\n\n| strategy | budget |")
    assert "![accuracy against policy tokens](plot.png)" in text
    assert "Of 6 pairs of rows, 3 are at like budgets" in text
    assert "2 of these differ at p < 0.05 (McNemar's exact test; chance alone would give about 0.2):" in text
    assert re.search(r"\| best n=8 \| beam width=2 \| \+90\.0 \(70\.0 to 100\.0\) \| 0\.004 \|", text)
    assert "differ at p < 0.05 (McNemar's exact test; chance alone would give about 0.0).\n" in page(
        "t", "a", rows[:1], [], None
    )


def test_levels_only_where_there_are_some():
    assert level_rows([CHEAP]) == level_rows([]) == ([], [])
    header, body = level_rows([row("a", "RW", 1, "n=1", ("L1", "L2"))])
    assert (header, body) == (["accuracy % of", "L1", "L2"], [["a n=1", "50.0", "50.0"]])


def test_the_plot_is_a_picture_of_every_strategy(tmp_path):
    pytest.importorskip("matplotlib")
    files = [tmp_path / "plot.png", tmp_path / "plot.svg"]
    rows = [CHEAP, VOTE, row("vote", "RRRRRWWWWW", 4000, "n=32"), row("nothing", "WW", 0)]
    comparison.draw("title", rows, files)
    assert files[0].read_bytes().startswith(b"\x89PNG")
    drawn = files[1].read_bytes()
    assert b"<svg" in drawn
    assert drawn.count(b"LineCollection") >= 3
    comparison.draw("title", rows, files)
    assert files[1].read_bytes() == drawn
