"""Every file that is shipped can be run, and the page of settings is that of the code."""

from pathlib import Path

import orjson
import pytest
import yaml

from rstar.config import describe
from rstar.config.data import BuildConfig, SourceConfig
from rstar.config.load import load, validate
from rstar.config.paper import PaperConfig
from rstar.config.run import RunConfig
from rstar.config.search import CONFIGS
from rstar.data import sources

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").rglob("*.yaml"))
RUNS = [path for path in FILES if "name" in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})]
LAID_OVER = [path for path in FILES if path.parent.name == "models"]
ENGINES = [path for path in FILES if path.parent.name == "engines"]
BENCHMARKS = [path for path in FILES if path.parent.name == "benchmarks"]
PRESETS = [path for path in FILES if path.parent.name == "search"]
SOURCES = [path for path in FILES if path.parent.name == "sources"]
DATA = [path for path in FILES if path.name == "data.yaml"]
PAPERS = [path for path in FILES if path.name.startswith("paper")]
COMPARISONS = [path for path in FILES if path.name.startswith("compare-")]
NEEDED = {
    "word-problems": [
        "problems.train=train.jsonl",
        "problems.test=test.jsonl",
        "bootstrap.demonstrations=worked.jsonl",
    ],
    "math": ["problems.train=train.jsonl", "problems.test=test.jsonl"],
}
"""What people must say on the command line."""


def name(path: Path) -> str:
    return path.stem


def shipped(path: Path) -> RunConfig:
    return load(RunConfig, [path, *NEEDED.get(path.stem, [])])


@pytest.mark.parametrize("path", RUNS, ids=name)
def test_a_shipped_run_is_valid_and_named_after_its_file(path):
    assert shipped(path).name == path.stem


@pytest.mark.parametrize("path", RUNS, ids=name)
def test_a_resolved_config_loads_back_to_the_same(path):
    cfg = shipped(path)
    stored = orjson.loads(orjson.dumps(cfg.model_dump(mode="json")))
    again = validate(RunConfig, stored, "run.json")
    assert again == cfg
    assert again.model_dump(mode="json") == stored


@pytest.mark.parametrize("path", LAID_OVER, ids=name)
def test_a_model_is_laid_over_a_run(path):
    cfg = load(RunConfig, [ROOT / "configs" / "math.yaml", path, *NEEDED["math"]])
    assert cfg.model.kind == "hub"
    assert cfg.model.path == yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["path"]


@pytest.mark.parametrize("path", ENGINES, ids=name)
def test_an_engine_is_laid_over_a_run_and_changes_only_where_it_runs(path):
    plain = load(RunConfig, [ROOT / "configs" / "tiny.yaml", "model.dtype=float32"])
    cfg = load(RunConfig, [ROOT / "configs" / "tiny.yaml", path, "model.dtype=float32"])
    assert cfg.engine.policy.kind == cfg.engine.ppm.kind == "vllm"
    assert cfg.model_copy(update={"engine": plain.engine, "model": plain.model}) == plain


@pytest.mark.parametrize("path", PRESETS, ids=name)
def test_a_preset_is_a_search_and_may_stand_in_a_run(path):
    cfg = load(CONFIGS[path.stem], [path])
    assert cfg.kind == path.stem
    inside = load(
        RunConfig, [ROOT / "configs" / "tiny.yaml", f"evaluate.search={orjson.dumps(cfg.model_dump()).decode()}"]
    )
    assert inside.evaluate.search == cfg


def test_every_strategy_has_a_preset():
    assert {path.stem for path in PRESETS} == set(CONFIGS) - {"custom"}


def test_every_other_shipped_file_is_included_somewhere():
    included = {
        (path.parent / other).resolve()
        for path in FILES
        for other in yaml.safe_load(path.read_text()).get("include", [])
    }
    runs = (*RUNS, *LAID_OVER, *ENGINES, *COMPARISONS, *PRESETS, *PAPERS)
    others = {path.resolve() for path in (*runs, *BENCHMARKS, *SOURCES, *DATA)}
    assert {path.resolve() for path in FILES} == others | included
    assert len(RUNS) >= 5


def test_the_shipped_training_file_is_made_of_shipped_sources_and_held_against_shipped_benchmarks():
    cfg = load(BuildConfig, DATA)
    found = sources.resolved(cfg)
    assert found.keys() == cfg.sources.keys() <= {path.stem for path in SOURCES}
    assert {Path(f"configs/benchmarks/{one}.yaml") for one in cfg.benchmarks} <= {
        path.relative_to(ROOT) for path in BENCHMARKS
    }


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_shipped_source_is_of_the_hub(path):
    assert load(SourceConfig, [path]).hub


@pytest.mark.parametrize("path", PAPERS, ids=name)
def test_the_paper_s_tables_are_of_a_shipped_evolution(path):
    paper = load(PaperConfig, [path])
    assert all(load(RunConfig, [ROOT / source]) for source in paper.evolution)


def test_files_that_shipped_runs_name_are_there():
    for path in RUNS:
        examples = getattr(shipped(path).bootstrap, "examples", None)
        assert examples is None or (ROOT / examples).is_file()


def test_the_page_of_settings_is_that_of_the_code():
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert page == describe.page(), "docs/config.md is out of date: make docs"


def test_the_page_names_every_setting_and_its_default():
    page = describe.page()
    assert "| `rollouts` | int | `16` | Root-to-terminal passes" in page
    assert "| `train` | Path | required |" in page
    for section in ("`model` with `kind: hub`", "`search`", "`evaluate`", "`sandbox.limits`", "`policy.augment`"):
        assert section in page, section
    assert "PydanticUndefined" not in page
