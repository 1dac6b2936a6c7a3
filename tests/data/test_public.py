"""The files of the released data: what they can hold comes back as it was, in both directions."""

import io
import json
from typing import Any

import pytest

from rstar.core.problem import Problem
from rstar.data import public
from rstar.data.jsonl import read_problems
from rstar.errors import InputError
from rstar.text.grammar import PROMPT_TAIL, Grammar

STEPS = "<code>\n# Step 1: add\nx = 1 + 2\n<end_of_step>\n\n# Step 2: {}\n<end_of_step>"
SFT = [
    {"query": "What is $1+2$?\nSay it.", "response": "<code>\nprint(3)\n<end_of_code>\n<output>3<end_of_output>"},
    {"query": "Zwei plus zwei – wie viel?", "response": "<code>\nprint(4)\n<end_of_code>"},
]
PROMPT = "<|user|>:\nWhat is it?"
PPM = [
    {"prompt": PROMPT, "pos": f"{PROMPT_TAIL}good", "neg": f"{PROMPT_TAIL}bad", "pos_count": 2, "neg_count": 2},
    {"prompt": f"{PROMPT} Let's write a program.", "pos": "good", "neg": "bad", "pos_count": 1, "neg_count": 3},
    {
        "prompt": f"{PROMPT}{PROMPT_TAIL}<code>\nx = 1\n<end_of_step>",
        "pos": "\n\n# Step 2: right\n<end_of_step>",
        "neg": "\n\n# Step 2: wrong\n<end_of_step>",
        "pos_count": 1,
        "neg_count": 4,
    },
]


def written(write: Any, rows: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    count = write(file, rows)
    found = json.loads(file.getvalue())
    assert count == len(found)
    return found


@pytest.mark.parametrize("lines", [False, True])
def test_a_public_sft_file_comes_back_as_it_was(tmp_path, lines):
    text = "".join(json.dumps(row) + "\n" for row in SFT) if lines else json.dumps(SFT, indent=4)
    (tmp_path / "sft.json").write_text(text)
    assert public.kind_of(tmp_path / "sft.json") == "sft"
    rows = list(public.read_sft(tmp_path / "sft.json"))
    assert [row["prompt"] for row in rows] == [Grammar().prompt(row["query"]) for row in SFT]
    assert written(public.write_sft, rows) == SFT


def test_a_public_ppm_file_comes_back_as_it_was(tmp_path):
    (tmp_path / "ppm.json").write_text(json.dumps(PPM))
    assert public.to_parquet(tmp_path / "ppm.json", tmp_path / "rows.parquet") == "ppm"
    rows = list(public.parquet_rows(tmp_path / "rows.parquet"))
    assert [row["kind"] for row in rows] == ["answer", "answer", "step"]
    assert [row["weight"] for row in rows] == [1 / 4, 1 / 3, 1 / 4]
    assert (rows[0]["prompt"], rows[0]["chosen"]) == (PROMPT + PROMPT_TAIL, "good")
    assert rows[2]["chosen"] == "<code>\nx = 1\n<end_of_step>\n\n# Step 2: right\n<end_of_step>"
    assert written(public.write_ppm, rows) == PPM


def test_our_pairs_come_back_with_texts_kinds_and_weights(tmp_path):
    prompt = Grammar().prompt("What is it?")
    ours = [
        {
            "group": "p/0/1",
            "kind": "step",
            "prompt": prompt,
            "chosen": STEPS.format(a),
            "rejected": STEPS.format(b),
            "weight": w,
        }
        for a, b, w in (("ab", "ax", 1 / 2), ("ab", "ay", 1 / 2))
    ] + [
        {
            "group": "p/0/0",
            "kind": "step",
            "prompt": prompt,
            "chosen": "<code>\na",
            "rejected": "<code>\nb",
            "weight": 1.0,
        },
        {
            "group": "p/answers",
            "kind": "answer",
            "prompt": prompt,
            "chosen": "right",
            "rejected": "wrong",
            "weight": 1 / 4,
        },
    ]
    (tmp_path / "ppm.json").write_text(json.dumps(written(public.write_ppm, ours)))
    there = json.loads((tmp_path / "ppm.json").read_text())
    assert there[0]["prompt"] == prompt + "<code>\n# Step 1: add\nx = 1 + 2\n<end_of_step>"
    assert [row["prompt"] for row in there[2:]] == [prompt, "<|user|>:\nWhat is it?"]
    names = ("kind", "prompt", "chosen", "rejected", "weight")
    again = [tuple(row[name] for name in names) for row in public.read_ppm(tmp_path / "ppm.json")]
    assert again == [tuple(row[name] for name in names) for row in ours]


def test_problems_to_evaluate_on_are_read_back_as_problems(tmp_path):
    problems = [Problem("7", "What is it?", "1"), Problem("8", "And this?", r"\frac{1}{2}")]
    with (tmp_path / "eval.json").open("wb") as file:
        assert public.write_eval(file, problems) == 2
    assert set(json.loads((tmp_path / "eval.json").read_text())[0]) == {"index", "question", "answer"}
    assert read_problems(tmp_path / "eval.json") == problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no row"),
        ('[{"a": 1}]', "line 1: neither `query` and `response` nor"),
        ('[{"query": "Q", "response": 3}]', "line 1, field 'response': Input should be a valid string"),
        ('[{"query": "Q", "response": "R"}, {"query": "Q"', "the JSON list is cut short behind its element 1"),
        ('{"prompt": "P", "pos": "a", "neg": "b", "pos_count": 0}', "field 'pos_count': Input should be greater than"),
        (
            json.dumps({"prompt": "P", "pos": PROMPT_TAIL, "neg": "b"}),
            "field 'neg': `pos` and `neg` do not begin alike",
        ),
    ],
)
def test_what_is_wrong_is_named_and_no_file_is_left(tmp_path, text, message):
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(InputError, match=message):
        public.to_parquet(tmp_path / "rows.json", tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]
