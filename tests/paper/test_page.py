"""Sections of the page: written once, replaced in place, the others untouched."""

import multiprocessing
import re
from pathlib import Path

import pytest

from rstar.errors import InputError
from rstar.evaluate.seeds import figure, shares
from rstar.paper import TABLES
from rstar.paper.page import Difference, Grid, Table, head, put, section, shown

ROOT = Path(__file__).parents[2]


def text(name: str, cell: str = "1", date: str = "2026-01-01") -> str:
    table = Table(name, f"Title of {name}", "What is compared.", [Grid(["a", "b"], [["x", cell]])], ["A sentence."])
    return section(table, f"rstar paper {name} configs/paper.yaml", "demo, seeds 1, 2", date, None)


def test_a_section_has_title_comparison_provenance_table_and_findings():
    assert text("policy") == (
        "<!-- policy -->\n\n## Title of policy\n\nWhat is compared.\n\n"
        "`rstar paper policy configs/paper.yaml`; demo, seeds 1, 2; 2026-01-01.\n\n"
        "| a | b |\n|---|---|\n| x | 1 |\n\nA sentence.\n\n<!-- /policy -->\n"
    )


def test_sections_stand_in_the_order_of_tables_behind_the_head(tmp_path):
    page = tmp_path / "results.md"
    for name in ("scaling", "coverage", "sft-data"):
        assert put(page, name, text(name))
    written = page.read_text()
    assert written.startswith(head())
    places = [written.index(f"<!-- {name} -->") for name in ("coverage", "sft-data", "scaling")]
    assert places == sorted(places)


def test_sections_of_other_problems_stand_behind_all_tables(tmp_path):
    page = tmp_path / "results.md"
    for name in ("policy-7", "ablations", "policy"):
        put(page, name, text(name))
    assert re.findall(r"<!-- ([a-z].*) -->", page.read_text()) == ["policy", "ablations", "policy-7"]


def test_tables_that_end_at_once_lose_no_section(tmp_path):
    page, names = tmp_path / "results.md", list(TABLES)
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(len(names))
    writers = [fork.Process(target=lambda n=n: (barrier.wait(), put(page, n, text(n)))) for n in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert re.findall(r"<!-- ([a-z].*) -->", page.read_text()) == names
    assert [path.name for path in tmp_path.iterdir()] == ["results.md"]


def test_a_section_is_replaced_and_what_people_wrote_stays(tmp_path):
    page = tmp_path / "results.md"
    put(page, "coverage", text("coverage"))
    put(page, "ppm", text("ppm"))
    page.write_text(page.read_text().replace("<!-- ppm -->", "A remark.\n\n<!-- ppm -->"))
    before = page.read_text()
    assert put(page, "ppm", text("ppm", "2", "2026-02-02"))
    assert page.read_text() == before.replace(text("ppm"), text("ppm", "2", "2026-02-02"))


def test_a_section_that_differs_in_its_date_alone_stays_as_it_was(tmp_path):
    page = tmp_path / "results.md"
    put(page, "ppm", text("ppm"))
    before = page.read_bytes(), page.stat().st_mtime_ns
    assert not put(page, "ppm", text("ppm", date="2027-03-04"))
    assert (page.read_bytes(), page.stat().st_mtime_ns) == before


def test_a_page_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        put(tmp_path, "ppm", text("ppm"))
    with pytest.raises(InputError, match="out: /proc cannot be written to"):
        put(Path("/proc/results.md"), "ppm", text("ppm"))
    with pytest.raises(InputError, match="there is no folder"):
        put(tmp_path / "no" / "results.md", "ppm", text("ppm"))


def test_a_page_that_is_no_text_is_refused(tmp_path):
    page = tmp_path / "results.md"
    page.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not text in UTF-8"):
        put(page, "ppm", text("ppm"))
    assert page.read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize(
    ("mark", "instead", "told"),
    [
        ("<!-- /policy -->\n", "", "`<!-- ppm -->` stands alone or twice"),
        ("<!-- policy -->\n", "", "`<!-- /policy -->` stands alone or twice"),
        ("<!-- /ppm-7 -->\n", "", "the section ppm-7 has no `<!-- /ppm-7 -->`"),
        ("<!-- ppm -->", text("policy") + "<!-- ppm -->", "`<!-- policy -->` stands alone or twice"),
    ],
)
def test_a_page_with_a_broken_section_is_left_alone(tmp_path, mark, instead, told):
    page = tmp_path / "results.md"
    for name in ("policy", "ppm", "ppm-7"):
        put(page, name, text(name))
    broken = page.read_text().replace(mark, instead)
    page.write_text(broken)
    for name in ("policy", "coverage", "ppm-7"):
        with pytest.raises(InputError, match=re.escape(told)):
            put(page, name, text(name, "2"))
    assert page.read_text() == broken


def test_cells():
    three = figure(shares({1: {"a": 1, "b": 0}, 2: {"a": 1, "b": 1}}))
    assert shown(three) == "75.0 ± 35.4 (50.0–100.0)"
    assert shown(Difference(three)) == "+75.0 (+50.0 to +100.0)"
    assert [shown(cell) for cell in (0.5, 7, "x", None, figure({1: {}}))] == ["50.0", "7", "x", "–", "–"]


@pytest.mark.parametrize("name", ["results.md", "results-countdown.md"])
def test_a_shipped_page_has_the_head_of_the_code(name):
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page.startswith(head()), f"docs/{name}: its head is not rstar.paper.page.head()"
