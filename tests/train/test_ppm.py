from collections.abc import Callable
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments

from rstar.train.examples import PAIRS, Stream, stream
from rstar.train.job import ValueJob
from rstar.train.losses import bradley_terry
from rstar.train.trainer import arguments, open_work
from rstar.train.value import Collator, ValueTrainer, train_value
from tests.train.conftest import silent

Make = Callable[..., ValueJob]


def scores(model: Any, lists: list[list[int]]) -> torch.Tensor:
    """tanh(logit) of each list of ids by itself, without padding."""
    with torch.no_grad():
        return torch.stack([torch.tanh(model(torch.tensor([ids])).logits[0, 0]) for ids in lists])


def trainer(job: ValueJob) -> tuple[ValueTrainer, Stream]:
    """A trainer as `train_value` makes it, with weights so large that the scores of texts differ from the start."""
    work = open_work(job)
    tokenizer = AutoTokenizer.from_pretrained(job.start)
    model = AutoModelForSequenceClassification.from_pretrained(job.start, num_labels=1)
    torch.manual_seed(3)
    torch.nn.init.normal_(model.score.weight)
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter.mul_(20 if parameter.ndim == 2 else 1)
    examples = stream(PAIRS, job.rows, tokenizer, job.config, 96, job.seed, work)
    made = ValueTrainer(
        "ppm",
        model=model,
        args=TrainingArguments(**arguments(job, examples)),
        data_collator=Collator(tokenizer.pad_token_id),
        train_dataset=examples.data,
        processing_class=tokenizer,
    )
    return made, examples


def test_the_first_loss_is_log_2(ppm: Make) -> None:
    assert train_value(ppm(), silent)["curve"][0][1] == pytest.approx(log(2))


@pytest.mark.parametrize("micro", [12, 4, 3])
def test_the_loss_is_the_weighted_mean_of_a_step(ppm: Make, micro: int) -> None:
    made, examples = trainer(ppm(batch=12, micro_batch=micro, steps=1))
    rows = examples.data[:12]
    chosen, rejected = scores(made.model, rows["chosen_ids"]), scores(made.model, rows["rejected_ids"])
    assert len(set(rows["weight"])) == 3
    expected = bradley_terry(chosen, rejected, torch.tensor(rows["weight"])).item()
    plain = bradley_terry(chosen, rejected).item()
    made.train()
    assert made.state.log_history[0]["loss"] == pytest.approx(expected, abs=1e-6)
    assert abs(expected - plain) > 1e-4


def test_it_learns_and_its_score_is_in_use_what_it_was_in_training(ppm: Make) -> None:
    job = ppm(batch=12, micro_batch=12, steps=40, warmup=5)
    metrics = train_value(job, silent)
    assert metrics["accuracy"] == 1.0
    assert metrics["final_loss"] < 0.3
    model = AutoModelForSequenceClassification.from_pretrained(job.out)
    assert [name for name, _ in model.named_parameters() if "score" in name] == ["score.weight"]
    assert model.config.architectures == ["LlamaForSequenceClassification"]
    tokenizer = AutoTokenizer.from_pretrained(job.out)
    examples = stream(PAIRS, job.rows, tokenizer, job.config, 96, 0, job.out)
    good, bad = (scores(model, examples.data[:12][f"{side}_ids"]) for side in ("chosen", "rejected"))
    assert bool((good > bad).all())
    assert (good - bad).mean().item() == pytest.approx(metrics["margin"], abs=0.3)


def test_without_tanh_in_the_loss_logits_grow_apart_further(ppm: Make) -> None:
    margins = {}
    for tanh in (True, False):
        job = ppm(f"tanh-{tanh}", batch=12, micro_batch=12, steps=40, warmup=5, tanh_in_loss=tanh)
        margins[tanh] = train_value(job, silent)["final_loss"]
    assert margins[True] > log(1 + exp(-2))  # no two scores are further apart than 2
    assert margins[False] < margins[True]


def test_a_score_belongs_to_the_last_token_whatever_the_padding(ppm: Make) -> None:
    made, examples = trainer(ppm())
    lists = examples.data[:12]["chosen_ids"]
    short = [ids[: len(ids) - i] for i, ids in enumerate(lists)]
    batch = made.data_collator([{"chosen_ids": ids, "rejected_ids": ids, "weight": 1.0} for ids in short])
    assert batch["weight"].shape == (12,)
    with torch.no_grad():
        logits = made.model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert torch.allclose(torch.tanh(logits[:12, 0]), scores(made.model, short), atol=1e-5)


def test_the_same_job_gives_the_same_bytes(ppm: Make) -> None:
    for out in ("one", "two"):
        train_value(ppm(out), silent)
    one, two = (ppm(out).out / "model.safetensors" for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_the_card_says_how_to_read_a_score(ppm: Make) -> None:
    job = ppm().model_copy(update={"lineage": {"policy": "round 2"}})
    train_value(job, silent)
    card = Path(job.out / "README.md").read_text()
    assert "tanh(logit)" in card
    assert "| policy | round 2 |" in card
