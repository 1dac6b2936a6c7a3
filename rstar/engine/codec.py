"""Texts and tokens of one checkpoint, as training has them: what engines of every kind send and read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import AutoConfig, AutoTokenizer, GenerationConfig


@dataclass(frozen=True, slots=True)
class Stops:
    """Where completions end: at a token, or, for stop strings of several tokens, behind a text."""

    ids: frozenset[int]
    texts: tuple[str, ...]


class Codec:
    """The tokenizer of a checkpoint (or hub model), and the tokens `eos` that end a text and are no part of it."""

    def __init__(self, path: Path | str):
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
        self.eos = frozenset({*_eos(path), self.tokenizer.eos_token_id} - {None})
        self._known_stops: dict[tuple[str, ...], Stops] = {}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids as in training: with a leading BOS where the tokenizer has one."""
        return cast(list[list[int]], self.tokenizer(list(texts))["input_ids"]) if texts else []

    def stops(self, stop: tuple[str, ...]) -> Stops:
        """A stop string that is a token of its own is found as one, the others in the text."""
        if stop not in self._known_stops:
            ids, texts = set(self.eos), []
            for text in stop:
                coded = self.tokenizer(text, add_special_tokens=False)["input_ids"]
                if len(coded) == 1 and self.text(coded) == text:  # an unknown word is one token too, but not this one
                    ids.add(coded[0])
                else:
                    texts.append(text)
            self._known_stops[stop] = Stops(frozenset(ids), tuple(texts))
        return self._known_stops[stop]

    def text(self, ids: Sequence[int]) -> str:
        """The text of generated ids, markers included, EOS not."""
        kept = [token for token in ids if token not in self.eos]
        return cast(str, self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def cut(text: str, stops: Iterable[str]) -> str | None:
    """The text up to the end of the first stop text in it; None where there is none."""
    ends = [(at, at + len(stop)) for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)[1]] if ends else None


def _eos(path: Path | str) -> Sequence[int]:
    try:
        found = GenerationConfig.from_pretrained(path).eos_token_id
    except OSError:  # it has no such file: transformers then goes by the model's own configuration
        found = AutoConfig.from_pretrained(path).get_text_config().eos_token_id
    return [found] if isinstance(found, int) else found or ()
