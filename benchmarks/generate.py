"""How fast the in-process models answer, beside plain `transformers` on the same work.

    python benchmarks/generate.py [--calls 64] [--n 8] [--threads 1]

The work is that of a search with the embedded default: prompts of 40 to 130 tokens, 8 samples each, about 13 new tokens
a sample, from a Llama of 0.17 million parameters, taught the form of a step in the first seconds so that samples end
where steps end. The rival for generation is `model.generate` with `num_return_sequences`, one call at a time; for
scoring, the stock classifier on one padded batch a call. `alone` is this lane given one call at a time.
"""

import argparse
import json
import random
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from rstar.engine.hf import Dtype, HfPolicy, HfValue
from rstar.search.calls import Generate, Score
from rstar.text.grammar import END_STEP, MARKERS, STOPS

NAMES = ("tom", "ann", "bob", "eve", "joe", "kim", "leo", "mia")
VERBS = tuple(a + b for a in ("bl", "d", "fr", "gl", "m", "pr", "st", "w") for b in ("icks", "axes", "eps", "ulls"))


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d|\S|\n", text)


def story(rng: random.Random) -> tuple[str, list[str]]:
    """A problem and the steps of its solution, in words apart by spaces."""
    name, events = rng.choice(NAMES), [(rng.choice(VERBS), rng.randint(3, 60)) for _ in range(rng.randint(4, 7))]
    start = rng.randint(10, 60)
    problem = f"{name} has {start} . " + " ".join(f"{name} {verb} {k} ." for verb, k in events) + " how many ?"
    steps = [f"# {name} has {start} \n x = {start}"] + [f"# {name} {verb} {k} \n x = x + {k}" for verb, k in events]
    return problem, steps


def prompt(rng: random.Random) -> str:
    problem, steps = story(rng)
    done = steps[: rng.randint(1, len(steps) - 1)]
    return " ".join(words(problem) + [word for step in done for word in [*words(step), END_STEP]])


def build(folder: Path) -> None:
    """A policy that has learnt the form of a step and a value model with random weights."""
    rng = random.Random(0)
    texts = []
    for _ in range(2000):
        problem, steps = story(rng)
        texts.append(words(problem) + [word for step in steps for word in [*words(step), END_STEP]])
    plain = sorted({word for text in texts for word in text} - {END_STEP})
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(plain)} | {"<unk>": len(plain)}, "<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_special_tokens({"extra_special_tokens": list(MARKERS)})
    config = LlamaConfig(
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=192,
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        num_labels=1,
    )
    torch.manual_seed(0)
    policy = AutoModelForCausalLM.from_config(config)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=4e-3)
    for _ in range(150):
        batch = tokenizer([" ".join(text) for text in rng.sample(texts, 24)], padding=True, return_tensors="pt")
        ids, mask = batch["input_ids"], batch["attention_mask"]
        policy(ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    policy.save_pretrained(folder / "policy")
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder / "value")
    for name in ("policy", "value"):
        tokenizer.save_pretrained(folder / name)


def some_calls(count: int, n: int, seed: int = 1) -> list[Generate]:
    rng = random.Random(seed)
    return [Generate(prompt(rng), n, rng.getrandbits(63), STOPS, max_tokens=48) for _ in range(count)]


def naive_generate(folder: Path, dtype: str, calls: list[Generate]) -> Callable[[], int]:
    """`model.generate` call by call; the function gives the number of new tokens."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    stop = [tokenizer(s)["input_ids"][0] for s in calls[0].stop]
    ends = torch.tensor([tokenizer.eos_token_id, *stop])

    def run() -> int:
        tokens = 0
        for call in calls:
            batch = tokenizer([call.prompt], return_tensors="pt", return_token_type_ids=False)
            torch.manual_seed(call.seed)
            out = model.generate(
                **batch,
                do_sample=True,
                top_k=0,
                num_return_sequences=call.n,
                max_new_tokens=call.max_tokens,
                eos_token_id=ends.tolist(),
            )[:, batch["input_ids"].shape[1] :]
            ended = torch.isin(out, ends).int()
            tokens += int((ended.cumsum(-1) - ended == 0).sum())
            tokenizer.batch_decode(out)
        return tokens

    return run


def naive_score(folder: Path, dtype: str, calls: list[Score]) -> Callable[[], int]:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    @torch.inference_mode()
    def run() -> int:
        for call in calls:
            batch = tokenizer(list(call.prefixes), return_tensors="pt", padding=True, return_token_type_ids=False)
            model(**batch).logits[:, 0].tanh().tolist()
        return sum(len(call.prefixes) for call in calls)

    return run


def ours_generate(policy: HfPolicy, batches: list[list[Generate]]) -> Callable[[], int]:
    return lambda: sum(c.tokens for batch in batches for reply in policy.generate(batch) for c in reply)


def ours_score(value: HfValue, calls: list[Score]) -> Callable[[], int]:
    return lambda: sum(len(reply) for reply in value.answer(calls) if isinstance(reply, list))


def rate(run: Callable[[], int], repeats: int) -> float:
    """Things per CPU-second: the best of several runs, so that a neighbour's load counts little."""
    run()
    best = 0.0
    for _ in range(repeats):
        start = time.process_time()
        best = max(best, run() / (time.process_time() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(args.threads)
    calls = some_calls(args.calls, args.n)
    rng = random.Random(1)
    scores = [
        Score(tuple(f"{call.prompt} {' '.join(words(rng.choice(story(rng)[1])))} {END_STEP}" for _ in range(args.n)))
        for call in calls
    ]
    few = calls[:16]
    dtypes: tuple[Dtype, ...] = ("float64", "float32")
    figures: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        for dtype in dtypes:
            policy = HfPolicy(folder / "policy", device="cpu", dtype=dtype, threads=args.threads)
            value = HfValue(folder / "value", device="cpu", dtype=dtype, threads=args.threads)
            runs = {
                "generate": ours_generate(policy, [calls]),
                "generate_alone": ours_generate(policy, [[call] for call in few]),
                "generate_naive": naive_generate(folder / "policy", dtype, few),
                "score": ours_score(value, scores),
                "score_naive": naive_score(folder / "value", dtype, scores),
            }
            figures |= {f"{what}_{dtype}": round(rate(run, args.repeats)) for what, run in runs.items()}
    print(f"{args.calls} calls of {args.n} samples (or prefixes), {args.threads} thread(s); per CPU-second:")
    print(f"{'':26}" + "".join(f"{dtype:>10}" for dtype in dtypes))
    for what in runs:
        unit = "tokens" if what.startswith("generate") else "prefixes"
        print(f"{what:<16}{unit:>10}" + "".join(f"{figures[f'{what}_{dtype}']:>10,}" for dtype in dtypes))
    ok = all(figures[f"{w}_{dtype}"] > figures[f"{w}_naive_{dtype}"] for w in ("generate", "score") for dtype in dtypes)
    print(json.dumps({"name": "generate", "ok": ok, "figures": figures}))


if __name__ == "__main__":
    main()
