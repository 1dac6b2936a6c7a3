"""The commands as people type them: what they print, where, and how they exit."""

import json
import shutil
import subprocess
import sys

import pytest

from rstar import __version__
from tests.cli.calling import Done, rstar
from tests.pipeline import tiny

COMMANDS = (
    "evolve",
    "round",
    "evaluate",
    "compare",
    "solve",
    "serve",
    "status",
    "check",
    "show",
    "report",
    "grade",
    "exec",
)


def refused(done: Done, code: int) -> str:
    """The one line that a command which was refused says."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("rstar: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_help_names_every_command_and_the_exit_codes():
    done = rstar("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert "4 damaged files" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    done = rstar(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: rstar {name}")
    assert "Options:" in done.stdout


def test_the_version():
    assert rstar("--version").stdout == f"rstar {__version__}\n"


@pytest.mark.parametrize("module", ["rstar", "rstar.cli"])
def test_a_command_in_a_process_of_its_own(module, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", module, "status", "gone"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rstar: gone: not the folder of a run (no run.json)\n"


@pytest.mark.parametrize(
    "words", [["evlove"], ["evolve"], ["round", "a.yaml"], ["round", "a.yaml", "-n", "0"], ["status"]]
)
def test_wrong_usage_exits_with_2(words):
    done = rstar(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


WRONG = {
    "no such file": (["evolve", "gone.yaml"], "gone.yaml: cannot be read"),
    "unknown setting": (["evolve", "run.yaml", "search.rolouts=3"], "run.yaml: search.rolouts is not a setting"),
    "wrong value": (["evolve", "run.yaml", "seed=many"], "run.yaml: seed: Input should be a valid integer"),
    "bad YAML": (["evolve", "bad.yaml"], "bad.yaml, line 2: not YAML"),
    "wrong problems": (
        ["evolve", "run.yaml", "problems.train=bad.jsonl"],
        "bad.jsonl, line 2, field 'answer': Field req",
    ),
    "missing problems": (
        ["evolve", "run.yaml", "problems.train=gone.jsonl"],
        "problems.train: gone.jsonl cannot be read",
    ),
    "no such round": (["round", "run.yaml", "-n", "7"], "round 7: the config has rounds 1 to 2"),
    "no PPM": (["evolve", "run.yaml", "ppm=null"], "run.yaml: rounds.1.search.annotation: there is no PPM"),
    "nothing trained": (["evaluate", "run.yaml"], "runs/tiny: no round has a trained policy yet"),
    "no run": (["status", "runs/tiny"], "runs/tiny: not the folder of a run (no run.json)"),
    "no run to check": (["check", "."], ".: not the folder of a run"),
    "no run to show": (["show", "runs/tiny"], "runs/tiny: not the folder of a run"),
    "no run to report": (["report", "runs/tiny"], "runs/tiny: not the folder of a run"),
    "no run to solve with": (["solve", "What?", "--run", "runs/tiny"], "runs/tiny: cannot be read"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line_and_leaves_nothing_behind(tmp_path, case):
    words, said = WRONG[case]
    tiny.prepare(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: a\n  b: c\n")
    (tmp_path / "bad.jsonl").write_text('{"id": "a", "problem": "?", "answer": "1"}\n{"id": "b", "problem": "?"}\n')
    before = tiny.files(tmp_path)
    assert refused(rstar(*words, folder=tmp_path), 2).startswith(f"rstar: {said}")
    assert tiny.files(tmp_path) == before
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    tiny.prepare(tmp_path)
    (tmp_path / "runs").write_text("a file")
    assert "runtime.runs: runs/tiny cannot be written to" in refused(rstar("evolve", "run.yaml", folder=tmp_path), 2)


def test_another_recipe_exits_with_3_and_changes_nothing(finished):
    before = tiny.files(finished)
    said = refused(rstar("evolve", "run.yaml", "rounds.0.policy.steps=7", folder=finished), 3)
    assert "rounds.0.policy.steps: 80 -> 7" in said
    assert tiny.files(finished) == before


def test_rounds_out_of_order_exit_with_2(tmp_path):
    tiny.prepare(tmp_path)
    said = refused(rstar("round", "run.yaml", "-n", "2", "-q", folder=tmp_path), 2)
    assert "run the rounds in order" in said


def test_status_has_a_row_for_each_stage(run):
    rows = json.loads(rstar("status", run, "--json").stdout)
    assert [row["stage"] for row in rows] == list(tiny.STAGES)
    keys = ("stage", "status", "done", "unit", "owed", "failed", "rate", "left_s", "seconds")
    assert {tuple(row) for row in rows} == {keys}
    assert {row["status"] for row in rows} == {"complete"}
    assert {(row["owed"], row["failed"]) for row in rows} == {(0, 0)}
    done = {row["stage"]: (row["done"], row["unit"]) for row in rows}
    assert (done["round-1/search"], done["round-2/eval/policy"]) == ((10, "trees"), (6, "trees"))
    assert (done["round-1/policy"], done["round-1/select"]) == ((80, "steps"), (10, "problems"))
    shown = rstar("status", run)
    assert shown.returncode == 0
    assert all(stage in shown.stdout for stage in tiny.STAGES)


def test_serve_says_how_a_round_s_models_are_served(run):
    told = json.loads(rstar("serve", run, "--round", "1", "--port", "9000", "--json").stdout)
    assert list(told) == ["policy", "ppm"]
    policy, ppm = told.values()
    assert policy["name"].startswith("policy-")
    assert f"--served-model-name {policy['name']} --host 0.0.0.0 --port 9000" in policy["command"]
    assert policy["path"].endswith("round-1/policy/checkpoint")
    assert ppm["endpoint"].endswith(":9001")
    assert "--runner pooling" in ppm["command"]
    assert "--runner" not in policy["command"]
    assert policy["settings"] == [
        f"engine.policy={{kind: vllm, endpoints: ['{policy['endpoint']}']}}",
        "model.dtype=float32",
    ]
    assert "heads are 16 wide" in policy["note"]
    shown = rstar("serve", run)
    assert policy["name"] not in shown.stdout  # round 2's
    assert shown.stdout.count("# p") == 2
    assert shown.stdout.count(']}" model.dtype=float32\n') == 2
    assert "VLLM_API_KEY" in shown.stderr
    refused = rstar("serve", run, "--port", "65535")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--port 65535: there are 2 models" in refused.stderr


def test_status_of_an_interrupted_run_says_what_is_open(copy):
    run = copy / "runs" / "tiny"
    told = json.loads((run / "round-2" / "search" / "manifest.json").read_text())
    told |= {"status": "open", "parts": [], "seconds": None}
    (run / "round-2" / "search" / "manifest.json").write_text(json.dumps(told))
    rows = {row["stage"]: row for row in json.loads(rstar("status", run, "--json").stdout)}
    assert rows["round-2/search"]["status"] == "open"
    checked = rstar("check", run)
    assert checked.returncode == 0
    assert "not finished: round-2/search" in checked.stdout


def test_check_of_a_run_that_is_as_it_was_sealed(run):
    done = rstar("check", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(tiny.STAGES)} stages, 0 faults: all is as it was sealed\n"
    assert json.loads(rstar("check", run, "--json").stdout) == {
        "stages": len(tiny.STAGES),
        "unfinished": [],
        "wrong": [],
    }


TAMPERED = [
    "problems/train.jsonl",
    "base/checkpoint/model.safetensors",
    "round-1/search/trees/pass-0-00000.jsonl.gz",
    "round-1/select/sft.parquet",
    "round-2/policy/checkpoint/config.json",
    "round-2/eval/search/answers.jsonl",
    "round-2/eval/report/report.json",
]


def test_check_finds_a_single_changed_byte_in_any_file(copy):
    run = copy / "runs" / "tiny"
    for name in TAMPERED:
        path = run / name
        whole = path.read_bytes()
        at = len(whole) // 2
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        done = rstar("check", run)
        assert done.returncode == 4, name
        assert done.stderr == f"{path}: changed since it was sealed\n"
        assert done.stdout == f"{len(tiny.STAGES)} stages, 1 fault\n"
        path.write_bytes(whole)
    (run / "round-1" / "select" / "pairs.parquet").unlink()
    done = rstar("check", run, "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["wrong"] == [f"{run / 'round-1' / 'select' / 'pairs.parquet'}: missing"]


def test_check_finds_a_stage_whose_inputs_are_not_of_this_run(copy):
    path = copy / "runs" / "tiny" / "round-1" / "policy" / "manifest.json"
    told = json.loads(path.read_text())
    told["recipe"]["seed"] = 99
    path.write_text(json.dumps(told))
    done = rstar("check", copy / "runs" / "tiny")
    assert done.returncode == 4
    assert done.stderr == f"{path}: the fingerprint is not that of its recipe and inputs\n"
    # A stage that was made again with other inputs leaves those behind it without theirs.
    told["recipe"]["seed"], told["fingerprint"] = 1, "0" * 64
    path.write_text(json.dumps(told))
    said = rstar("check", copy / "runs" / "tiny").stderr
    assert "round-1/ppm/manifest.json: its input 'policy' is no stage of this run" in said


def test_show_lists_the_trees_of_a_stage(run):
    done = rstar("show", run)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [row["id"] for row in tiny.KNOWN]
    assert {line.split()[-1] for line in lines} == {"solved", "unsolved"}
    rows = [json.loads(line) for line in rstar("show", run, "--json").stdout.splitlines()]
    assert lines == [f"{row['id']}  {row['nodes']} nodes  {row['solved']}" for row in rows]


def test_show_draws_the_trees_of_a_problem(run):
    done = rstar("show", run, "n1", "--round", "2")
    assert done.returncode == 0
    heads = [line for line in done.stdout.splitlines() if line.startswith("n1: ")]
    assert heads[0] == f"n1: {tiny.NEW[1]['problem']}"
    assert len(heads) in (1, 2)
    assert "[0] N=" in done.stdout
    raw = [
        json.loads(line)
        for line in rstar("show", run, "t0", "-n", "2", "--stage", "eval/search", "--json").stdout.splitlines()
    ]
    assert [tree["problem"]["id"] for tree in raw] == ["t0"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody"], "search of round 1 has no finished tree of problem 'nobody'"),
        (["w1", "--round", "9"], "there is no such folder (stages with trees: search, eval/policy, eval/search)"),
        (["w1", "--stage", "policy"], "there is no such folder"),
    ],
)
def test_show_says_what_is_not_there(run, words, said):
    assert said in refused(rstar("show", run, *words), 2)


def test_report_writes_the_page_of_the_run(copy):
    run = copy / "runs" / "tiny"
    done = rstar("report", run)
    assert done.returncode == 0
    assert "trees of round-2/eval/search: 4 of 4" in done.stderr
    assert rstar("report", run, "--quiet").stderr == ""
    size = (run / "report.html").stat().st_size
    assert done.stdout == (
        f"report: {run / 'report.html'}, {size / 1e6:.1f} MB, with the search trees of 26 of 26 problems\n"
    )
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert rstar("check", run).returncode == 0


def test_report_goes_where_it_is_told(run, tmp_path):
    told = json.loads(rstar("report", run, "--out", tmp_path / "page.html", "--problems", 1, "--json").stdout)
    assert told["report"] == str(tmp_path / "page.html")
    assert told["bytes"] == (tmp_path / "page.html").stat().st_size
    assert (told["problems"], told["searched"]) == (4, 26)
    kept = [json.loads((run / f"round-{n}" / "eval" / "report" / "report.json").read_text()) for n in (1, 2)]
    gates = [one.pop("gate") for one in told["rounds"]]
    assert told["rounds"] == kept
    assert gates == [None, json.loads((run / "round-2" / "gate" / "gate.json").read_text())]
    assert rstar("report", run, "--out", tmp_path / "page.md").returncode == 0
    assert (tmp_path / "page.md").read_text() == (run / "report.md").read_text()


def test_report_does_not_write_where_it_cannot(run, tmp_path):
    assert "--out: there is no folder" in refused(rstar("report", run, "--out", tmp_path / "no" / "page.md"), 2)
    assert "is a folder, not a file" in refused(rstar("report", run, "--out", tmp_path), 2)
    assert list(tmp_path.iterdir()) == []


def test_report_of_a_run_without_a_finished_round(copy):
    for number in (1, 2):
        shutil.rmtree(copy / "runs" / "tiny" / f"round-{number}" / "eval" / "report")
    assert "no round is finished yet" in refused(rstar("report", copy / "runs" / "tiny"), 2)


def test_solve_prints_a_solution_and_its_answer(run):
    """A sum that was learnt by heart is mostly solved; what is printed hangs together in any case."""
    done = rstar("solve", tiny.KNOWN[0]["problem"], "--run", run, "--json", "--set", "rollouts=6")
    found = json.loads(done.stdout)
    assert set(found) == {"round", "answer", "solution", "tree"}
    assert done.returncode == (0 if found["answer"] else 1)
    assert found["tree"]["problem"] == {"id": "problem", "text": tiny.KNOWN[0]["problem"]}
    answers = [node["answer"] for node in found["tree"]["nodes"] if "answer" in node]
    assert found["answer"] in answers or not answers
    assert all("verdict" not in node for node in found["tree"]["nodes"])


def test_solve_greedily_as_text(run):
    done = rstar("solve", tiny.KNOWN[4]["problem"], "--run", run, "--search", "greedy", "--tree")
    assert done.stdout.splitlines()[0] == f"problem: {tiny.KNOWN[4]['problem']}"
    assert done.stdout.splitlines()[-1].startswith("answer: ")
    assert done.returncode == (1 if done.stdout.endswith("answer: None\n") else 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["  "], "the problem is empty"),
        (["What?", "--search", "astar"], "--search: 'astar' is not one of mcts, "),
        (["What?", "--set", "rolouts=3"], "rolouts is not a setting"),
        (["What?", "--round", "5"], "there is no round 5 (rounds 1 to 2)"),
    ],
)
def test_solve_says_what_is_wrong(run, words, said):
    assert said in refused(rstar("solve", *words, "--run", run), 2)


def test_evaluate_on_other_problems_is_kept_and_resumed(copy):
    run = copy / "runs" / "tiny"
    tiny.write(copy / "mine.jsonl", [{**row, "id": f"m{i}"} for i, row in enumerate(tiny.KNOWN[:3])])
    words = ["evaluate", "runs/tiny", "--problems", "mine.jsonl", "--search", "mcts", "--set", "rollouts=2", "--json"]
    done = rstar(*words, folder=copy)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["round"], told["search"], told["accuracy"]["n"]) == (2, "mcts", 3)
    answers = [json.loads(line) for line in (copy / told["answers"]).read_text().splitlines()]
    assert [row["id"] for row in answers] == ["m0", "m1", "m2"]
    assert told["accuracy"]["right"] == sum(row["correct"] for row in answers)
    before = tiny.files(run)
    again = rstar(*words, folder=copy)
    assert again.stdout == done.stdout
    assert tiny.files(run) == before
    assert rstar("check", run).stdout.startswith(f"{len(tiny.STAGES) + 1} stages, 0 faults")


def test_evaluate_greedily_on_held_out_problems_says_what_the_run_says(copy):
    told = json.loads(rstar("evaluate", "runs/tiny", "--round", "1", "--json", "-q", folder=copy).stdout)
    report = json.loads((copy / "runs" / "tiny" / "round-1" / "eval" / "report" / "report.json").read_text())
    assert (told["accuracy"], told["levels"]) == (report["policy"]["accuracy"], report["policy"]["levels"])


def test_evaluate_refuses_a_wrong_file_and_writes_nothing(copy):
    (copy / "bad.jsonl").write_text('{"id": "a", "problem": "?"}\n')
    before = tiny.files(copy)
    said = refused(rstar("evaluate", "runs/tiny", "--problems", "bad.jsonl", folder=copy), 2)
    assert said == "rstar: bad.jsonl, line 1, field 'answer': Field required\n"
    assert tiny.files(copy) == before


def test_evolve_of_a_finished_run_prints_the_table_again(finished):
    done = rstar("evolve", "run.yaml", "--json", "-q", folder=finished)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["run"] == "runs/tiny"
    assert [one["round"] for one in told["rounds"]] == [1, 2]


def test_evolve_warns_of_held_out_problems_that_it_learns_from(finished):
    done = rstar("evolve", "run.yaml", "-q", folder=finished)
    assert done.returncode == 0
    assert "warning: 4 of 6 held-out problems stand word for word among those it learns from" in done.stderr


def test_a_reader_that_leaves_is_no_error(run):
    command = tiny.command("show", str(run), "--round", "2", "w0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert b"Traceback" not in running.stderr.read()
