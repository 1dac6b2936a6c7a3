"""`rstar paper` from end to end on the smallest evolution: all tables, reuse, a kill between two parts, wrong input."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rstar.config.paper import PaperConfig, SearchesConfig
from rstar.paper import TABLES
from rstar.paper.page import head
from rstar.paper.rounds import policy, system2
from rstar.paper.runs import finished, greedy, right
from rstar.paper.searches import searches
from rstar.pipeline import inspect
from rstar.pipeline.evaluate import first_of_each_level
from rstar.store import manifest
from tests.cli.calling import rstar
from tests.paper.conftest import Desk
from tests.pipeline.tiny import files

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def told(desk: Desk) -> dict[str, dict]:
    return {row["table"]: row for row in map(json.loads, (desk.folder / "stdout").read_text().splitlines())}


def complete(stage: Path) -> bool:
    found = manifest.read(stage)
    return found is not None and found.status == "complete"


def test_every_table_has_its_figures_and_its_section(desk):
    rows = told(desk)
    assert list(rows) == list(TABLES)
    page = desk.page.read_text()
    assert page.startswith(head())
    for name, row in rows.items():
        assert row["seeds"] == [1]
        assert row["findings"]
        assert all(grid for grid in row["grids"])
        section = page[page.index(f"<!-- {name} -->") : page.index(f"<!-- /{name} -->")]
        assert f"rstar paper {name} " in section
        assert "; tiny, seed 1; 20" in section
        for finding in row["findings"]:
            assert finding in section


def test_what_the_tables_say_is_what_the_stages_hold(desk):
    rows = told(desk)
    report = manifest.read(desk.run / "round-2" / "eval" / "report").metrics
    policy = rows["policy"]["grids"][0]
    assert policy[1]["policy"]["mean"] == pytest.approx(report["policy"]["accuracy"]["share"], abs=1e-4)
    assert policy[1]["control"]["mean"] == pytest.approx(report["control"]["accuracy"]["share"], abs=1e-4)
    covered = rows["coverage"]["grids"][0][1]["all"]["mean"]
    assert covered == pytest.approx(report["coverage"]["solved"] / report["coverage"]["problems"], abs=1e-4)
    first = {row["round"]: row["search"] for row in rows["ppm"]["grids"][0]}["1"]
    assert first == {row["round"]: row["search"] for row in rows["system2"]["grids"][0]}["1"]
    sizes = {row["data"]: row["rows"] for row in rows["sft-data"]["grids"][0]}
    assert len(sizes) == 4
    assert len(set(sizes.values())) == 1
    assert {row["chosen by"] for row in rows["reward-models"]["grids"][0]} > {"PPM", "PQM", "ORM", "majority"}
    assert rows["reward-models"]["pairs"]["2"]["step"] > 0
    assert [row["N"] for row in rows["scaling"]["grids"][0]] == [1, 2, 4, 8]
    assert [row["policy"] for row in rows["ablations"]["grids"][0]] == [
        *("as run", "fpu zero", "2 rollouts", "random correct ones", "from base (as many steps)"),
        "from base (the steps of all rounds)",
    ]
    assert [row["PPM"] for row in rows["ablations"]["grids"][1]] == [
        *("as run", "without answer pairs", "tanh only in use"),
    ]


def test_plots_lie_beside_the_page(desk):
    for name in ("policy", "scaling"):
        assert f"](results-{name}.svg)" in desk.page.read_text()
        assert (desk.folder / f"results-{name}.svg").read_text().startswith("<?xml")


def test_all_that_was_made_is_in_order(desk):
    stages, unfinished, wrong = inspect.check(desk.run)
    assert (unfinished, wrong) == ([], [])
    assert stages > 50


def test_the_same_command_again_changes_nothing(desk, tmp_path):
    copy = desk.copied(tmp_path / "copy")
    made = files(copy.folder / "runs" / "tiny-seed-1" / "paper")
    before = copy.page.read_text()
    evolution = desk.evolution()  # the files count by their bytes, wherever they lie
    for name in ("sft-data", "reward-models"):
        assert copy.paper(name, evolution).returncode == 0
    again = files(copy.folder / "runs" / "tiny-seed-1" / "paper")
    notes = ("run.json", "spec.json")  # written anew at each start, with the same settings
    assert {name: it for name, it in again.items() if not name.endswith(notes)} == {
        name: it for name, it in made.items() if not name.endswith(notes)
    }
    assert copy.page.read_text() == before


def test_a_search_that_the_run_has_made_itself_is_not_made_again(desk, tmp_path):
    copy = desk.copied(tmp_path / "copy")
    before = sorted((copy.run / "paper").glob("evaluate-*"))
    done = copy.paper("system2", desk.evolution(), "per_level=2", "--json")  # the run's evaluate.search_problems
    assert done.returncode == 0, done.stderr
    assert sorted((copy.run / "paper").glob("evaluate-*")) == before
    report = manifest.read(copy.run / "round-2" / "eval" / "report").metrics
    shown = json.loads(done.stdout)["grids"][0][1]["search"]["mean"]
    assert shown == pytest.approx(report["search"]["accuracy"]["share"], abs=1e-4)


def test_other_held_out_problems_take_the_place_of_the_runs_own(desk, tmp_path):
    copy = desk.copied(tmp_path / "copy")
    rows = {"MCTS": {"kind": "mcts", "rollouts": 2}}
    asked = {"evolution": (str(copy.folder / "run.yaml"),), "seeds": (1,), "runs": copy.run.parent, "per_level": 2}
    paper = PaperConfig(**asked, evolve=False, searches=SearchesConfig(rounds=(2,), rows=rows))
    (run,) = finished(paper, lambda *_: None)
    own = run.held_out(None)
    solved = right(greedy(run, 2), own)
    assert 0 < sum(solved.values()) < len(own)
    drawn = [replace(problem, id=f"other-{problem.id}") for problem in own if solved[problem.id]]
    before = files(copy.run / "round-2")
    other = [replace(run, drawn=drawn)]
    by_policy = policy(paper, other).to_json()["grids"][0]
    by_search = searches(paper, other).to_json()["grids"][0]
    by_both = system2(paper, other).to_json()["grids"][0]
    assert by_policy[-1]["policy"]["mean"] == 1.0
    assert next(row for row in by_search if row["search"] == "greedy")["accuracy"]["mean"] == 1.0
    assert by_both[-1]["greedy"]["mean"] == 1.0
    assert by_both[-1]["search"]["n"] == len(first_of_each_level(drawn, 2))
    assert by_both[-1]["search"]["mean"] > 0  # not the answers that the run has to its own problems
    assert files(copy.run / "round-2") == before


def test_a_finished_run_needs_no_config_but_its_own(desk, tmp_path):
    copy = desk.copied(tmp_path / "copy")
    done = copy.paper("policy", "evolve=false", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["grids"] == told(desk)["policy"]["grids"]


def test_tables_of_early_rounds_need_no_later_ones(desk, tmp_path):
    copy = desk.copied(tmp_path / "copy")
    shutil.rmtree(copy.run / "round-2")
    done = copy.paper("policy", desk.evolution(), "rounds=1", "--json")
    assert done.returncode == 0, done.stderr
    (only,) = json.loads(done.stdout)["grids"][0]
    assert only["policy"] == told(desk)["policy"]["grids"][0][0]["policy"]
    assert not (copy.run / "round-2").exists()
    refused = copy.paper("ablations", desk.evolution(), "rounds=1")
    assert refused.returncode == 2
    assert "ablations.round: there is no round 2; tiny-seed-1 has rounds 1 to 1" in refused.stderr


def test_a_run_that_lacks_a_round_is_named(desk, tmp_path):
    copy = desk.copied(tmp_path / "copy")
    shutil.rmtree(copy.run / "round-2" / "eval" / "report")
    done = copy.paper("policy", "evolve=false")
    assert done.returncode == 2
    assert "lacks round 2" in done.stderr
    gone = copy.paper("policy", "evolve=false", "seeds=[7]")
    assert gone.returncode == 2
    assert "tiny-seed-7: there is no such run; evolve=true makes it" in gone.stderr


def test_seeds_of_other_recipes_are_not_pooled(desk, tmp_path):
    copy = desk.copied(tmp_path / "copy")
    other = copy.run.with_name("tiny-seed-2")
    shutil.copytree(copy.run, other, symlinks=True)
    note = other / "run.json"
    stored = json.loads(note.read_text())
    before = copy.page.read_text()
    stored["config"]["rounds"][1]["policy"]["steps"] += 1
    note.write_text(json.dumps(stored))
    done = copy.paper("policy", "evolve=false", "seeds=[1, 2]")
    assert done.returncode == 3, done.stderr
    assert "tiny-seed-2: made by another config than" in done.stderr
    assert copy.page.read_text() == before


def test_another_recipe_is_drift(desk):
    before = files(desk.folder)
    done = desk.paper("coverage", desk.evolution("policy.lr=0.5"))
    assert done.returncode == 3
    assert "lr" in done.stderr
    assert files(desk.folder) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nonsense",), "coverage, policy, ppm, system2, sft-data, reward-models, scaling, searches, ablations, all"),
        (("ablations", "ablations.round=9"), "ablations.round: there is no round 9; tiny-seed-1 has rounds 1 to 2"),
        (("reward-models", "reward_models.rounds=[3]"), "reward_models.rounds: there is no round 3"),
        (("searches", "searches.rounds=[3]"), "searches.rounds: there is no round 3"),
        (("searches", "searches.ppm=3"), "searches.ppm: there is no round 3"),
        (("searches", "searches.rounds=[0]"), "searches.rounds"),
        (("searches", "searches.rows={MCTS: {kind: mcts}, x: {n: 2}}"), "searches.rows.x: kind is missing"),
        (
            ("searches", "searches.rows={MCTS: {kind: mcts, rolouts: 3}}"),
            "searches.rows.MCTS: rolouts is not a setting",
        ),
        (("searches", "searches.rows={x: {kind: nope}}"), "searches.rows.x.kind: 'nope' is not one of"),
        (("searches", "searches.rows={MCTS: {kind: best_of_n}}"), "searches.rows: there is no 'MCTS' of kind mcts"),
        (("searches", "searches.rows={greedy: {kind: greedy}, MCTS: {kind: mcts}}"), "searches.rows.greedy: the table"),
        (("searches", "searches.rows={'a | b': {kind: mcts}}"), "searches.rows"),
        (("system2", "search={rolouts: 3}"), "search: rolouts is not a setting"),
        (("system2", "evolution=[configs/tiny.yaml, ppm=null, 'rounds=[{}]']"), "tiny-seed-1: no round trains a PPM"),
        (("scaling", "scaling.mcts=[0]"), "scaling.mcts"),
        (("reward-models", "reward_models.models={pqm: {kind: nope}}"), "reward_models.models: "),
        (("sft-data", "sft_data.policy={stesp: 2}"), "sft_data.policy: "),
        (("sft-data", "rounds=1", "sft_data.round=null"), "sft_data.round: tiny-seed-1 has no second round"),
        (("ablations", "ablations.rollouts=[0]"), "ablations.rollouts"),
        (("coverage", "test_seed=7"), "test_seed: `coverage` is of training problems"),
        (("policy", "test_seed=7"), "test_seed: the problems of tiny-seed-1 are those of files, not drawn from a seed"),
        (("policy", "rounds=9"), "rounds: there is no round 9; tiny-seed-1 has rounds 1 to 2"),
        (("policy", "seeds=[1, 1]"), "seeds"),
        (("policy", "seeds=[-1]"), "seeds.0"),
        (("policy", "samples=3"), "samples is not a setting"),
        (("policy", "out=/"), "out: / is a folder"),
    ],
)
def test_wrong_input_is_refused_before_anything_runs(tmp_path, words, said):
    from tests.pipeline import tiny

    here = Desk(tmp_path)
    tiny.prepare(tmp_path)
    done = here.paper(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()


def test_help_lists_every_table():
    done = rstar("paper", "--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in (*TABLES, "all"))


def test_a_kill_between_two_parts_costs_neither(desk, tmp_path):
    copy = desk.copied(tmp_path / "copy")
    extra = copy.run / "paper"
    for folder in extra.glob("sft-*"):
        shutil.rmtree(folder)
    copy.page.unlink()
    evolution = desk.evolution()
    running = multiprocessing.get_context("fork").Process(target=copy.paper, args=("sft-data", evolution))
    running.start()
    deadline = time.monotonic() + 120
    while not any(complete(one / "round-1" / "eval" / "policy") for one in extra.glob("sft-mcts-*")):
        assert running.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.join()
    assert not copy.page.exists()
    (first,) = extra.glob("sft-mcts-*")
    assert not any(complete(one / "round-1" / "eval" / "policy") for one in extra.glob("sft-random-*"))
    before = files(first / "round-1" / "policy")
    done = copy.paper("sft-data", evolution, "--json")
    assert done.returncode == 0, done.stderr
    assert files(first / "round-1" / "policy") == before
    assert json.loads(done.stdout)["grids"] == told(desk)["sft-data"]["grids"]
