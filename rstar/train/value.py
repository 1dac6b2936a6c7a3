"""Value models: a score in [-1, 1] for a prefix, learned from pairs or from a label for each step.

One network and one trainer for all of them: a causal model whose language head gives way to a linear one without bias,
read at the last token. Its only logit is served as tanh(logit). A PRM has three logits instead, for bad, neutral and
good, served as 2 P(good) - 1, where P(good) counts neutral in if the checkpoint's `neutral` says so.

| kind | learns from | loss |
|---|---|---|
| ppm, orm | pairs of steps and solutions, of solutions | Bradley-Terry on scores |
| pqm, qvm, rest_mcts | labelled steps | squared error of scores |
| hard, soft | labelled steps | cross-entropy of (1 + score) / 2 |
| prm | steps of three classes | cross-entropy |
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments
from trl.trainer.reward_trainer import suppress_seqcls_warning
from trl.trainer.utils import disable_dropout_in_model

from rstar.config.train import FROM_PAIRS, AnyValueModel, PairsConfig, PrmConfig
from rstar.train.examples import PAIRS, PREFIXES, stream
from rstar.train.job import ValueJob
from rstar.train.losses import binary_cross_entropy, bradley_terry, squared_error, three_class_cross_entropy
from rstar.train.trainer import Report, arguments, by_length, limit, open_work, optimizer, print_progress, run

FROM_ESTIMATES = ("hard", "soft")


def train_value(job: ValueJob, report: Report = print_progress) -> dict[str, Any]:
    """Train a value model from the policy `job.start` on `job.rows` and write the checkpoint `job.out`.

    The checkpoint is a plain sequence classifier with no bias, whose logits belong to the last token. Served logits
    must be read without activation.
    """
    cfg = job.config
    work = open_work(job)
    tokenizer = AutoTokenizer.from_pretrained(job.start)
    with suppress_seqcls_warning():
        model = AutoModelForSequenceClassification.from_pretrained(job.start, dtype=torch.float32, **labels_of(cfg))
    if isinstance(cfg, PrmConfig):
        model.config.neutral = cfg.neutral  # kept in config.json, for whoever serves it
    # Scores start at 0: tanh is steepest there, and the first loss does not depend on the policy.
    nn.init.zeros_(model.score.weight)
    form = PAIRS if cfg.kind in FROM_PAIRS else PREFIXES
    examples = stream(form, job.rows, tokenizer, cfg, limit(cfg, model), job.seed, work)
    trainer = ValueTrainer(
        cfg.kind,
        model=model,
        tanh=not isinstance(cfg, PairsConfig) or cfg.tanh_in_loss,
        args=TrainingArguments(**arguments(job, examples)),
        data_collator=Collator(tokenizer.pad_token_id),
        train_dataset=examples.data,
        processing_class=tokenizer,
        optimizer_cls_and_kwargs=optimizer(cfg),
    )
    return run(trainer, job, examples, report)


def labels_of(cfg: AnyValueModel) -> dict[str, Any]:
    """The labels of the model's head, as config.json names them."""
    if isinstance(cfg, PrmConfig):
        return {"num_labels": 3, "id2label": {0: "bad", 1: "neutral", 2: "good"}}
    return {"num_labels": 1}


def loss_of(kind: str, logits: Tensor, label: Tensor | None, weight: Tensor, tanh: bool = True) -> Tensor:
    """The loss of a kind of model, weighted by `weight` (N,).

    For pairs `logits` is (2N, 1), the chosen first, compared behind their tanh or as they are. Else it is (N, 1), or
    (N, 3) for a PRM, and `label` (N,).
    """
    if kind in FROM_PAIRS:
        chosen, rejected = (torch.tanh(logits[:, 0]) if tanh else logits[:, 0]).chunk(2)
        return bradley_terry(chosen, rejected, weight)
    assert label is not None
    if kind == "prm":
        return three_class_cross_entropy(logits, label, weight)
    if kind in FROM_ESTIMATES:
        return binary_cross_entropy(logits[:, 0], label, weight)
    return squared_error(torch.tanh(logits[:, 0]), label, weight)


@dataclass
class Collator:
    """Texts as ids (N, T), or (2N, T) for pairs with the chosen first, padded on the right; labels and weights (N,)."""

    pad_token_id: int

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        names = ("chosen_ids", "rejected_ids") if "chosen_ids" in examples[0] else ("input_ids",)
        lists = [torch.tensor(example[name]) for name in names for example in examples]
        numbers = [name for name in ("label", "weight") if name in examples[0]]
        return {
            "input_ids": pad_sequence(lists, batch_first=True, padding_value=self.pad_token_id),
            "attention_mask": pad_sequence([torch.ones_like(ids) for ids in lists], batch_first=True),
            **{name: torch.tensor([example[name] for example in examples]) for name in numbers},
        }


class ValueTrainer(Trainer):
    """The trainer of transformers with the loss of each kind and weighted examples. (TRL's knows one label alone.)

    The mean is over all examples of an optimizer step, however they are spread over micro-batches and devices.
    """

    def __init__(self, kind: str, model: Any, tanh: bool = True, **options: Any):
        disable_dropout_in_model(model)
        model.config.pad_token_id = options["processing_class"].pad_token_id  # the last token is the one before it
        super().__init__(model=model, **options)
        self.kind = kind
        self.tanh = tanh
        self.model_accepts_loss_kwargs = True  # the loss is scaled for gradient accumulation already
        self._seen: dict[str, list[float]] = {}

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor]:
        """The micro-batches of a step, and the sum of their weights (its mean over devices, as gradients are)."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        weight = torch.stack([batch["weight"].sum() for batch in batches]).sum().to(device)
        return batches, self.accelerator.reduce(weight, "mean")

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        label, weight = inputs.pop("label", None), inputs.pop("weight")
        if return_outputs or self.accelerator.device.type != "cpu" or self.accelerator.num_processes > 1:
            outputs = model(**inputs, use_cache=False)
            logits = outputs.logits.float()
        else:
            rows, parts = zip(*by_length(inputs), strict=True)
            scored = torch.cat([model(**part, use_cache=False).logits.float() for part in parts])
            outputs, logits = None, scored[torch.cat(rows).argsort()]
        total = weight.sum() if num_items_in_batch is None else num_items_in_batch
        loss = loss_of(self.kind, logits, label, weight, self.tanh) * weight.sum() / total
        for name, value in measures(self.kind, logits.detach(), label).items():
            self._seen.setdefault(name, []).append(value.item())
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was measured since the last time."""
        super().log(logs | {name: sum(values) / len(values) for name, values in self._seen.items()}, start_time)
        self._seen.clear()


def measures(kind: str, logits: Tensor, label: Tensor | None) -> dict[str, Tensor]:
    """What is logged beside the loss: accuracy and margin of pairs, accuracy of classes, mean absolute error else."""
    if label is None:
        chosen, rejected = torch.tanh(logits[:, 0]).chunk(2)
        return {"accuracy": (chosen > rejected).float().mean(), "margin": (chosen - rejected).mean()}
    if kind == "prm":
        return {"accuracy": (logits.argmax(1) == label.round().long() + 1).float().mean()}
    return {"error": (torch.tanh(logits[:, 0]) - label).abs().mean()}
