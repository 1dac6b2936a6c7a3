"""The files that rStar-Math released: training data of its policy and PPM, and problems to evaluate on.

SFT: `query` (the problem) and `response` (the solution). PPM: `prompt`, `pos` and `neg` (how both go on), `pos_count`
and `neg_count` (how many of each the group has). Problems: `index`, `question`, `answer`. All are JSON lists or lines.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from rstar.core.problem import Problem
from rstar.data.jsonl import objects, validated
from rstar.errors import InputError
from rstar.store.table import Writer
from rstar.text.grammar import END_OUTPUT, END_STEP, PROMPT_HEAD, PROMPT_TAIL

SFT_FILE, PPM_FILE, PROBLEMS_FILE = "sft.json", "ppm.json", "problems.json"
SFT_SCHEMA = pa.schema([("problem_id", pa.string()), ("prompt", pa.string()), ("solution", pa.string())])
PPM_SCHEMA = pa.schema(
    [
        ("problem_id", pa.string()),
        ("group", pa.string()),
        ("kind", pa.string()),
        ("prompt", pa.string()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("weight", pa.float64()),
        ("shared", pa.int32()),
        ("pos_count", pa.int32()),
        ("neg_count", pa.int32()),
    ]
)
"""What pairs.parquet has, and besides what the public form says more: after how many characters of prompt + text its
`prompt` ends, and its counts."""
_STEP_END = re.compile(f"{END_STEP}|{END_OUTPUT}")


class SftRow(BaseModel):
    model_config = ConfigDict(extra="ignore")

    query: str = Field(min_length=1)
    response: str = Field(min_length=1)


class PpmRow(BaseModel):
    model_config = ConfigDict(extra="ignore")

    prompt: str = Field(min_length=1)
    pos: str
    neg: str
    pos_count: int = Field(1, ge=1, lt=1 << 31)
    neg_count: int = Field(1, ge=1, lt=1 << 31)


def kind_of(path: Path) -> Literal["sft", "ppm"]:
    """What a public file is for, by its first row. Raises InputError where it is neither."""
    _, row = next(objects(path), (0, None))
    if row is None:
        raise InputError(f"{path}: holds no row")
    if {"query", "response"} <= row.keys():
        return "sft"
    if {"prompt", "pos", "neg"} <= row.keys():
        return "ppm"
    raise InputError(f"{path}, line 1: neither `query` and `response` nor `prompt`, `pos` and `neg` stand in it")


def read_sft(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of SFT_SCHEMA. A problem without a name is named by what it says."""
    for number, value in objects(path):
        row = validated(path, number, value, SftRow)
        yield {
            "problem_id": named(row.query),
            "prompt": f"{PROMPT_HEAD}{row.query}{PROMPT_TAIL}",
            "solution": row.response,
        }


def write_sft(file: IO[bytes], rows: Iterable[dict[str, Any]]) -> int:
    """A JSON list; returns how many. Raises InputError on a prompt that is not of the fine-tuned format."""
    return _write(file, ({"query": _query(row["prompt"]), "response": row["solution"]} for row in rows))


def read_ppm(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of PPM_SCHEMA. Whole solutions are `answer` pairs, whose prompt ends before the solution's opening; what is
    behind the opening is a step."""
    for number, value in objects(path):
        row = validated(path, number, value, PpmRow)
        chosen, rejected = row.prompt + row.pos, row.prompt + row.neg
        opened, tail, _ = row.prompt.partition(PROMPT_TAIL)
        kind = "step" if tail else "answer"
        end = len(opened) + len(PROMPT_TAIL) if tail else _opening(path, number, row)
        problem = chosen[:end].removeprefix(PROMPT_HEAD).removesuffix(PROMPT_TAIL)
        yield {
            "problem_id": named(problem),
            "group": named(row.prompt),
            "kind": kind,
            "prompt": chosen[:end],
            "chosen": chosen[end:],
            "rejected": rejected[end:],
            "weight": 1 / (row.pos_count * row.neg_count),
            "shared": len(row.prompt),
            "pos_count": row.pos_count,
            "neg_count": row.neg_count,
        }


def write_ppm(file: IO[bytes], rows: Iterable[dict[str, Any]]) -> int:
    """A JSON list; returns how many. Rows of a group stand together."""
    return _write(file, _ppm_rows(rows))


def _ppm_rows(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for _, group in groupby(rows, key=lambda row: row["group"]):
        members = list(group)
        right = len({row["chosen"] for row in members})
        for row in members:
            chosen, rejected = row["prompt"] + row["chosen"], row["prompt"] + row["rejected"]
            split = row.get("shared")
            split = _split(row) if split is None else split
            pos_count, neg_count = row.get("pos_count"), row.get("neg_count")
            if pos_count is None or neg_count is None:
                pairs = round(1 / row["weight"])
                pos_count, neg_count = (right, pairs // right) if pairs % right == 0 else (1, pairs)
            yield {
                "prompt": chosen[:split],
                "pos": chosen[split:],
                "neg": rejected[split:],
                "pos_count": pos_count,
                "neg_count": neg_count,
            }


def _split(row: dict[str, Any]) -> int:
    """Where the public `prompt` ends: before a whole solution's opening, or behind the last step that both share."""
    prompt = str(row["prompt"])
    if row["kind"] == "answer":
        return len(prompt.removesuffix(PROMPT_TAIL))
    chosen, rejected = row["chosen"], row["rejected"]
    ends = (found.end() for found in _STEP_END.finditer(chosen))
    return len(prompt) + max((end for end in ends if chosen[:end] == rejected[:end]), default=0)


def _opening(path: Path, number: int, row: PpmRow) -> int:
    """Where a prompt that stops before the solution's opening really ends: behind that opening, if both have it."""
    if row.pos.startswith(PROMPT_TAIL) and row.neg.startswith(PROMPT_TAIL):
        return len(row.prompt) + len(PROMPT_TAIL)
    if row.pos.startswith(PROMPT_TAIL) or row.neg.startswith(PROMPT_TAIL):
        raise InputError(f"{path}, line {number}, field 'neg': `pos` and `neg` do not begin alike behind the problem")
    return len(row.prompt)


def write_eval(file: IO[bytes], problems: Iterable[Problem]) -> int:
    """A JSON list of problems; `rstar` reads it back wherever it reads problems."""
    return _write(file, ({"index": p.id, "question": p.text, "answer": p.answer} for p in problems))


def to_parquet(path: Path, out: Path) -> Literal["sft", "ppm"]:
    """A public file as the Parquet file that a training job reads; returns what it is for. Streams."""
    kind = kind_of(path)
    schema, rows = (SFT_SCHEMA, read_sft(path)) if kind == "sft" else (PPM_SCHEMA, read_ppm(path))
    with Writer(out, schema) as file:
        for row in rows:
            file.add(row)
    return kind


def checked(path: Path) -> None:
    """Read a public file to its end. Raises InputError on the first row that is wrong, and where no pair has sides that
    differ."""
    if kind_of(path) == "sft":
        for _ in read_sft(path):
            pass
    elif not sum(row["chosen"] != row["rejected"] for row in read_ppm(path)):
        raise InputError(f"{path}: there is no row whose `pos` and `neg` differ, so nothing to learn from")


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a selection's Parquet file, a batch in memory at a time."""
    for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def named(text: str) -> str:
    """A name made of what a text says."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _query(prompt: str) -> str:
    if not (prompt.startswith(PROMPT_HEAD) and prompt.endswith(PROMPT_TAIL)):
        raise InputError(f"a prompt is not of the format that the public files have: {prompt[:80]!r}")
    return prompt.removeprefix(PROMPT_HEAD).removesuffix(PROMPT_TAIL)


def _write(file: IO[bytes], rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    for count, row in enumerate(rows, start=1):
        file.write((b"[\n" if count == 1 else b",\n") + orjson.dumps(row))
    file.write(b"\n]\n" if count else b"[]\n")
    return count
