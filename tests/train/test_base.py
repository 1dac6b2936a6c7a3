from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from rstar.config.models import HubModelConfig
from rstar.errors import InputError
from rstar.text.grammar import MARKERS
from rstar.train.base import make_base, prepare
from tests.train.conftest import ROWS, TINY

TEXTS = [row["prompt"] + row["solution"] for row in ROWS]


def test_the_same_seed_makes_the_same_base(base: Path, tmp_path: Path) -> None:
    make_base(TINY, TEXTS, 1, tmp_path / "twin")
    make_base(TINY, TEXTS, 2, tmp_path / "other")
    weights = (base / "model.safetensors").read_bytes()
    assert (tmp_path / "twin" / "model.safetensors").read_bytes() == weights
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != weights


def test_a_base_does_not_touch_the_random_state(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    make_base(TINY, TEXTS, 1, tmp_path / "base")
    assert torch.equal(torch.rand(1), expected)


def test_a_base_has_tied_embeddings_and_the_asked_shape(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert model.get_input_embeddings().weight.shape == (len(AutoTokenizer.from_pretrained(base)), TINY.hidden)
    assert model.config.max_position_embeddings == TINY.context
    assert model.config.pad_token_id is not None
    rows = model.get_input_embeddings().weight.norm(dim=1)
    assert rows.mean().item() == pytest.approx(1, abs=0.1)


def test_heads_must_divide_the_width(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="heads = 3"):
        make_base(TINY.model_copy(update={"heads": 3}), TEXTS, 1, tmp_path / "base")


@pytest.mark.parametrize(("tied", "padded"), [(True, 0), (False, 0), (False, 64)])
def test_a_hub_model_gets_the_markers(tmp_path: Path, tied: bool, padded: int) -> None:
    hub, out = tmp_path / "hub", tmp_path / "base"
    old = hub_model(hub, tied, padded)
    prepare(HubModelConfig(path=str(hub), dtype="float32"), [], 0, out)
    tokenizer, model = AutoTokenizer.from_pretrained(out), AutoModelForCausalLM.from_pretrained(out)
    new = [tokenizer.convert_tokens_to_ids(marker) for marker in MARKERS]
    assert sorted(new) == list(range(old, old + len(MARKERS)))
    for marker, token in zip(MARKERS, new, strict=True):
        assert tokenizer("7 + 8" + marker, add_special_tokens=False)["input_ids"][-1] == token
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert layer.weight.shape[0] == max(old + len(MARKERS), old + padded)
        for token in new:
            assert torch.allclose(layer.weight[token], layer.weight[:old].mean(0), atol=1e-6)
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == tied
    AutoModelForSequenceClassification.from_pretrained(out, num_labels=1)


def test_a_missing_hub_model_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.path"):
        prepare(HubModelConfig(path=str(tmp_path / "nothing")), [], 0, tmp_path / "base")


def hub_model(folder: Path, tied: bool, padded: int) -> int:
    """A small model such as the hub has, without our markers; returns the size of its vocabulary."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(["one two three four"], trainers.BpeTrainer(vocab_size=270, initial_alphabet=ALPHABET))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")
    config = Qwen2Config(
        vocab_size=len(tokenizer) + padded,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return len(AutoTokenizer.from_pretrained(folder))


ALPHABET = pre_tokenizers.ByteLevel.alphabet()
