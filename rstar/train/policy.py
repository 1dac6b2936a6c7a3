"""Fine-tuning of the policy: next-token loss on what the policy wrote in verified solutions."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from rstar.train.examples import SOLUTIONS, stream
from rstar.train.job import SftJob
from rstar.train.trainer import Report, arguments, limit, open_work, optimizer, print_progress, run


def train_policy(job: SftJob, report: Report = print_progress) -> dict[str, Any]:
    """Train the policy of `job.start` on `job.rows` and write the checkpoint `job.out`; returns its metrics.

    With `packing` the examples of a micro-batch stand in one row without padding, kept apart by their positions: the
    loss is the same, and a batch stays a number of examples.
    """
    cfg = job.config
    work = open_work(job)
    tokenizer = AutoTokenizer.from_pretrained(job.start)
    model = AutoModelForCausalLM.from_pretrained(job.start, dtype=torch.float32)
    examples = stream(SOLUTIONS, job.rows, tokenizer, cfg, limit(cfg, model), job.seed, work)
    trainer = SFTTrainer(
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
