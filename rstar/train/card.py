"""The model card of a checkpoint: what it is, what it was trained on, how, and how that went."""

import json
from typing import Any

from rstar.train.job import PpmJob, SftJob

_WHAT = {
    "sft": "A policy: it writes code-augmented reasoning steps in the format of rStar-Math.",
    "ppm": "A process preference model: it scores the prefix of a solution. The score is `tanh(logit)` of the only "
    "label, read at the last token, with no end-of-sequence token appended.",
}
_CLASS = {"sft": "AutoModelForCausalLM", "ppm": "AutoModelForSequenceClassification"}
_SHOWN = (
    "steps",
    "rows",
    "rows_left_out",
    "tokens",
    "final_loss",
    "mean_token_accuracy",
    "accuracy",
    "margin",
    "parameters",
)


def card(job: SftJob | PpmJob, metrics: dict[str, Any]) -> str:
    """Markdown with the front matter that the hub reads."""
    recipe = {name: value for name, value in job.config.model_dump(mode="json").items() if value is not None}
    lines = [
        "---",
        "library_name: transformers",
        "tags: [rstar]",
        "---",
        f"# {job.tracking.run or job.out.name}",
        "",
        _WHAT[job.kind],
        "",
        "```python",
        f"from transformers import {_CLASS[job.kind]}, AutoTokenizer",
        f"model = {_CLASS[job.kind]}.from_pretrained(FOLDER)",
        "tokenizer = AutoTokenizer.from_pretrained(FOLDER)",
        "```",
        "",
        "## Data",
        "",
        *_table({"rows": str(job.rows), "started from": str(job.start), "seed": job.seed, **job.lineage}),
        "",
        "## Training",
        "",
        *_table({name: metrics[name] for name in _SHOWN if name in metrics}),
        "",
        "## Recipe",
        "",
        *_table(recipe),
    ]
    return "\n".join(lines) + "\n"


def _table(facts: dict[str, Any]) -> list[str]:
    rows = [f"| {name.replace('_', ' ')} | {_cell(value)} |" for name, value in facts.items()]
    return ["| what | value |", "|---|---|", *rows]


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("|", "\\|").replace("\n", " ")
