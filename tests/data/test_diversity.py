"""The diversity gain against its formula, and with a sentence encoder made on the spot."""

import numpy as np
import pytest

from rstar.data.diversity import gain
from tests.cli.calling import rstar
from tests.pipeline import tiny


def test_the_gain_is_the_mean_of_least_squared_distances():
    rng = np.random.default_rng(0)
    new, base = rng.normal(size=(700, 5)).astype(np.float32), rng.normal(size=(30, 5)).astype(np.float32)
    plain = np.mean([min(((x - y) ** 2).sum() for y in base) for x in new])
    assert gain(new, base) == pytest.approx(plain, rel=1e-4)
    assert gain(base, base) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="nothing to compare"):
        gain(new[:0], base)


def test_other_questions_gain_more_than_the_same_ones_with_any_encoder(tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch

    words = sorted(
        {
            word
            for row in tiny.KNOWN + tiny.NEW
            for word in row["problem"].lower().replace(",", " ,").replace(".", " .").split()
        }
    )
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    torch.manual_seed(0)
    shape = transformers.BertConfig(
        vocab_size=len(words) + 5, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(shape).save_pretrained(tmp_path / "model")
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "model")
    tiny.write(tmp_path / "base.jsonl", tiny.KNOWN)
    tiny.write(tmp_path / "same.jsonl", tiny.KNOWN[:4])
    tiny.write(tmp_path / "new.jsonl", tiny.NEW)
    gains = []
    for name in ("same", "new"):
        done = rstar(
            "data", "diversity", f"{name}.jsonl", "base.jsonl", "--model", "model", "--device", "cpu", folder=tmp_path
        )
        assert done.returncode == 0, done.stderr
        gains.append(float(done.stdout.split()[2]))
    assert gains[0] == pytest.approx(0, abs=1e-4)
    assert gains[1] > 1e-4
    done = rstar("data", "diversity", "new.jsonl", "base.jsonl", "--model", tmp_path / "vocab.txt", folder=tmp_path)
    assert (done.returncode, "--model: cannot load" in done.stderr) == (2, True)
