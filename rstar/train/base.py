"""The base model of an evolution: a small one from random weights, or one from the hub with the markers added."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from rstar.config.models import HubModelConfig, ModelConfig, TinyModelConfig
from rstar.errors import InputError
from rstar.train.tokenizer import add_markers, build


def prepare(cfg: ModelConfig, texts: Iterable[str], seed: int, out: Path) -> None:
    """Write the base model into the folder `out`; `texts` and `seed` shape tiny models only."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if isinstance(cfg, TinyModelConfig):
        make_base(cfg, texts, seed, out)
    else:
        adopt(cfg, out)


def make_base(cfg: TinyModelConfig, texts: Iterable[str], seed: int, out: Path) -> None:
    """A model from random weights with a tokenizer made from `texts` (prompts and solutions), in float32.

    A Llama-style network (RoPE, RMS norm, SwiGLU) with tied embeddings. The model type matters to the tokenizer: for
    `qwen2`, AutoTokenizer puts its own splitting rule and Unicode normalisation in place of those in tokenizer.json.
    """
    if cfg.hidden % (2 * cfg.heads):
        raise InputError(f"model: hidden = {cfg.hidden} must be an even multiple of heads = {cfg.heads}")
    tokenizer = build(cfg.tokenizer, texts)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=cfg.hidden,
        intermediate_size=cfg.ffn,
        num_hidden_layers=cfg.layers,
        num_attention_heads=cfg.heads,
        num_key_value_heads=cfg.heads,
        max_position_embeddings=cfg.context,
        rope_parameters={"rope_type": "default", "rope_theta": cfg.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(shape)
        # Adam's first steps move every row of the table alike. Rows of the usual 0.02 are soon all but equal, and the
        # model can no longer tell one number from another, let alone copy it; rows of length 1 stay apart.
        torch.nn.init.normal_(model.model.embed_tokens.weight, std=cfg.hidden**-0.5)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def adopt(cfg: HubModelConfig, out: Path) -> None:
    """A copy of a hub model whose vocabulary has the markers; each new embedding is the mean of the old ones."""
    revision = cfg.revision or "main"
    try:
        tokenizer = AutoTokenizer.from_pretrained(cfg.path, revision=revision)
        model: Any = AutoModelForCausalLM.from_pretrained(cfg.path, revision=revision, dtype=getattr(torch, cfg.dtype))
    except (OSError, ValueError) as error:
        raise InputError(f"model.path: cannot load {cfg.path!r}: {error}") from error
    old = len(tokenizer)
    add_markers(tokenizer)
    new = len(tokenizer)
    # Embeddings are often padded beyond the vocabulary: then the markers take rows that exist already.
    if new > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(new, mean_resizing=False)
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        with torch.no_grad():
            layer.weight[old:new] = layer.weight[:old].float().mean(0).to(layer.weight.dtype)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
