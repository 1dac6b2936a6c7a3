import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_trainer import SFTTrainer

from rstar.config.train import RenumberAugmentConfig
from rstar.errors import InputError, StageFailed
from rstar.train import trainer as shared
from rstar.train.examples import SOLUTIONS, stream
from rstar.train.job import SftJob
from rstar.train.losses import IGNORED, masked_nll
from rstar.train.policy import PolicyTrainer, train_policy
from tests.train.conftest import silent

Make = Callable[..., SftJob]


def first_batch(job: SftJob, size: int, tmp_path: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, labels and attention mask (B, T) of the first examples of a job."""
    tokenizer = AutoTokenizer.from_pretrained(job.start)
    tmp_path.mkdir(exist_ok=True)
    rows = stream(SOLUTIONS, job.rows, tokenizer, job.config, 96, job.seed, tmp_path).data[:size]
    longest = max(map(len, rows["input_ids"]))

    def padded(lists: list[list[int]], value: int) -> torch.Tensor:
        return torch.tensor([row + [value] * (longest - len(row)) for row in lists])

    ids = padded(rows["input_ids"], tokenizer.pad_token_id)
    return ids, padded(rows["labels"], IGNORED), (ids != tokenizer.pad_token_id).long()


def losses(metrics: dict[str, Any]) -> list[float]:
    return [loss for _, loss in metrics["curve"]]


def test_the_first_loss_is_the_masked_mean(sft: Make, tmp_path: Path) -> None:
    job = sft(batch=6, micro_batch=6, steps=1)
    ids, labels, mask = first_batch(job, 6, tmp_path / "batch")
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(job.start)(input_ids=ids, attention_mask=mask).logits
    assert losses(train_policy(job, silent)) == pytest.approx([masked_nll(logits, labels).item()], abs=1e-5)


def test_micro_batches_and_packing_change_no_loss(sft: Make) -> None:
    # 12 examples of different lengths: a mean of the means of micro-batches would differ.
    whole = losses(train_policy(sft("whole", batch=6, micro_batch=6, steps=3), silent))
    split = losses(train_policy(sft("split", batch=6, micro_batch=4, steps=3), silent))
    packed = losses(train_policy(sft("packed", batch=6, micro_batch=6, steps=3, packing=True), silent))
    assert split == pytest.approx(whole, rel=1e-3)
    assert packed == pytest.approx(whole, rel=1e-3)


def test_the_short_way_to_the_loss_is_that_of_trl(sft: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    short = losses(train_policy(sft("short"), silent))
    monkeypatch.setattr(PolicyTrainer, "compute_loss", SFTTrainer.compute_loss)
    assert losses(train_policy(sft("long"), silent)) == pytest.approx(short, rel=1e-3)


def test_the_same_job_gives_the_same_bytes(sft: Make) -> None:
    augment = RenumberAugmentConfig(p=0.8)
    for out in ("one", "two"):
        train_policy(sft(out, augment=augment), silent)
    one, two = (sft(out).out / "model.safetensors" for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_it_learns(sft: Make, optimizer: str) -> None:
    found = losses(train_policy(sft(steps=40, optimizer=optimizer, lr=2e-2, schedule="constant"), silent))
    assert found[-1] < found[0] / 3


def test_progress_ends_with_the_last_step(sft: Make) -> None:
    reports: list[tuple[int, int, float | None]] = []
    metrics = train_policy(sft(schedule="cosine", warmup=2), lambda *report: reports.append(report))
    assert reports[-1][:2] == (4, 4)
    assert metrics["steps"] == 4


def test_what_is_left_is_a_plain_checkpoint(sft: Make) -> None:
    job = sft()
    metrics = train_policy(job, silent)
    assert sorted(file.name for file in job.out.iterdir()) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "metrics.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert not job.work.exists()
    assert json.loads((job.out / "metrics.json").read_text()) == metrics
    assert (metrics["steps"], metrics["rows"], metrics["rows_left_out"]) == (4, 12, 0)
    assert metrics["final_loss"] == metrics["curve"][-1][1]
    text = "Ann has <code>\n"
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (job.start, job.out))
    assert after(text)["input_ids"] == before(text)["input_ids"]
    card = (job.out / "README.md").read_text()
    assert card.startswith("---\n")
    assert "| optimizer | muon |" in card


def test_weights_are_kept_in_the_format_they_came_in(sft: Make, tmp_path: Path) -> None:
    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(sft().start, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(sft().start).save_pretrained(half)
    job = sft().model_copy(update={"start": half})
    train_policy(job, silent)
    model = AutoModelForCausalLM.from_pretrained(job.out)
    assert model.dtype == torch.bfloat16
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_an_existing_checkpoint_is_not_overwritten(sft: Make) -> None:
    job = sft()
    job.out.mkdir()
    with pytest.raises(InputError, match="exists already"):
        train_policy(job, silent)


def test_a_loss_that_is_no_number_stops_the_training(sft: Make) -> None:
    job = sft(lr=1e30, clip=1e30, steps=20, optimizer="adamw")
    with pytest.raises(StageFailed, match="lower the learning rate"):
        train_policy(job, silent)
    assert not job.out.exists()


def test_an_interrupted_training_goes_on(sft: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_PAUSE_S", 0.0)
    config = {"batch": 4, "micro_batch": 2, "steps": 6, "augment": RenumberAugmentConfig(p=0.8)}
    straight = train_policy(sft("straight", save_steps=2, **config), silent)

    def interrupt(step: int, of: int, loss: float | None) -> None:
        if step == 5:
            raise KeyboardInterrupt

    job = sft("broken", save_steps=2, **config)
    with pytest.raises(KeyboardInterrupt):
        train_policy(job, interrupt)
    assert not job.out.exists()
    seen: list[int] = []
    resumed = train_policy(job, lambda step, of, loss: seen.append(step))
    assert seen == [5, 6]
    assert resumed["curve"] == straight["curve"]
    one, two = (sft(out).out / "model.safetensors" for out in ("straight", "broken"))
    assert one.read_bytes() == two.read_bytes()


def test_another_job_does_not_go_on_with_what_it_finds(sft: Make) -> None:
    job = sft(save_steps=2)
    shared.open_work(job)
    (job.work / "mark").touch()
    shared.open_work(job)
    assert (job.work / "mark").exists()
    shared.open_work(sft(save_steps=2, lr=0.5))
    assert not (job.work / "mark").exists()
