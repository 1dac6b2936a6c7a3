"""The page as a file: what it says is what the run holds, and nothing in it reaches out or breaks out."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rstar.core.problem import Problem
from rstar.core.tree import Terminal
from rstar.errors import Damaged, InputError
from rstar.evaluate import report as tables
from rstar.pipeline import inspect
from rstar.report import charts, facts, figures, page
from rstar.report.trees import FIELDS
from rstar.store.trees import read_trees
from rstar.text.grammar import Grammar
from tests.report.test_trees import grown


@pytest.fixture(scope="module")
def gathered(run) -> facts.Run:
    return facts.gather(run, 60, page.ROOM)


def explorer(text: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_it_is_one_small_file_that_reaches_out_to_nothing(made):
    text = made.read_text()
    assert len(text) < 10_000_000
    assert "default-src 'none'" in text
    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s>]+)", text)
    assert [one for one in addresses if not one.startswith(("#", "data:"))] == []
    assert "@import" not in text


def test_it_has_the_table_of_rounds(made, run):
    text = made.read_text()
    for row in tables.rows(inspect.summaries(run)):
        for cell in row:
            assert f">{cell}</td>" in text


def test_the_explorer_has_every_problem_of_a_tiny_run(made, run):
    data = explorer(made.read_text())
    found = {forest["stage"]: forest for forest in data["forests"]}
    assert list(found) == ["round-1/search", "round-1/eval/search", "round-2/search", "round-2/eval/search"]
    for stage, forest in found.items():
        trees = list(read_trees(run / stage / "trees"))
        assert {
            (one["id"], its["attempt"]): len(its["nodes"]) for one in forest["problems"] for its in one["trees"]
        } == {(tree.problem.id, tree.attempt): len(tree.nodes) for tree in trees}
        assert forest["of"] == len({tree.problem.id for tree in trees})


@pytest.mark.parametrize("number", [1, 2])
def test_the_answer_of_a_search_is_marked(made, run, number):
    stage = f"round-{number}/eval/search"
    (forest,) = [one for one in explorer(made.read_text())["forests"] if one["stage"] == stage]
    said = [json.loads(line) for line in (run / stage / "answers.jsonl").read_text().splitlines()]
    marked = {}
    for problem in forest["problems"]:
        (tree,) = problem["trees"]
        rows = [dict(zip(FIELDS, row, strict=False)) for row in tree["nodes"]]
        marked[problem["id"]] = [row["answer"] for row in rows if "A" in row.get("marks", "")]
    assert marked == {row["id"]: [row["answer"]] if row["answer"] else [] for row in said}
    assert any(marked.values())


def test_fewer_problems_are_said_to_be_fewer(run, tmp_path):
    told = page.write(run, tmp_path / "few.html", problems=2)
    assert (told["problems"], told["searched"]) == (8, 26)
    text = (tmp_path / "few.html").read_text()
    assert "8 of 26 searched problems" in text
    assert all(len(forest["problems"]) == 2 for forest in explorer(text)["forests"])
    none = page.write(run, tmp_path / "none.html", problems=0)
    assert none["problems"] == 0


def test_the_same_run_gives_the_same_bytes(made, run, tmp_path):
    page.write(run, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == made.read_bytes()


def test_histograms_and_difficulty_count_what_is_in_the_trees(gathered, run):
    for one in gathered.rounds:
        trees = list(read_trees(run / f"round-{one.number}" / "search" / "trees"))
        visited = [node for tree in trees for node in tree.nodes[1:] if node.visits]
        assert one.searched.q.total == len(visited)
        assert one.searched.q.right[-1] >= sum(node.correct for node in visited)
        assert one.held_out is not None
        assert one.held_out.score.total > 0
        counts: Counter[str] = sum(one.searched.difficulty.values(), Counter())
        data = one.summary["data"]
        assert counts == Counter({how: data.get(f"difficulty.{how}", 0) for how in ("easy", "medium", "hard")})
        assert set(one.seconds) >= {"search", "select", "train the policy", "train value models", "evaluate"}


def test_a_reference_is_suspect_where_most_answers_agree_on_another():
    looked = facts.Looked()
    agreeing = grown("wrong?", answers=1, correct=False)
    agreeing.nodes[-1].count = 5
    for tree in (agreeing, grown("apart", answers=6, correct=False), grown("right", answers=6)):
        looked.take([tree], Grammar())
    assert [(one.id, one.answer, one.votes, one.ends) for one in looked.suspects] == [("wrong?", "0", 5, 5)]


def test_a_value_at_either_end_is_in_the_histogram():
    one = facts.Histogram()
    for value in (-1.0, 1.0, 0.999, -0.0001):
        one.add(value, leads_right=value > 0)
    assert (one.wrong[0], one.wrong[9], one.right[-1], one.total) == (1, 1, 2, 4)


def test_texts_of_a_problem_cannot_break_out_of_the_page(gathered):
    nasty = '</script><img src=x onerror="alert(1)"><!--'
    tree = grown("p")
    tree.problem = Problem("p", nasty, "1")
    tree.nodes[-1].terminal, tree.nodes[-1].error = Terminal.CODE_ERROR, nasty
    sample = facts.Sample(1)
    sample.offer([tree], lambda trees: [{}])
    run = facts.Run(
        Path("p"), {}, gathered.cfg, gathered.rounds, [], [facts.Forest("s", nasty, sample.drawn(10**6), 1)]
    )
    text = page.render(run)
    assert nasty not in text
    assert explorer(text)["forests"][0]["problems"][0]["text"] == nasty


def test_charts_are_the_same_bytes_twice_and_have_no_colour_of_their_own(gathered):
    one, other = figures.pictures(gathered.rounds), figures.pictures(gathered.rounds)
    assert one == other
    for name, svg in one.items():
        assert svg, name
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == set(), name
        assert set(re.findall(r"var\(--(\w+)\)", svg)) <= charts.LIGHT.keys()
        alone = charts.standalone(svg)
        assert "var(" not in alone
        assert ElementTree.fromstring(alone).tag.endswith("svg")


def test_what_cannot_be_made_is_said_and_nothing_is_written(run, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        page.write(run, tmp_path / "no" / "page.html")
    with pytest.raises(InputError, match="is a folder, not a file"):
        page.write(run, tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    next((broken / "round-1" / "search" / "trees").glob("*.gz")).write_bytes(b"no gzip")
    with pytest.raises(Damaged, match=r"pass-0-00000.jsonl.gz: changed since it was sealed"):
        page.write(broken, tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]
