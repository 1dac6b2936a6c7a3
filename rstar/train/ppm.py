"""The process preference model: a score in (-1, 1) for a prefix, learned from pairs by the Bradley-Terry loss."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import DataCollatorForPreference, RewardTrainer, suppress_seqcls_warning

from rstar.train.examples import PAIRS, stream
from rstar.train.job import PpmJob
from rstar.train.losses import bradley_terry
from rstar.train.trainer import Report, arguments, limit, open_work, optimizer, print_progress, run


def train_ppm(job: PpmJob, report: Report = print_progress) -> dict[str, Any]:
    """Train a PPM from the policy `job.start` on the pairs `job.rows` and write the checkpoint `job.out`.

    The checkpoint is a plain sequence classifier with one label and no bias, whose logit belongs to the last token.
    The score is tanh(logit), in training and wherever it is used: served logits must be read without activation.
    """
    cfg = job.config
    work = open_work(job)
    tokenizer = AutoTokenizer.from_pretrained(job.start)
    with suppress_seqcls_warning():
        model = AutoModelForSequenceClassification.from_pretrained(job.start, num_labels=1, dtype=torch.float32)
    # Scores start at 0: tanh is steepest there, and the first loss is log 2 whatever the policy was.
    nn.init.zeros_(model.score.weight)
    examples = stream(PAIRS, job.rows, tokenizer, cfg, limit(cfg, model), job.seed, work)
    trainer = PpmTrainer(
        model=model,
        args=RewardConfig(**arguments(job, examples), max_length=None),
        data_collator=PairCollator(pad_token_id=tokenizer.pad_token_id),
        train_dataset=examples.data,
        processing_class=tokenizer,
        optimizer_cls_and_kwargs=optimizer(cfg),
    )
    return run(trainer, job, examples, report)


@dataclass
class PairCollator(DataCollatorForPreference):
    """Pairs as (2N, T) ids, the chosen first, and their weights (N,)."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        return {**super().torch_call(examples), "weight": torch.tensor([example["weight"] for example in examples])}


class PpmTrainer(RewardTrainer):
    """TRL's reward trainer with score = tanh(logit) and weighted pairs.

    The mean is over all pairs of an optimizer step, however they are spread over micro-batches and devices.
    """

    loss_is_scaled_for_ga = True

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
        weight = inputs.pop("weight")
        outputs = model(**inputs, use_cache=False)
        chosen, rejected = torch.tanh(outputs.logits.squeeze(-1).float()).chunk(2)
        total = weight.sum() if num_items_in_batch is None else num_items_in_batch
        loss = bradley_terry(chosen, rejected, weight) * weight.sum() / total
        seen = self._metrics["train" if model.training else "eval"]
        seen["accuracy"].append((chosen > rejected).float().mean().item())
        seen["margin"].append((chosen - rejected).mean().item())
        return (loss, outputs) if return_outputs else loss
