"""Sentence embeddings by any encoder that transformers loads: the mean of the last hidden states, of length one."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from rstar.errors import InputError

LONGEST = 512
"""Tokens of a text that are read."""


class Embedder:
    """Texts -> float32[n, d]."""

    def __init__(self, path: str, device: str = "auto", batch: int = 32):
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(path)
            model = AutoModel.from_pretrained(path, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise InputError(f"--model: cannot load {path!r}: {error}") from error
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.model = model.to(chosen).eval()
        self.device = chosen
        self.batch = batch
        most = getattr(model.config, "max_position_embeddings", LONGEST) or LONGEST
        self.longest = min(LONGEST, int(most))

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        parts = [np.zeros((0, self.model.config.hidden_size), np.float32)]
        for start in range(0, len(texts), self.batch):
            inputs = self.tokenizer(
                list(texts[start : start + self.batch]),
                padding=True,
                truncation=True,
                max_length=self.longest,
                return_tensors="pt",
            ).to(self.device)
            inputs.pop("token_type_ids", None)
            hidden = self.model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            parts.append(torch.nn.functional.normalize(mean, dim=-1).cpu().numpy())
        return np.concatenate(parts)
