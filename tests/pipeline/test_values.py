"""Value models besides the PPM, on a finished evolution: trained, resumed, checked, and asked by their role."""

import pyarrow.parquet as pq
import pytest

from rstar.config.train import HardConfig, OrmConfig, PrmConfig
from rstar.errors import ConfigError, RecipeDrift
from rstar.pipeline import inspect, values
from rstar.pipeline.progress import silent
from rstar.pipeline.round import start
from rstar.pipeline.status import status
from rstar.pipeline.use import Asked, evaluate, models_of
from rstar.pipeline.values import value_stage, write_data
from rstar.store import manifest
from tests.pipeline import tiny

VALUES = (
    "rounds.1.values={q: {kind: qvm, labels: fitted, iterations: 2, batch: 16, micro_batch: 16, steps: 6, lr: 1.0e-3,"
    " optimizer: muon, max_length: 128}}"
)


@pytest.mark.slow
def test_a_model_of_another_role_is_a_stage_of_its_round(copy, monkeypatch):
    run, cfg = copy / "runs" / "tiny", tiny.config(copy, VALUES)
    stage = run / "round-2" / "values" / "q"
    start(cfg, 2)
    calls = []
    kept = values.trained

    def dying(it, cfg, job, *rest):
        calls.append(job.out.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return kept(it, cfg, job, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(values, "trained", dying)
        with pytest.raises(KeyboardInterrupt):
            value_stage(cfg, 2, "q", silent)
    assert manifest.read(stage).status == "open"
    first = tiny.files(stage / "checkpoint-1")
    assert first
    made = value_stage(cfg, 2, "q", silent)
    assert calls == ["checkpoint-1", "checkpoint"]
    assert made.metrics["kind"] == "qvm"
    names = {part.path for part in made.parts}
    assert {"labels-1.parquet", "labels-2.parquet", "checkpoint/model.safetensors"} <= names
    assert not (stage / "checkpoint-1").exists()
    one, two = (pq.read_table(stage / f"labels-{i}.parquet").to_pylist() for i in (1, 2))
    assert [row["group"] for row in one] == [row["group"] for row in two]
    assert {row["label"] for row in one} == {-1.0, 1.0}  # Q = 0 below every step but the ends
    assert len({row["label"] for row in two}) > 2

    (stage / "manifest.json").write_text(made.model_copy(update={"status": "open", "parts": []}).model_dump_json())
    again = value_stage(cfg, 2, "q", silent)
    assert (again.parts, again.metrics) == (made.parts, made.metrics)
    assert value_stage(cfg, 2, "q", silent) == again
    assert inspect.check(run)[1:] == ([], [])
    assert "round-2/values/q" in [row["stage"] for row in status(run)]
    with pytest.raises(RecipeDrift, match=r"rounds\.1\.values\.q\.gamma: 1\.0 -> 0\.5"):
        start(tiny.config(copy, VALUES, "rounds.1.values.q.gamma=0.5"), 2)

    assert models_of(cfg, 2)[1]["q"] == stage
    told = evaluate(cfg, 2, Asked(limit=2), "best_of_n", ["value=q", "n=2"], silent)
    assert told["cost"]["scored"] > 0


@pytest.mark.parametrize("how", [HardConfig(), PrmConfig(), OrmConfig(), HardConfig(most=3)])
def test_data_come_from_the_newest_trees_of_each_problem(copy, how):
    path = copy / "data.parquet"
    write_data(tiny.config(copy), 2, how, path, None, "data", silent)
    rows = pq.read_table(path).to_pylist()
    by_problem = {}
    for row in rows:
        by_problem.setdefault(row["problem_id"], []).append(row)
    assert by_problem
    if isinstance(how, OrmConfig):
        assert all(row["kind"] == "answer" and row["chosen"] != row["rejected"] for row in rows)
        return
    # Round 2 searched n0 to n3 and w0 to w3; w4 to w9 were searched in round 1 alone.
    assert {"n0", "w0", "w9"} <= by_problem.keys()
    assert {row["kind"] for row in rows} == {how.kind}
    assert {row["label"] for row in rows} <= {-1.0, 0.0, 1.0}
    assert max(map(len, by_problem.values())) <= (how.most or 10**6)


def test_a_search_that_asks_a_model_nobody_trains_is_refused(copy):
    cfg = tiny.config(copy, "evaluate.search={kind: best_of_n, value: judge}")
    with pytest.raises(
        ConfigError, match=r"evaluate\.search: best_of_n asks the value model 'judge', which round 1 does"
    ):
        start(cfg, 1)
