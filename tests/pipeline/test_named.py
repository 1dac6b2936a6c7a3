"""Named numbers through the search: steps run behind the names, and borrowed ones solve other problems."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rstar.config.run import RunConfig
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.data.demonstrator import Borrower, Demonstrator
from rstar.data.numbers import plain
from rstar.errors import ConfigError
from rstar.pipeline.base import base
from rstar.pipeline.engines import Models
from rstar.pipeline.prepare import problems
from rstar.pipeline.progress import silent
from rstar.pipeline.search import Pass, coverage, grammar_of, search_stage
from rstar.store.manifest import stage
from rstar.store.trees import read_trees
from rstar.text.prompts import Prompts
from tests.pipeline import tiny


@pytest.fixture
def cfg(tmp_path) -> RunConfig:
    tiny.prepare(tmp_path)
    return tiny.config(tmp_path, "problems.numbers=named", "search.candidates=8")


def searched(cfg: RunConfig, folder: Path, policy, asked: list[Problem]) -> list[Tree]:
    one = Pass(cfg.rounds[0].search, Prompts(grammar_of(cfg)))
    with stage(folder, "search", {"seed": 1}, {}) as it:
        files = search_stage(it, cfg, asked, Models({"policy": policy}), [one], silent, "search")
        it.finish(files, coverage(read_trees(folder / "trees")), 0.0)
    return list(read_trees(folder / "trees"))


def test_translated_demonstrations_come_to_their_answers(cfg, tmp_path):
    made, _ = problems(cfg)
    trees = searched(
        cfg, tmp_path / "stage", Demonstrator(made.bootstrap, noise=0.0), [d.problem for d in made.bootstrap]
    )
    assert len(trees) == len(tiny.KNOWN)
    assert all(any(node.correct for node in tree.nodes) for tree in trees)
    assert {plain(tree.problem) for tree in trees} == {row["problem"] for row in tiny.KNOWN}


def test_what_is_made_once_is_read_again(cfg):
    first, _ = problems(cfg)
    again, _ = problems(cfg)
    assert again == first
    assert all(problem.setup and "n0" in problem.text for problem in again.train + again.test)


def test_borrowed_steps_solve_problems_that_nobody_demonstrated(cfg, tmp_path):
    made, _ = problems(cfg)
    others = [problem for problem in made.train if problem.level == "new"]
    trees = searched(cfg, tmp_path / "stage", Borrower(made.bootstrap), others)
    assert others
    assert all(any(node.correct for node in tree.nodes) for tree in trees)


def test_a_base_may_be_trained_on_the_texts_of_training_problems(tmp_path):
    tiny.prepare(tmp_path)
    train = "{steps: 30, batch: 8, micro_batch: 8, optimizer: muon, lr: 1.0e-2, max_length: 160}"
    cfg = tiny.config(tmp_path, "problems.numbers=named", f"base={{kind: texts, train: {train}}}")
    made, _ = problems(cfg)
    trained = base(cfg)
    rows = pq.read_table(tmp_path / "runs" / cfg.name / "pretrained" / "plays.parquet").to_pylist()
    told = {row["prompt"] + row["solution"] for row in rows}
    assert told == {grammar_of(cfg).prompt(problem.text) for problem in made.train}
    assert trained.metrics["final_loss"] < 4.0  # some 300 tokens: 5.7 before it
    assert base(cfg).fingerprint == trained.fingerprint


def test_borrowing_needs_demonstrations(tmp_path):
    tiny.prepare(tmp_path)
    with pytest.raises(ConfigError, match="has no `demonstrations` to borrow from"):
        tiny.config(
            tmp_path, "explore={by: demonstrations}", "bootstrap={kind: model, path: x, examples: worked.jsonl}"
        )
    assert tiny.config(tmp_path, "explore={by: demonstrations}").rounds[1].explore.by == "demonstrations"
