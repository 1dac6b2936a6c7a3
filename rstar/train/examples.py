"""From rows of text to token ids: tokenised, masked, varied, put in the order in which training sees them.

Nothing is appended to a text. A solution ends in `<end_of_code>` or `<end_of_answer>`, at which generation stops, so no
end-of-sequence token is needed; and a prefix must be scored at the token with which it ends.
"""

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from accelerate import PartialState  # type: ignore[import-untyped]
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from rstar.config.train import RenameAugmentConfig, TrainConfig
from rstar.data.augment import draw, lexicon
from rstar.errors import InputError
from rstar.text.grammar import segments
from rstar.train.losses import IGNORED
from rstar.train.tokenizer import vocabulary

Texts = tuple[str, ...]
Row = dict[str, Any]

_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Form:
    """What the examples of one kind of training are made of."""

    texts: Texts
    """Columns that are encoded together, the prompt among them."""
    numbers: Texts
    """Columns of numbers that come along."""
    ids: Texts
    """Columns of token ids that `encode` makes; the longest counts for the length."""
    labels: Texts
    """Columns of labels that it makes."""
    encode: Callable[[PreTrainedTokenizerBase, list[Texts]], list[Row | None]]
    """From the texts of some rows to their columns, None where there is nothing to learn."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Training examples in the order of training."""

    data: Dataset
    rows: int
    """Rows that are trained on."""
    left_out: int
    """Rows that are longer than the limit or hold nothing to learn."""
    tokens: int
    """Tokens of all examples, padding aside."""


def stream(
    form: Form, path: Path, tokenizer: PreTrainedTokenizerBase, cfg: TrainConfig, limit: int, seed: int, work: Path
) -> Stream:
    """The examples of one training run from the Parquet file `path`; none is longer than `limit` tokens.

    Every epoch is another permutation of the rows; with `cfg.augment` each single example is varied anew. The same
    `seed` gives the same stream. It is kept in the folder `work` and read by memory mapping, whatever its size.
    """
    file, facts = work / "examples.arrow", work / "examples.json"
    with PartialState().main_process_first():
        if not facts.exists():
            facts.write_text(json.dumps(_prepare(form, path, tokenizer, cfg, limit, seed, file)))
    found = json.loads(facts.read_text())
    data = Dataset.from_file(str(file))
    if cfg.augment is None:
        data = data.select(_order(found["rows"], cfg, seed))
    return Stream(data, **found)


def encode_solutions(tokenizer: PreTrainedTokenizerBase, rows: list[Texts]) -> list[Row | None]:
    """(prompt, solution) -> `input_ids` and `labels`: the loss is on what the policy wrote, not on prompt and outputs.

    The whole text is tokenised at once, as it is in search. Prompt, steps and output blocks meet at special tokens, so
    no token spans two of them.
    """
    encoded = tokenizer([prompt + solution for prompt, solution in rows], **_PLAIN, return_offsets_mapping=True)
    made: list[Row | None] = []
    for (prompt, solution), ids, spans in zip(rows, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        written = bytearray(len(prompt) + len(solution))
        at = len(prompt)
        for piece, own in segments(solution):
            written[at : at + len(piece)] = bytes([own]) * len(piece)
            at += len(piece)
        labels = [
            token if first < last and written[first] else IGNORED
            for token, (first, last) in zip(ids, spans, strict=True)
        ]
        made.append({"input_ids": ids, "labels": labels} if any(written) else None)
    return made


def encode_transcripts(tokenizer: PreTrainedTokenizerBase, rows: list[Texts]) -> list[Row | None]:
    """(prompt, solution) -> `input_ids` and `labels`: the loss is on all that stands behind the prompt."""
    encoded = tokenizer([prompt + solution for prompt, solution in rows], **_PLAIN, return_offsets_mapping=True)
    return [
        {
            "input_ids": ids,
            "labels": [token if last > len(prompt) else IGNORED for token, (_, last) in zip(ids, spans, strict=True)],
        }
        if solution
        else None
        for (prompt, solution), ids, spans in zip(rows, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]


def encode_pairs(tokenizer: PreTrainedTokenizerBase, rows: list[Texts]) -> list[Row | None]:
    """(prompt, chosen, rejected) -> `chosen_ids` and `rejected_ids`, each behind the prompt; None if both are equal."""
    chosen = tokenizer([prompt + good for prompt, good, _ in rows], **_PLAIN)["input_ids"]
    rejected = tokenizer([prompt + bad for prompt, _, bad in rows], **_PLAIN)["input_ids"]
    return [
        {"chosen_ids": good, "rejected_ids": bad} if good != bad else None
        for good, bad in zip(chosen, rejected, strict=True)
    ]


def encode_prefixes(tokenizer: PreTrainedTokenizerBase, rows: list[Texts]) -> list[Row | None]:
    """(prompt, prefix) -> `input_ids`."""
    encoded = tokenizer([prompt + prefix for prompt, prefix in rows], **_PLAIN)["input_ids"]
    return [{"input_ids": ids} for ids in encoded]


SOLUTIONS = Form(("prompt", "solution"), (), ("input_ids",), ("labels",), encode_solutions)
TRANSCRIPTS = Form(("prompt", "solution"), (), ("input_ids",), ("labels",), encode_transcripts)
PAIRS = Form(("prompt", "chosen", "rejected"), ("weight",), ("chosen_ids", "rejected_ids"), (), encode_pairs)
PREFIXES = Form(("prompt", "prefix"), ("label", "weight"), ("input_ids",), (), encode_prefixes)

_PLAIN = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False, "verbose": False}


def steps(cfg: TrainConfig, rows: int) -> int:
    """Optimizer steps of a run over `rows` rows."""
    return cfg.steps or math.ceil(_draws(cfg, rows) / cfg.batch)


def _draws(cfg: TrainConfig, rows: int) -> int:
    """Examples of a run over `rows` rows."""
    return cfg.steps * cfg.batch if cfg.steps else max(1, round(cfg.epochs * rows))


def _order(rows: int, cfg: TrainConfig, seed: int) -> list[int]:
    """The rows in the order of training: one permutation after the other."""
    rng = random.Random(f"{seed}:order")
    order: list[int] = []
    while len(order) < _draws(cfg, rows):
        order += rng.sample(range(rows), rows)
    return order[: _draws(cfg, rows)]


def _prepare(
    form: Form, path: Path, tokenizer: PreTrainedTokenizerBase, cfg: TrainConfig, limit: int, seed: int, out: Path
) -> dict[str, int]:
    """Write the examples to `out`: each row once, or in training order if they are varied. Returns Stream's counts."""
    texts, numbers = _read(form, path)
    words = None
    if isinstance(cfg.augment, RenameAugmentConfig):
        words = lexicon(texts, vocabulary(tokenizer), cfg.augment.rare)

    def encode(indices: Sequence[int], start: int | None = None) -> list[Row | None]:
        """The rows at `indices`; varied as examples `start`, `start + 1` ... of the training order if it is given."""
        chosen = [texts[i] for i in indices]
        if start is not None:
            rngs = [random.Random(f"{seed}:{k}") for k in range(start, start + len(chosen))]
            chosen = [
                tuple(map(draw(cfg.augment, row, rng, words), row)) for row, rng in zip(chosen, rngs, strict=True)
            ]
        rows = form.encode(tokenizer, chosen)
        return [
            row | {name: numbers[name][i] for name in form.numbers}
            if row and max(len(row[name]) for name in form.ids) <= limit
            else None
            for i, row in zip(indices, rows, strict=True)
        ]

    fits: list[int] = []
    sizes: list[int] = []
    with _writer(form, out) as write:
        for start in range(0, len(texts), _AT_ONCE):
            part = range(start, min(start + _AT_ONCE, len(texts)))
            rows = encode(part)
            fits += [i for i, row in zip(part, rows, strict=True) if row]
            if cfg.augment is None:
                sizes += write([row for row in rows if row])
        if not fits:
            raise InputError(f"{path}: none of its {len(texts)} rows can be trained on with max_length = {limit}")
        order = _order(len(fits), cfg, seed)
        for start in range(0, len(order) if cfg.augment else 0, _AT_ONCE):
            picked = [fits[k] for k in order[start : start + _AT_ONCE]]
            # Other words may be longer in tokens: an example that grew beyond the limit is seen as it was written.
            made = [row or encode([i])[0] for i, row in zip(picked, encode(picked, start), strict=True)]
            sizes += write([row for row in made if row])
    tokens = sum(sizes) if cfg.augment else sum(sizes[k] for k in order)
    return {"rows": len(fits), "left_out": len(texts) - len(fits), "tokens": tokens}


def _read(form: Form, path: Path) -> tuple[list[Texts], dict[str, list[float]]]:
    """The texts of each row, and the number columns."""
    names = [*form.texts, *form.numbers]
    try:
        table = pq.read_table(path, columns=names)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read the training data {path}: {error}") from error
    if missing := [name for name in names if name not in table.column_names]:
        raise InputError(f"{path}: no column {', '.join(missing)}")
    texts = list(zip(*(table[name].to_pylist() for name in form.texts), strict=True))
    return texts, {name: table[name].to_pylist() for name in form.numbers}


@contextmanager
def _writer(form: Form, path: Path) -> Iterator[Callable[[list[Row]], list[int]]]:
    """A function that appends rows to the Arrow file `path` and returns how many tokens each has."""
    ids = pa.list_(pa.int32())
    schema = pa.schema([*((n, ids) for n in form.ids + form.labels), *((n, pa.float64()) for n in form.numbers)])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as file:

        def write(rows: list[Row]) -> list[int]:
            file.write_table(pa.Table.from_pylist(rows, schema))
            return [sum(len(row[name]) for name in form.ids) for row in rows]

        yield write
