"""The model card of a checkpoint: what it is, what it was trained on, how, and how that went."""

import json
from typing import Any

from rstar.train.job import SftJob, ValueJob

_SCORED = "It scores the prefix of a solution, read at the last token, with no end-of-sequence token appended. "
_TANH = "The score is `tanh(logit)` of the only label."
_WHAT = {
    "sft": "A policy: it writes code-augmented reasoning steps in the format of rStar-Math.",
    "ppm": "A process preference model, learned from pairs of steps. " + _SCORED + _TANH,
    "orm": "An outcome reward model, learned from pairs of whole solutions. " + _SCORED + _TANH,
    "pqm": "A process Q-value model, learned from the Q-values of a tree search. " + _SCORED + _TANH,
    "hard": "A process reward model, learned from hard Monte Carlo estimates. " + _SCORED + _TANH,
    "soft": "A process reward model, learned from soft Monte Carlo estimates. " + _SCORED + _TANH,
    "rest_mcts": "A value model of ReST-MCTS*. " + _SCORED + _TANH,
    "qvm": "A Q-value model of Q*, Q = (1 + score) / 2. " + _SCORED + _TANH,
    "prm": "A process reward model of three classes: bad, neutral, good. " + _SCORED + "The score is `2 P(good) - 1`, "
    "with the probability of neutral counted in if `neutral` in config.json is `good`.",
}
_SHOWN = (
    "steps",
    "rows",
    "rows_left_out",
    "tokens",
    "final_loss",
    "mean_token_accuracy",
    "accuracy",
    "margin",
    "error",
    "parameters",
)


def card(job: SftJob | ValueJob, metrics: dict[str, Any]) -> str:
    """Markdown with the front matter that the hub reads."""
    auto = "AutoModelForCausalLM" if isinstance(job, SftJob) else "AutoModelForSequenceClassification"
    recipe = {name: value for name, value in job.config.model_dump(mode="json").items() if value is not None}
    lines = [
        "---",
        "library_name: transformers",
        "tags: [rstar]",
        "---",
        f"# {job.tracking.run or job.out.name}",
        "",
        _WHAT[job.makes],
        "",
        "```python",
        f"from transformers import {auto}, AutoTokenizer",
        f"model = {auto}.from_pretrained(FOLDER)",
        "tokenizer = AutoTokenizer.from_pretrained(FOLDER)",
        "```",
        "",
        "## Data",
        "",
        *table({"rows": str(job.rows), "started from": str(job.start), "seed": job.seed, **job.lineage}),
        "",
        "## Training",
        "",
        *table({name: metrics[name] for name in _SHOWN if name in metrics}),
        "",
        "## Recipe",
        "",
        *table(recipe),
    ]
    return "\n".join(lines) + "\n"


def table(facts: dict[str, Any]) -> list[str]:
    """Facts as a Markdown table, for cards."""
    rows = [f"| {name.replace('_', ' ')} | {_cell(value)} |" for name, value in facts.items()]
    return ["| what | value |", "|---|---|", *rows]


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("|", "\\|").replace("\n", " ")
