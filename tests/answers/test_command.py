"""What `rstar grade` says of pairs whose labels are known."""

import json
from pathlib import Path

from tests.cli.calling import rstar

ROWS = [
    {"gold": "1/2", "candidate": "0.5", "label": True, "category": "fraction"},
    {"gold": "1/2", "candidate": "0.6", "label": False, "category": "fraction"},
    {"gold": "2", "candidate": "3", "label": True, "category": "integer"},
    {"gold": "2", "candidate": "2.0", "label": False, "category": "integer"},
    {"gold": "2", "candidate": "2"},
]


def test_labels_are_compared_with_the_verdicts_by_category(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    done = rstar("grade", "pairs.jsonl", "--workers", "1", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert rows == [
        ["different", "2"],
        ["equivalent", "3"],
        ["fraction", "1", "0", "1", "0"],
        ["integer", "1", "1 (100.0 %)", "1", "1 (100.0 %)"],
        ["all", "2", "1 (50.0 %)", "2", "1 (50.0 %)"],
    ]
    assert done.stdout.splitlines()[-1].startswith("pairs.jsonl: 5 pairs, ")


def test_without_labels_there_is_nothing_to_compare(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(json.dumps({**ROWS[0], "label": "yes"}) + "\n")
    done = rstar("grade", "pairs.jsonl", folder=tmp_path)
    assert done.returncode == 0
    assert "false" not in done.stdout
