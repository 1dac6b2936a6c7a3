"""Fine-tuning of the policy: next-token loss on what the policy wrote in verified solutions."""

from typing import Any

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from rstar.train.examples import SOLUTIONS, TRANSCRIPTS, stream
from rstar.train.job import SftJob
from rstar.train.losses import IGNORED
from rstar.train.trainer import Report, arguments, by_length, limit, open_work, optimizer, print_progress, run


def train_policy(job: SftJob, report: Report = print_progress) -> dict[str, Any]:
    """Train the policy of `job.start` on `job.rows` and write the checkpoint `job.out`; returns its metrics.

    With `packing` the examples of a micro-batch stand in one row without padding, kept apart by their positions: the
    loss is the same, and a batch stays a number of examples.
    """
    cfg = job.config
    work = open_work(job)
    tokenizer = AutoTokenizer.from_pretrained(job.start)
    model = AutoModelForCausalLM.from_pretrained(job.start, dtype=torch.float32)
    form = TRANSCRIPTS if job.outputs else SOLUTIONS
    examples = stream(form, job.rows, tokenizer, cfg, limit(cfg, model), job.seed, work)
    trainer = PolicyTrainer(
        model=model,
        args=SFTConfig(
            **arguments(job, examples),
            dataset_kwargs={"skip_prepare_dataset": True},
            padding_free=cfg.packing,
            max_length=None,
        ),
        train_dataset=examples.data,
        processing_class=tokenizer,
        optimizer_cls_and_kwargs=optimizer(cfg),
    )
    return run(trainer, job, examples, report)


class PolicyTrainer(SFTTrainer):
    """TRL's SFT trainer with a shorter way to the same loss on a single CPU process.

    TRL's fused head scores every position of the batch and takes entropies along the way, which pays on a GPU only.
    Here the head sees the labelled positions alone, and rows of like length go through the model together.
    """

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        if self.accelerator.device.type != "cpu" or self.accelerator.num_processes > 1 or return_outputs:
            return super().compute_loss(  # type: ignore[no-untyped-call]
                model, inputs, return_outputs, num_items_in_batch
            )
        hidden, labels = [], []
        for part in [inputs] if "attention_mask" not in inputs else [part for _, part in by_length(inputs)]:
            wanted = part.pop("labels")[:, 1:]
            counted = wanted != IGNORED
            hidden.append(model.get_decoder()(**part, use_cache=False).last_hidden_state[:, :-1][counted])
            labels.append(wanted[counted])
        logits, label = model.get_output_embeddings()(torch.cat(hidden)), torch.cat(labels)
        right = (logits.argmax(-1) == label).float().mean()
        self._metrics["train" if model.training else "eval"]["mean_token_accuracy"].append(right.item())
        total = len(label) if num_items_in_batch is None else num_items_in_batch
        return functional.cross_entropy(logits, label, reduction="sum") / total
