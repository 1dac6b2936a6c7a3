"""The in-process models against plain loops over stock transformers: no cache, no batch, no padding."""

import asyncio
import random
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402

from rstar.engine.driver import Driver, Ticket  # noqa: E402
from rstar.engine.hf import HfPolicy, HfValue, policy_lane, value_lane  # noqa: E402
from rstar.engine.sampling import draw, uniforms  # noqa: E402
from rstar.errors import ConfigError, RolloutError  # noqa: E402
from rstar.search.calls import Completion, Finish, Generate, Score  # noqa: E402
from rstar.search.calls import generate as ask  # noqa: E402
from rstar.text.grammar import CODE, END_STEP, MARKERS, STOPS  # noqa: E402

POSITIONS = 160
EOS = "<eos>"
LETTERS = string.ascii_lowercase + string.digits + "ĠĊ=+#"  # the last but three stand for a space and a line end

SHAPES = {
    "qwen2": (transformers.Qwen2Config, {"num_key_value_heads": 4}),
    "qwen2-windows": (
        transformers.Qwen2Config,
        {
            "num_key_value_heads": 2,
            "use_sliding_window": True,
            "sliding_window": 16,
            "layer_types": ["full_attention", "sliding_attention"],
        },
    ),
    "llama": (transformers.LlamaConfig, {"num_key_value_heads": 1}),
    "phi3": (transformers.Phi3Config, {"num_key_value_heads": 4, "sliding_window": 24}),
}


def save(folder: Path, shape: str, head: str, seed: int = 0) -> Path:
    """A random model with sharp opinions, and its tokenizer, as a checkpoint in `folder`."""
    core = Tokenizer(models.BPE({letter: i for i, letter in enumerate(LETTERS)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, eos_token=EOS, pad_token="<pad>")
    tokenizer.add_special_tokens({"extra_special_tokens": list(MARKERS)})
    kind, fields = SHAPES[shape]
    config = kind(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=POSITIONS,
        vocab_size=len(tokenizer),
        initializer_range=0.35,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        **fields,
    )
    torch.manual_seed(seed)
    if head == "policy":
        model = transformers.AutoModelForCausalLM.from_config(config)
    else:
        config.num_labels = 1
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("policy"), "qwen2", "policy")


@pytest.fixture(scope="module")
def policy(folder: Path) -> HfPolicy:
    return HfPolicy(folder, device="cpu", dtype="float64")


@pytest.fixture(scope="module")
def value(tmp_path_factory: pytest.TempPathFactory) -> HfValue:
    return HfValue(save(tmp_path_factory.mktemp("value"), "qwen2", "value"), device="cpu", dtype="float64")


def text(rng: random.Random, low: int, high: int) -> str:
    words = ["tom", "has", "x", "=", "+", "3", "47", "blicks", END_STEP, CODE, "\n"]
    return " ".join(rng.choice(words) for _ in range(rng.randint(low, high)))


def some_calls(seed: int, count: int) -> list[Generate]:
    """Calls of every sort: lengths, numbers of samples, temperatures, nuclei, stops, and prompts asked twice."""
    rng = random.Random(seed)
    prompts = [text(rng, 2, 12) for _ in range(max(1, 2 * count // 3))]
    return [
        Generate(
            prompt=rng.choice(prompts),
            n=rng.randint(1, 5),
            seed=rng.getrandbits(63),
            stop=rng.choice([STOPS, (), (END_STEP, "a"), ("xy", END_STEP), ("b =",)]),
            temperature=rng.choice([0.0, 0.6, 1.0, 1.5]),
            top_p=rng.choice([1.0, 1.0, 0.8, 0.3]),
            max_tokens=rng.randint(1, 24),
        )
        for _ in range(count)
    ]


def plain(folder: Path, call: Generate) -> list[Completion]:
    """What a call means: one row at a time, the whole text again for every token."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    coded = {stop: tokenizer(stop)["input_ids"] for stop in call.stop}
    replies = []
    for i in range(call.n):
        prompt = tokenizer(call.prompt)["input_ids"]
        ids: list[int] = []
        total, written, finish = 0.0, "", Finish.LENGTH
        while len(ids) < call.max_tokens and finish is Finish.LENGTH:
            with torch.inference_mode():
                logp = model(torch.tensor([prompt + ids])).logits[0, -1].log_softmax(-1).numpy()
            token = choose(logp, uniforms(call.seed, i + 1, len(ids) + 1)[i, -1], call)
            ids.append(token)
            total += logp[token]
            if token == tokenizer.eos_token_id:
                finish = Finish.STOP
            else:
                written = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
                if any(stop in written if len(coded[stop]) > 1 else [token] == coded[stop] for stop in call.stop):
                    finish = Finish.STOP
        replies.append(Completion(written, len(ids), finish, total))
    return replies


def choose(logp: np.ndarray, uniform: float, call: Generate) -> int:
    if call.temperature == 0:
        return int(logp.argmax())
    p = np.exp(logp / call.temperature)
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    nucleus = order[: int(np.searchsorted(np.cumsum(p[order]), call.top_p)) + 1]
    p = np.where(np.isin(np.arange(len(p)), nucleus), p, 0)
    return int(np.searchsorted(np.cumsum(p / p.sum()), uniform, side="right"))


def assert_same(got: Sequence[Completion], wanted: Sequence[Completion], tolerance: float) -> None:
    assert [(c.text, c.tokens, c.finish) for c in got] == [(c.text, c.tokens, c.finish) for c in wanted]
    assert [c.logprob for c in got] == pytest.approx([c.logprob for c in wanted], abs=tolerance)


def test_generates_what_the_plain_loop_does(folder: Path, policy: HfPolicy) -> None:
    calls = some_calls(seed=1, count=24)
    for call, reply in zip(calls, policy.generate(calls), strict=True):
        assert_same(reply, plain(folder, call), 1e-5)
    finishes = {c.finish for reply in policy.generate(calls) for c in reply}
    assert finishes == {Finish.STOP, Finish.LENGTH}


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "qwen2"])
def test_other_architectures_too(shape: str, tmp_path: Path) -> None:
    save(tmp_path, shape, "policy")
    model = HfPolicy(tmp_path, device="cpu", dtype="float64")
    calls = some_calls(seed=2, count=6)
    for call, reply in zip(calls, model.generate(calls), strict=True):
        assert_same(reply, plain(tmp_path, call), 1e-5)


def test_samples_do_not_depend_on_the_batch(policy: HfPolicy) -> None:
    calls = some_calls(seed=3, count=40)
    alone = [policy.generate([call])[0] for call in calls]
    rng = random.Random(4)
    for _ in range(12):
        picked = rng.sample(range(len(calls)), rng.randint(2, len(calls)))
        for i, reply in zip(picked, policy.generate([calls[i] for i in picked]), strict=True):
            assert reply == alone[i]


def test_samples_do_not_depend_on_the_token_budget(folder: Path, policy: HfPolicy) -> None:
    calls = some_calls(seed=5, count=20)
    tight = HfPolicy(folder, device="cpu", dtype="float64", max_tokens_in_flight=100)
    for got, wanted in zip(tight.generate(calls), policy.generate(calls), strict=True):
        assert got == wanted
    assert tight.counters.generated == sum(
        c.tokens
        for call, r in zip(calls, tight.generate(calls), strict=True)
        for c in (r if call.temperature else r[:1])
    )


def test_a_sample_is_fixed_by_seed_and_index(policy: HfPolicy) -> None:
    call = Generate("tom has 3", n=8, seed=7, stop=STOPS, max_tokens=12)
    (eight,) = policy.generate([call])
    assert len({c.text for c in eight}) > 4
    assert policy.generate([call]) == [eight]
    (three,) = policy.generate([Generate("tom has 3", n=3, seed=7, stop=STOPS, max_tokens=12)])
    assert three == eight[:3]
    (other,) = policy.generate([Generate("tom has 3", n=8, seed=8, stop=STOPS, max_tokens=12)])
    assert [c.text for c in other] != [c.text for c in eight]


def test_stop_markers_are_kept_and_eos_is_not(policy: HfPolicy) -> None:
    replies = policy.generate([Generate("x = 3", n=200, seed=1, stop=STOPS, max_tokens=40)])[0]
    assert len(replies) == 200
    marked = [c for c in replies if c.text.endswith(STOPS)]
    ended = [c for c in replies if c.finish is Finish.STOP and not c.text.endswith(STOPS)]
    assert marked
    assert ended
    for completion in replies:
        assert EOS not in completion.text
        assert sum(completion.text.count(stop) for stop in STOPS) == (completion in marked)
        assert completion.finish is Finish.STOP or completion.tokens == 40


def test_a_stop_of_several_tokens_is_found_in_the_text(policy: HfPolicy) -> None:
    free = policy.generate([Generate("x", n=1, seed=3, stop=(), max_tokens=20)])[0][0]
    stop = free.text[4:7]
    cut = policy.generate([Generate("x", n=1, seed=3, stop=(stop,), max_tokens=20)])[0][0]
    assert cut.finish is Finish.STOP
    assert cut.text == free.text[: free.text.find(stop) + len(stop)]


def test_a_prompt_that_does_not_fit_fails_alone(policy: HfPolicy) -> None:
    calls = [Generate(prompt, 2, 1, STOPS) for prompt in ("x", "x" * POSITIONS, "", "x" * (POSITIONS - 2))]
    short, long, empty, full = policy.answer(calls)
    assert isinstance(long, RolloutError)
    assert long.boundary == "engine"
    assert str(POSITIONS) in str(long)
    assert isinstance(empty, RolloutError)
    assert isinstance(short, list)
    assert isinstance(full, list)
    assert all(c.tokens <= POSITIONS for c in short)
    assert all(c.tokens <= 2 for c in full)
    with pytest.raises(RolloutError):
        policy.generate(calls)


def test_nothing_asked_is_nothing_said(policy: HfPolicy, value: HfValue) -> None:
    assert policy.generate([]) == []
    assert policy.generate([Generate("x", 0, 1, ()), Generate("x", 0, 1, (), temperature=0)]) == [[], []]
    assert policy.generate([Generate("x", 2, 1, (), max_tokens=0)]) == [[Completion("", 0, Finish.LENGTH, 0.0)] * 2]
    assert value.score([]) == []


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0]).repeat(4000, 1)
    uniform = torch.from_numpy(uniforms(1, 1, 4000)[0])
    ones = torch.ones(4000, dtype=torch.float64)
    token, logprob = draw(logits, uniform, 0.5 * ones, ones)
    wanted = (logits[0] / 0.5).softmax(-1)
    assert torch.allclose(torch.bincount(token, minlength=4) / 4000, wanted, atol=0.02)
    assert torch.allclose(logprob, logits.double().log_softmax(-1).gather(1, token[:, None])[:, 0])
    token, _ = draw(logits, uniform, ones, 0.7 * ones)  # .64 alone does not reach .7
    assert set(token.tolist()) == {0, 1}
    token, _ = draw(logits, 0 * uniform + 1 - 2**-53, ones, ones)
    assert set(token.tolist()) == {3}


def test_broken_weights_are_an_error() -> None:
    one = torch.ones(1, dtype=torch.float64)
    with pytest.raises(RolloutError, match="not finite"):
        draw(torch.tensor([[0.0, float("nan")]]), one / 2, one, one)


def vanilla(model: HfValue, folder: str, prefixes: Sequence[str], side: str) -> list[float]:
    """The stock model on a padded batch."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side=side)
    stock = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64).eval()
    batch = tokenizer(list(prefixes), padding=True, return_tensors="pt")
    position_ids = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = stock(batch["input_ids"], attention_mask=batch["attention_mask"], position_ids=position_ids).logits
    return [float(x) for x in logits[:, 0].tanh()]


@pytest.mark.parametrize("side", ["left", "right"])
def test_scores_are_those_of_the_stock_model(value: HfValue, side: str) -> None:
    rng = random.Random(6)
    prefixes = [text(rng, 1, 20) for _ in range(30)]
    for _ in range(6):  # siblings, a parent among them, and one twice
        parent = text(rng, 8, 16)
        prefixes += [parent, *(parent + text(rng, 1, 5) for _ in range(5)), parent]
    rng.shuffle(prefixes)
    folder = value.model.config._name_or_path
    assert value.score(prefixes) == pytest.approx(vanilla(value, folder, prefixes, side), abs=1.5e-6)
    assert [value.score([prefix])[0] for prefix in prefixes] == value.score(prefixes)


@pytest.mark.parametrize("shape", ["qwen2-windows", "llama", "phi3"])
def test_scores_of_other_architectures(shape: str, tmp_path: Path) -> None:
    model = HfValue(save(tmp_path, shape, "value"), device="cpu", dtype="float64")
    prefixes = ["tom has 3 x = 4" + end for end in ("", "\n", " + 3", " + 47 blicks", END_STEP)]
    assert model.score(prefixes) == pytest.approx(vanilla(model, str(tmp_path), prefixes, "right"), abs=1.5e-6)


def test_siblings_are_encoded_once(value: HfValue) -> None:
    before = value.counters.prefilled
    value.score(["x" * 100 + "abcdefgh"[i] for i in range(8)])
    assert value.counters.prefilled - before == 108
    before = value.counters.prefilled
    value.score([letter * 20 for letter in "abcd"])
    assert value.counters.prefilled - before == 80


def test_a_prefix_that_does_not_fit_fails_its_call_alone(value: HfValue) -> None:
    good, bad, empty = value.answer([Score(("x", "y")), Score(("x", "x" * (POSITIONS + 1))), Score(())])
    assert good == value.score(["x", "y"])
    assert isinstance(bad, RolloutError)
    assert empty == []


def test_lanes_under_the_driver(policy: HfPolicy, value: HfValue) -> None:
    calls = some_calls(seed=9, count=12)
    driver = Driver({"generate:policy": policy_lane(policy, 5)}, max_live=8)

    async def run() -> dict[str, object]:
        return {o.key: o.result async for o in driver.run((str(i), ask(call)) for i, call in enumerate(calls))}

    results = asyncio.run(run())
    for i, call in enumerate(calls):
        assert results[str(i)] == policy.generate([call])[0]
    tickets = [Ticket("a", Score(("x", "x = 3"))), Ticket("b", Score(("x" * 999,)))]
    good, bad = asyncio.run(value_lane(value, 8).worker(tickets))  # type: ignore[arg-type]
    assert good == value.score(["x", "x = 3"])
    assert isinstance(bad, RolloutError)


def test_a_model_that_mixes_tokens_elsewhere_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "qwen2", "policy")
    config = transformers.Gemma2Config(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
    )
    transformers.Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="gemma2"):
        HfPolicy(tmp_path, device="cpu")


def test_a_policy_is_not_taken_for_a_value_model(folder: Path, value: HfValue) -> None:
    with pytest.raises(ConfigError, match=r"score\.weight"):
        HfValue(folder, device="cpu")
    with pytest.raises(ConfigError, match=r"lm_head\.weight"):
        HfPolicy(value.model.config._name_or_path, device="cpu")
