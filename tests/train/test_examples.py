import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from rstar.config.train import RenameAugmentConfig, RenumberAugmentConfig, SftConfig
from rstar.errors import InputError
from rstar.text.grammar import ANSWER, END_ANSWER, END_CODE, END_OUTPUT, END_STEP, OUTPUT
from rstar.train.examples import PAIRS, SOLUTIONS, Stream, encode_pairs, encode_solutions, encode_transcripts, stream
from rstar.train.losses import IGNORED
from tests.train.conftest import ROWS, pair, row

ONE = [(ROWS[0]["prompt"], ROWS[0]["solution"])]


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(base)


def streamed(tokenizer: Any, folder: Path, rows: Sequence[dict[str, Any]], limit: int = 96, **config: Any) -> Stream:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "rows.parquet")
    return stream(SOLUTIONS, folder / "rows.parquet", tokenizer, SftConfig(**config), limit, 3, folder)


def test_the_loss_is_on_what_the_policy_wrote(tokenizer: PreTrainedTokenizerBase) -> None:
    (example,) = encode_solutions(tokenizer, ONE)
    assert example is not None
    assert tokenizer.decode(example["input_ids"]) == ROWS[0]["prompt"] + ROWS[0]["solution"]
    assert all(label in (IGNORED, token) for token, label in zip(example["input_ids"], example["labels"], strict=True))
    assert tokenizer.decode([label for label in example["labels"] if label != IGNORED]) == (
        f"<code>\n# Ann has 10\nx = 10\nprint(x)\n{END_STEP}"
        f"\n\n# then 4\nprint(x + 4)\n{END_CODE}"
        f"\n{ANSWER}\\boxed{{14}}\n{END_ANSWER}"
    )
    hidden = [t for t, label in zip(example["input_ids"], example["labels"], strict=True) if label == IGNORED]
    said = f"\n{OUTPUT}10{END_OUTPUT}\n{OUTPUT}14{END_OUTPUT}"
    assert tokenizer.decode(hidden) == ROWS[0]["prompt"] + said


def test_the_loss_may_be_on_the_outputs_too(tokenizer: PreTrainedTokenizerBase) -> None:
    (example, nothing) = encode_transcripts(tokenizer, [*ONE, ("a prompt", "")])
    assert example is not None
    assert nothing is None
    prompt, learned = (
        [t for t, label in zip(example["input_ids"], example["labels"], strict=True) if (label == IGNORED) is masked]
        for masked in (True, False)
    )
    assert tokenizer.decode(prompt) == ROWS[0]["prompt"]
    assert tokenizer.decode(learned) == ROWS[0]["solution"]


def test_nothing_is_appended(tokenizer: PreTrainedTokenizerBase) -> None:
    (example,) = encode_solutions(tokenizer, ONE)
    assert example is not None
    assert tokenizer.decode(example["input_ids"][-1:]) == END_ANSWER
    good = pair(10, 4, 1.0)
    (pairs,) = encode_pairs(tokenizer, [(good["prompt"], "<code>\nx = 1\n<end_of_step>", good["rejected"])])
    assert pairs is not None
    assert tokenizer.decode(pairs["chosen_ids"]) == good["prompt"] + "<code>\nx = 1\n<end_of_step>"
    assert tokenizer.decode(pairs["rejected_ids"]) == good["prompt"] + good["rejected"]


def test_there_is_nothing_to_learn_from_no_solution_or_two_equal_ones(tokenizer: PreTrainedTokenizerBase) -> None:
    assert encode_solutions(tokenizer, [("a prompt", "")]) == [None]
    assert encode_pairs(tokenizer, [("a prompt", "x", "x")]) == [None]


def test_every_epoch_is_another_permutation(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    found = streamed(tokenizer, tmp_path, ROWS, epochs=2.5)
    assert (found.rows, found.left_out, len(found.data)) == (12, 0, 30)
    seen = [tuple(ids) for ids in found.data["input_ids"]]
    assert len(set(seen[:12])) == len(set(seen[12:24])) == 12
    assert seen[:12] != seen[12:24]
    assert found.tokens == sum(map(len, seen))


def test_steps_say_how_many_examples_are_drawn(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    assert len(streamed(tokenizer, tmp_path, ROWS, epochs=9, steps=5, batch=3).data) == 15


def test_long_rows_are_left_out_and_counted(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    long = ROWS[0] | {"solution": ROWS[0]["solution"] + " Ann" * 60}
    found = streamed(tokenizer, tmp_path, [*ROWS, long], epochs=1)
    assert (found.rows, found.left_out) == (12, 1)
    assert max(map(len, found.data["input_ids"])) <= 96
    with pytest.raises(InputError, match="none of its 1 rows"):
        streamed(tokenizer, tmp_path / "none", [long])


def test_examples_are_varied_anew_each_time_they_are_seen(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    augment = RenumberAugmentConfig(p=1.0)
    found = streamed(tokenizer, tmp_path, [row(37, 25)], epochs=8, augment=augment)
    texts = [tokenizer.decode(ids) for ids in found.data["input_ids"]]
    assert len(set(texts)) == 8
    assert all(
        len(ids) == len(labels) for ids, labels in zip(found.data["input_ids"], found.data["labels"], strict=True)
    )
    again = streamed(tokenizer, tmp_path / "again", [row(37, 25)], epochs=8, augment=augment)
    assert again.data["input_ids"][:] == found.data["input_ids"][:]


def test_words_that_are_rare_in_the_problems_are_exchanged_with_words_the_model_knows(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    config = {"steps": 20, "batch": 2, "augment": RenameAugmentConfig(p=1.0, rare=1.0)}
    rows = [{**ROWS[0], "prompt": ROWS[0]["prompt"].replace("She", name)} for name in ("Zoe", "Kim", "Bob")]
    seen = streamed(tokenizer, tmp_path, rows, **config)
    texts = [tokenizer.decode(example["input_ids"]) for example in seen.data]
    assert {text[text.index("10. ") + 4 :][:3] for text in texts} == {"Zoe", "Kim", "Bob", "She"}
    assert all(text.endswith(ROWS[0]["solution"]) for text in texts)


def test_an_example_that_grows_too_long_is_seen_as_it_was_written(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    # The tokenizer knows the seen digits only; with room for the original alone, nothing longer may come.
    (plain,) = encode_solutions(tokenizer, ONE)
    assert plain is not None
    found = streamed(
        tokenizer, tmp_path, ROWS[:1], limit=len(plain["input_ids"]), epochs=4, augment=RenumberAugmentConfig(p=1.0)
    )
    assert len(found.data) == 4
    assert all(len(ids) <= len(plain["input_ids"]) for ids in found.data["input_ids"])


def test_weights_come_along(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    rows = [pair(10, 4, 0.25), pair(13, 5, 1.0)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    found = stream(PAIRS, tmp_path / "pairs.parquet", tokenizer, SftConfig(epochs=1), 96, 3, tmp_path)
    by_text = {tokenizer.decode(example["chosen_ids"]): example["weight"] for example in found.data}
    assert by_text == {r["prompt"] + r["chosen"]: r["weight"] for r in rows}
    assert json.loads((tmp_path / "examples.json").read_text())["rows"] == 2


def test_wrong_files_are_named(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.parquet"):
        stream(SOLUTIONS, tmp_path / "nothing.parquet", tokenizer, SftConfig(), 96, 3, tmp_path)
    pq.write_table(pa.Table.from_pylist([{"prompt": "a"}]), tmp_path / "short.parquet")
    with pytest.raises(InputError, match=r"short\.parquet.*solution"):
        stream(SOLUTIONS, tmp_path / "short.parquet", tokenizer, SftConfig(), 96, 3, tmp_path)
