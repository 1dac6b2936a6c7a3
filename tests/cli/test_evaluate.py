"""`rstar evaluate`, `compare` and `solve` with every strategy on the tiny evolution, and what they refuse."""

import json
from pathlib import Path

import pytest
import yaml

from rstar.config.search import CONFIGS
from rstar.core.tree import Cost
from rstar.store import manifest
from tests.cli.calling import Done, rstar
from tests.pipeline import tiny

SMALL = {"rollouts": 2, "n": 3, "width": 2, "branching": 2, "candidates": 3, "expansions": 8, "discriminated": 2}
"""Budgets that take a moment, for whatever settings of these a strategy has."""
COSTS = ("calls", "generated", "executions", "scored", "prefilled", "value_tokens")
KINDS = [kind for kind in CONFIGS if kind != "custom"]


def small(kind: str) -> list[str]:
    """A strategy's settings on the command line; its value models are the one that the tiny run has."""
    fields = CONFIGS[kind].model_fields
    settings = [f"{name}={value}" for name, value in SMALL.items() if name in fields] + ["value=ppm"]
    return [word for setting in settings for word in ("--set", setting)]


def refused(done: Done) -> str:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("rstar: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("rstar: ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A copy of the evolution in which all evaluations of this module are kept."""
    found = tiny.copied(tmp_path_factory.mktemp("evaluate") / "copy")
    tiny.write(found / "mine.jsonl", [{**row, "id": f"m{i}"} for i, row in enumerate(tiny.KNOWN[:4])])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_strategy_is_evaluated_with_its_metrics_and_its_cost(folder, kind):
    words = ["evaluate", "runs/tiny", "--problems", "mine.jsonl", "--search", kind, *small(kind), "-q"]
    done = rstar(*words, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["search"], told["accuracy"]["n"]) == (kind, 4)
    answers = [json.loads(line) for line in (folder / told["answers"]).read_text().splitlines()]
    for name in COSTS:
        assert told["cost"][name] == sum(row[name] for row in answers)
    assert told["cost"]["generated"] > 0
    assert told["cost"]["prefilled"] > told["cost"]["calls"] > 0
    assert (told["cost"]["value_tokens"] > 0) == (told["cost"]["scored"] > 0)
    assert told["clock"]["wall_s"] > 0
    assert told["clock"]["cpu_s"] > 0
    assert told["clock"]["gpu_s"] == 0
    most = max(told["pass"], key=int)
    assert told["pass"]["1"]["mean"] <= told["pass"][most]["mean"]
    for measure in ("pass", "maj", "best"):
        assert all(0 <= at["mean"] <= 1 for at in told.get(measure, {}).values())
    shown = rstar(*words, folder=folder)
    assert shown.returncode == 0
    for word in ("accuracy %", "pass@k %", "value-model tokens", "policy tokens prefilled", "GPU-seconds", "wall time"):
        assert word in shown.stdout
    assert f"{told['cost']['generated']:,}" in shown.stdout


def test_another_model_may_be_the_discriminator(folder):
    words = ["--problems", "mine.jsonl", "--search", "mutual", *small("mutual"), "--set", "discriminator=discriminator"]
    assert "evaluate.generators.discriminator=PATH" in refused(rstar("evaluate", "runs/tiny", *words, folder=folder))
    answers = set()
    for model in ("runs/tiny/round-1/policy", "runs/tiny/round-1/policy/checkpoint", "runs/tiny/round-2/policy"):
        generators = f"evaluate.generators.discriminator={model}"
        done = rstar("evaluate", "runs/tiny", generators, *words, "-q", "--json", folder=folder)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        made = manifest.read((folder / told["answers"]).parent)
        assert made is not None
        answers.add(made.recipe["generators"]["discriminator"])
    assert len(answers) == 3
    assert rstar("check", folder / "runs" / "tiny").returncode == 0


def test_the_cost_is_the_same_when_it_is_made_again(folder, tmp_path):
    words = ["evaluate", "runs/tiny", "--problems", "mine.jsonl", "--search", "mcts", *small("mcts"), "-q", "--json"]
    first = json.loads(rstar(*words, folder=folder).stdout)
    other = tiny.copied(tmp_path / "copy")
    (other / "mine.jsonl").write_bytes((folder / "mine.jsonl").read_bytes())
    again = json.loads(rstar(*words, "runtime.max_live=1", folder=other).stdout)
    for told in (first, again):
        del told["clock"]
    assert first == again


def test_what_an_interrupted_evaluation_spent_is_kept(folder):
    """An evaluation that is taken up again has the cost of all its trees, and the clock of both starts."""
    words = ["evaluate", "runs/tiny", "--search", "greedy", "--limit", "3", "-q", "--json"]
    told = json.loads(rstar(*words, folder=folder).stdout)
    stage = (folder / told["answers"]).parent
    found = manifest.read(stage)
    for path in (stage / "trees").iterdir():
        path.unlink()
    opened = found.model_copy(
        update={"status": "open", "parts": [], "metrics": {}, "seconds": None, "clock": {"cpu_s": 1e4}}
    )
    (stage / "manifest.json").write_text(opened.model_dump_json())
    again = json.loads(rstar(*words, folder=folder).stdout)
    assert again["cost"] == told["cost"]
    assert again["clock"]["cpu_s"] > 1e4


def test_a_preset_is_a_file(folder):
    (folder / "preset.yaml").write_text("kind: self_consistency\nn: 2\n")
    words = ["evaluate", "runs/tiny", "--limit", "2", "--search", "preset.yaml", "-q", "--json"]
    told = json.loads(rstar(*words, folder=folder).stdout)
    assert told["search"] == "self_consistency"
    assert list(told["pass"]) == ["1", "2"]
    said = refused(rstar(*words, "--set", "n=0", folder=folder))
    assert said == "preset.yaml: n: Input should be greater than or equal to 1, not 0 (the command line)\n"
    (folder / "preset.yaml").write_text("kind: self_consistency\nn: 0\n")
    assert refused(rstar(*words, folder=folder)) == (
        "preset.yaml: n: Input should be greater than or equal to 1, not 0 (line 2)\n"
    )


def test_limits_and_levels(folder):
    def ids(*words: str) -> list[str]:
        told = json.loads(rstar("evaluate", "runs/tiny", *words, "-q", "--json", folder=folder).stdout)
        return [json.loads(line)["id"] for line in (folder / told["answers"]).read_text().splitlines()]

    assert ids("--limit", "2") == ["t0", "t1"]
    assert ids("--per-level", "1") == ["t0", "t3"]


def test_a_benchmark_is_loaded_by_its_mapping(folder, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    (folder / "set").mkdir()
    rows = [{"text": row["problem"], "gold": f"so #### {row['answer']}"} for row in tiny.KNOWN[:2]]
    (folder / "set" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "configs" / "benchmarks").mkdir(parents=True)
    mapping = {"hub": str(folder / "set"), "problem": "text", "answer": "gold", "answer_after": "####"}
    (folder / "configs" / "benchmarks" / "sums.yaml").write_text(yaml.safe_dump(mapping))
    done = rstar("evaluate", "runs/tiny", "--problems", "sums", "-q", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    answers = (folder / json.loads(done.stdout)["answers"]).read_text().splitlines()
    assert [json.loads(line)["reference"] for line in answers] == [row["answer"] for row in tiny.KNOWN[:2]]


GOOD = '{"id": "a", "problem": "?", "answer": "1"}\n'
WRONG: dict[str, tuple[bytes, list[str], str]] = {
    "field missing": (b'{"id": "b", "problem": "?"}', [], "bad.jsonl, line 2, field 'answer': Field required"),
    "id missing": (b'{"problem": "?", "answer": "1"}', [], "bad.jsonl, line 2, field 'id': Field required"),
    "id twice": (GOOD.encode(), [], "bad.jsonl, line 2, field 'id': 'a' stands on line 1 already"),
    "not UTF-8": (
        b'{"id": "b", "problem": "caf\xe9", "answer": "1"}',
        [],
        "bad.jsonl, line 2: not a line of JSON in UTF-8 (byte 28 is 0xe9, in field 'problem')",
    ),
    "not JSON": (b"{", [], "bad.jsonl, line 2: not a line of JSON"),
    "unknown strategy": (b"", ["--search", "astar"], "--search: 'astar' is not one of "),
    "no candidates": (
        b"",
        ["--search", "mcts", "--set", "candidates=0"],
        "the command line: candidates: Input should be greater than or equal to 1, not 0",
    ),
    "no samples": (
        b"",
        ["--search", "self_consistency", "--set", "n=0"],
        "the command line: n: Input should be greater than or equal to 1, not 0",
    ),
    "unknown setting": (b"", ["--set", "rolouts=3"], "the command line: rolouts is not a setting"),
    "no such benchmark": (b"", ["--problems", "gsm9k"], "--problems: 'gsm9k' is neither a file nor a benchmark ("),
    "no such file": (b"", ["--problems", "gone.jsonl"], "gone.jsonl: cannot be read"),
    "no such round": (b"", ["--round", "7"], "runs/tiny: there is no round 7"),
    "no vLLM": (
        b"",
        ["model.dtype=float32", "engine.ppm={kind: vllm, launch: {python: nowhere}}", "--search", "mcts"],
        "engine.ppm.launch.python: nowhere cannot be run; `make setup-vllm` makes an environment with vLLM",
    ),
    "another task": (b"", ["--problems", "code.yaml"], "--problems: code.yaml is a benchmark of the task 'code'"),
    "no value model": (
        b"",
        ["--search", "best_of_n", "--set", "value=orm"],
        "best_of_n: it asks the value model 'orm', which round 2 of runs/tiny does not have (its value models: ppm)."
        " A run whose config says `values: {orm: {kind: …}}` trains one, or let it ask another one: value=ppm",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line_with_file_line_and_field_and_writes_nothing(copy, case, monkeypatch):
    line, words, said = WRONG[case]
    (copy / "bad.jsonl").write_bytes(GOOD.encode() + line + b"\n")
    if "code.yaml" in words:
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", copy.parent / "cache")
        (copy / "set").mkdir()
        (copy / "set" / "test.jsonl").write_text('{"text": "?", "tests": ["assert f()"]}\n')
        mapping = {"hub": str(copy / "set"), "problem": "text", "answer": "tests", "task": "code"}
        (copy / "code.yaml").write_text(yaml.safe_dump(mapping))
    words = words if "--problems" in words else ["--problems", "bad.jsonl", *words]
    if line == b"":
        (copy / "bad.jsonl").write_bytes(GOOD.encode())
    before = tiny.files(copy)
    assert refused(rstar("evaluate", "runs/tiny", *words, folder=copy)).startswith(said)
    assert tiny.files(copy) == before


@pytest.mark.parametrize("content", [b"", b"\n  \n"])
def test_an_empty_file_is_refused(copy, content):
    (copy / "empty.jsonl").write_bytes(content)
    before = tiny.files(copy)
    said = refused(rstar("evaluate", "runs/tiny", "--problems", "empty.jsonl", folder=copy))
    assert said == "empty.jsonl: holds no problem\n"
    assert tiny.files(copy) == before


COMPARISON = """\
title: small
run: tiny
problems: mine.jsonl
rows:
  - {search: {kind: greedy}}
  - {search: {kind: self_consistency}, budgets: {n: [1, 2]}}
  - {name: guided, search: {kind: mcts, candidates: 2}, budgets: {rollouts: [1, 2]}}
"""


def test_a_comparison_writes_one_table_and_one_plot_and_reuses_what_is_done(folder):
    pytest.importorskip("matplotlib")
    (folder / "compare.yaml").write_text(COMPARISON)
    done = rstar("compare", "compare.yaml", "--json", "-q", folder=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert sorted((row["strategy"], row["budget"]) for row in told["rows"]) == [
        *(("greedy", ""), ("guided", "rollouts=1"), ("guided", "rollouts=2")),
        *(("self_consistency", "n=1"), ("self_consistency", "n=2")),
    ]
    tokens = [row["cost"]["generated"] for row in told["rows"]]
    assert tokens == sorted(tokens)
    assert len(told["pairs"]) == 10
    written = {name: (folder / path).read_bytes() for name, path in told["files"].items()}
    assert set(written) == {"table.md", "table.json", "plot.png", "plot.svg"}
    assert json.loads(written["table.json"]) == told
    assert b"| guided | rollouts=2 |" in written["table.md"]
    trees = tiny.files(folder / "runs" / "tiny" / "evaluations")
    again = rstar("compare", "compare.yaml", "--json", "-q", folder=folder)
    assert json.loads(again.stdout) == told
    assert tiny.files(folder / "runs" / "tiny" / "evaluations") == trees
    shown = rstar("compare", "compare.yaml", folder=folder)
    assert shown.returncode == 0, shown.stderr
    assert "4 problems, the models of round 2 of tiny" in shown.stdout
    assert "comparisons/small/plot.png" in shown.stdout
    assert "small: 5 of 5" in shown.stderr
    assert rstar("check", folder / "runs" / "tiny").returncode == 0


REFUSED = {
    "unknown strategy": ("rows.0.search.kind=astar", "compare.yaml: rows.0.search.kind: 'astar' is not one of "),
    "a K of 0": (
        "rows.1.budgets.n=[1,0]",
        "compare.yaml: rows.1.search: n: Input should be greater than or equal to 1, not 0",
    ),
    "no kind": ("rows.0.search={}", "compare.yaml: rows.0.search: `kind` is missing"),
    "uneven": ("rows.2.budgets.c=[1]", "compare.yaml: rows.2.budgets: every setting needs a value for each budget"),
    "same name": ("rows.2.name=greedy", "compare.yaml: rows: two are called 'greedy'"),
    "no rows": ("rows=[]", "compare.yaml: rows: "),
    "no run": ("run=gone", "compare.yaml: run: there is no run runs/gone; `rstar evolve configs/gone.yaml` makes it"),
    "no level": ("levels=[L9]", "levels: no problem has the level 'L9' (levels: easy)"),
    "no value model": ("rows.2.search.value=orm", "mcts: it asks the value model 'orm'"),
    "no file": ("problems=gone.jsonl", "gone.jsonl: cannot be read"),
    "unknown setting": ("rows.0.budget={}", "compare.yaml: rows.0.budget is not a setting"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_comparison_is_checked_before_the_first_search(copy, case):
    pytest.importorskip("matplotlib")
    override, said = REFUSED[case]
    tiny.write(copy / "mine.jsonl", tiny.KNOWN[:2])
    (copy / "compare.yaml").write_text(COMPARISON)
    before = tiny.files(copy)
    assert refused(rstar("compare", "compare.yaml", override, folder=copy)).startswith(said)
    assert tiny.files(copy) == before


def test_a_wrong_row_is_named_with_its_line(copy):
    tiny.write(copy / "mine.jsonl", tiny.KNOWN[:2])
    (copy / "compare.yaml").write_text(COMPARISON.replace("n: [1, 2]", "n: [1, 0]"))
    said = refused(rstar("compare", "compare.yaml", folder=copy))
    assert said.endswith("rows.1.search: n: Input should be greater than or equal to 1, not 0 (line 6)\n")


def test_solve_shows_the_search_and_the_chosen_solution_with_its_scores(run):
    """On standard error the steps as they are born; on standard output the solution, which alone is left by --quiet."""
    words = ["solve", tiny.KNOWN[0]["problem"], "--run", run, *small("mcts")]
    done = rstar(*words)
    assert "by the models of round 2\n" in done.stderr
    assert "score" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("answer: ")
    if done.returncode == 0:
        assert done.stdout.startswith("── step 1  N ")
        assert "  score " in done.stdout
        assert "  solution's score (its last step's score) " in done.stdout
        assert "── the answer of " in done.stdout
    assert rstar(*words, "-q").stderr == "by the models of round 2\n"


@pytest.mark.parametrize("kind", KINDS)
def test_solve_with_every_strategy(run, kind):
    done = rstar("solve", tiny.KNOWN[4]["problem"], "--run", run, "--search", kind, *small(kind), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["answer"] else 1), done.stderr
    assert set(found["tree"]["cost"]) == set(Cost.__slots__)  # type: ignore[attr-defined]
    assert found["tree"]["cost"]["prefilled"] > 0
