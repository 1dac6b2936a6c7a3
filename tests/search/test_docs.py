"""docs/search.md: its code runs, and it has a section for each strategy."""

import re
from pathlib import Path
from typing import Any

import pytest

from rstar.core.show import show
from rstar.search import STRATEGIES
from tests.search import example

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_strategy_in_fifteen_lines_is_the_tested_one():
    assert Path(example.__file__).read_text(encoding="utf-8").endswith(BLOCKS[0])
    body = BLOCKS[0].partition("def ")[2].rstrip().splitlines()
    assert len(body) <= 15


def test_the_code_on_the_page_runs(capsys):
    space: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, space)
    assert capsys.readouterr().out == show(space["tree"]) + "\n"
    assert sum(bool(node.children) for node in space["tree"].nodes) == 4


@pytest.mark.parametrize("kind", STRATEGIES)
def test_every_strategy_has_its_section(kind: str):
    assert f"\n## `{kind}`\n" in PAGE
    assert f"\n| `{kind}` |" in PAGE
