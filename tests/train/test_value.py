"""Every kind of value model on a set that can be told apart by the last token."""

from collections.abc import Callable, Iterator
from math import log
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments

from rstar.config.train import PrmConfig, QvmConfig
from rstar.engine.hf import HfValue
from rstar.errors import InputError
from rstar.train.examples import PREFIXES, stream
from rstar.train.job import ValueJob, read_job
from rstar.train.losses import squared_error, three_class_cross_entropy
from rstar.train.trainer import arguments, open_work
from rstar.train.value import Collator, ValueTrainer, labels_of, loss_of, train_value
from tests.train.conftest import PAIRS, silent

Make = Callable[..., ValueJob]

ROWS = [
    {"problem_id": pair["problem_id"], "group": "0", "kind": "hard", "prompt": pair["prompt"]}
    | {"prefix": pair["chosen"] + end, "label": label, "weight": pair["weight"]}
    for pair in PAIRS
    for end, label in ((" +", 1.0), (" -", -1.0))
]
FIRST_LOSS = {"prm": log(3), "hard": log(2), "soft": log(2), "orm": log(2), "pqm": 1.0, "qvm": 1.0, "rest_mcts": 1.0}
"""Before training all scores are 0, and all classes as likely."""


@pytest.fixture(scope="session")
def labels(files: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), files / "labels.parquet")
    return files / "labels.parquet"


@pytest.fixture
def value(base: Path, files: Path, labels: Path, tmp_path: Path) -> Make:
    """Makes jobs of a kind."""

    def make(kind: str, out: str = "value", save_steps: int | None = None, **config: Any) -> ValueJob:
        rows = files / "pairs.parquet" if kind == "orm" else labels
        cfg = {"kind": kind, "batch": 12, "micro_batch": 12, "steps": 4, "lr": 1e-2, "optimizer": "muon"} | config
        job = {"config": cfg, "seed": 7, "device": "cpu", "rows": rows, "start": base, "out": tmp_path / out}
        return ValueJob.model_validate(job | {"save_steps": save_steps})

    return make


@pytest.mark.parametrize("kind", FIRST_LOSS)
def test_each_kind_learns_and_is_served_in_one_range(value: Make, kind: str) -> None:
    job = value(kind, steps=40 if kind == "orm" else 20, warmup=5)
    metrics = train_value(job, silent)
    assert metrics["kind"] == kind
    assert metrics["curve"][0][1] == pytest.approx(FIRST_LOSS[kind], abs=1e-3)
    assert metrics["final_loss"] < 0.5 * FIRST_LOSS[kind]
    model = HfValue(job.out, device="cpu", dtype="float64")
    if kind == "orm":  # pairs say nothing of where 0 lies
        good, bad = (model.score([pair["prompt"] + pair[side] for pair in PAIRS]) for side in ("chosen", "rejected"))
        assert all(one > other for one, other in zip(good, bad, strict=True))
    else:
        found = model.score([row["prompt"] + row["prefix"] for row in ROWS])
        assert all(0.5 < score * row["label"] <= 1 for score, row in zip(found, ROWS, strict=True))
    assert f"| kind | {kind} |" in (job.out / "README.md").read_text()


def trainer(job: ValueJob) -> tuple[ValueTrainer, Any]:
    """A trainer as `train_value` makes it, with a head whose scores differ from the start."""
    work = open_work(job)
    tokenizer = AutoTokenizer.from_pretrained(job.start)
    model = AutoModelForSequenceClassification.from_pretrained(job.start, **labels_of(job.config))
    torch.manual_seed(3)
    torch.nn.init.normal_(model.score.weight)
    examples = stream(PREFIXES, job.rows, tokenizer, job.config, 96, job.seed, work)
    made = ValueTrainer(
        job.config.kind,
        model,
        args=TrainingArguments(**arguments(job, examples)),
        data_collator=Collator(tokenizer.pad_token_id),
        train_dataset=examples.data,
        processing_class=tokenizer,
    )
    return made, examples.data[: job.config.batch]


@pytest.mark.parametrize("micro", [24, 8])
@pytest.mark.parametrize("kind", ["pqm", "prm"])
def test_the_loss_is_the_weighted_mean_of_a_step(value: Make, kind: str, micro: int) -> None:
    made, rows = trainer(value(kind, batch=24, micro_batch=micro, steps=1))
    with torch.no_grad():
        logits = torch.cat([made.model(torch.tensor([ids])).logits for ids in rows["input_ids"]])
    label, weight = torch.tensor(rows["label"]), torch.tensor(rows["weight"])
    if kind == "prm":
        expected, plain = three_class_cross_entropy(logits, label, weight), three_class_cross_entropy(logits, label)
    else:
        scores = torch.tanh(logits[:, 0])
        expected, plain = squared_error(scores, label, weight), squared_error(scores, label)
    made.train()
    assert made.state.log_history[0]["loss"] == pytest.approx(expected.item(), abs=1e-5)
    assert abs(expected.item() - plain.item()) > 1e-4


def test_the_loss_of_each_kind() -> None:
    logits, weight = torch.tensor([[0.5], [-0.2]]), torch.ones(2)
    label = torch.tensor([1.0, -1.0])
    squared = (((torch.tanh(logits[:, 0]) - label) ** 2).sum() / 2).item()
    for kind in ("pqm", "qvm", "rest_mcts"):
        assert loss_of(kind, logits, label, weight).item() == pytest.approx(squared)
    # p = sigma(1) that the first is right, and sigma(0.4) that the second is wrong.
    crossed = -(torch.sigmoid(torch.tensor(1.0)).log() + torch.sigmoid(torch.tensor(0.4)).log()) / 2
    for kind in ("hard", "soft"):
        assert loss_of(kind, logits, label, weight).item() == pytest.approx(crossed.item())
    margin = torch.tanh(torch.tensor(0.5)) - torch.tanh(torch.tensor(-0.2))
    for kind in ("ppm", "orm"):
        assert loss_of(kind, logits, None, torch.ones(1)).item() == pytest.approx(-torch.sigmoid(margin).log().item())
    bare = -torch.sigmoid(torch.tensor(0.7)).log().item()
    assert loss_of("ppm", logits, None, torch.ones(1), tanh=False).item() == pytest.approx(bare)


def test_a_prm_is_served_as_twice_its_probability_of_good(value: Make) -> None:
    prefixes = [row["prompt"] + row["prefix"] for row in ROWS[:6]]
    for neutral in ("bad", "good"):
        job = value("prm", out=neutral, neutral=neutral, steps=3)
        train_value(job, silent)
        model, tokenizer = AutoModelForSequenceClassification.from_pretrained(job.out), HfValue(job.out).codec.tokenizer
        assert model.config.id2label == {0: "bad", 1: "neutral", 2: "good"}
        with torch.no_grad():
            p = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits.softmax(1) for text in prefixes])
        good = p[:, 2] + (p[:, 1] if neutral == "good" else 0)
        assert HfValue(job.out).score(prefixes) == pytest.approx((2 * good - 1).tolist(), abs=1e-5)


def test_an_interrupted_training_goes_on(value: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = value("prm", out="whole", steps=6, save_steps=2)
    train_value(whole, silent)

    class Killed(Exception):
        pass

    def die(trainer: ValueTrainer, *args: Any, **options: Any) -> Iterator[Any]:
        if trainer.state.global_step == 4:
            raise Killed
        return kept(trainer, *args, **options)

    kept = ValueTrainer.get_batch_samples
    job = value("prm", out="again", steps=6, save_steps=2)
    with monkeypatch.context() as patched:
        patched.setattr(ValueTrainer, "get_batch_samples", die)
        with pytest.raises(Killed):
            train_value(job, silent)
    assert (job.work / "trainer" / "checkpoint-4").exists()
    train_value(job, silent)
    assert (job.out / "model.safetensors").read_bytes() == (whole.out / "model.safetensors").read_bytes()


def test_wrong_data_and_wrong_settings_say_so(value: Make, files: Path, tmp_path: Path) -> None:
    job = value("hard").model_copy(update={"rows": files / "pairs.parquet"})
    with pytest.raises(InputError, match=r"pairs\.parquet: .*prefix"):
        train_value(job, silent)
    path = tmp_path / "job.json"
    path.write_text(value("hard").model_dump_json().replace('"kind":"hard"', '"kind":"harder"'))
    with pytest.raises(InputError, match=r"job\.json is not a training job[\s\S]*'harder'[\s\S]*'hard'"):
        read_job(path)
    for wrong in ({"gamma": 0}, {"iterations": 0}, {"labels": "mcts"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            QvmConfig(**wrong)
    with pytest.raises(ValidationError, match="good"):
        PrmConfig(good=0)
