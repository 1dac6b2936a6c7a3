"""The tokenizer of from-scratch models: whole words seen in the training texts, single bytes for all others.

It is lossless: `decode(encode(text)) == text` for every text. The markers of the solution grammar are special tokens,
and so are the two frames of a prompt, which therefore costs two tokens however long its fixed wording is.
"""

import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from rstar.config.models import TokenizerConfig
from rstar.text.grammar import MARKERS, PROMPT_HEAD, PROMPT_TAIL

PAD = "<|pad|>"
SPECIAL = (PAD, *MARKERS, PROMPT_HEAD, PROMPT_TAIL)

_NUMBERS = {"digits": r"\d", "whole": r" ?\d+"}
"""With `digits` a leading space is a piece of its own, so that a digit has one form wherever it is copied to."""


def build(cfg: TokenizerConfig, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of `texts`; its tokens are all bytes, then words by their first appearance, then the specials."""
    pattern = rf"\n+| +(?= )| ?\p{{L}}+|{_NUMBERS[cfg.numbers]}| ?[^\s\p{{L}}\p{{N}}]+|\s"
    cut = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    vocab = {byte: i for i, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for word, count in _words(cut, texts).items():
        if count >= cfg.min_count:
            vocab.setdefault(word, len(vocab))
    # A piece that is in the vocabulary is taken whole; without merges every other one falls into its bytes.
    core = Tokenizer(models.BPE(vocab=vocab, merges=[], ignore_merges=True))
    core.pre_tokenizer = cut
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    return tokenizer


def add_markers(tokenizer: PreTrainedTokenizerBase) -> int:
    """Make the markers special tokens of an existing tokenizer; returns how many were new to it."""
    new = [AddedToken(marker, special=True, normalized=False) for marker in MARKERS]
    return int(tokenizer.add_tokens(new, special_tokens=True))


def vocabulary(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The words of two letters and more among the tokens of a byte-level tokenizer, in their order."""
    found = (re.fullmatch("Ġ?([A-Za-z]{2,})", token) for token in tokenizer.get_vocab())
    return list(dict.fromkeys(match.group(1) for match in found if match))


def _words(cut: pre_tokenizers.Sequence, texts: Iterable[str]) -> Counter[str]:
    """How often each piece stands in the texts, the special tokens left aside."""
    special = re.compile("|".join(re.escape(token) for token in sorted(SPECIAL, key=len, reverse=True)))
    counts: Counter[str] = Counter()
    for text in texts:
        for part in special.split(text):
            counts.update(piece for piece, _ in cut.pre_tokenize_str(part))
    return counts
