"""The lanes over real vLLM servers against the models themselves, and against what a network can do to them."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rstar.engine import hf
from rstar.engine.driver import Driver, Ticket
from rstar.engine.endpoints import Endpoint, Pool
from rstar.engine.ledger import Ledger
from rstar.engine.served import ServedPolicy, ServedValue, policy_lane, value_lane
from rstar.errors import EngineDown, RolloutError
from rstar.search.calls import Completion, Finish, Generate, Score, Search, generate, score
from rstar.text.grammar import CODE, END_STEP, STOPS, Grammar
from tests.engine.wire import wire
from tests.pipeline.tiny import KNOWN
from tests.vllm.conftest import Running, served, vllm

PROMPTS = [Grammar(answer="printed").prompt(row["problem"]) for row in KNOWN]


def call(i: int, **changes: Any) -> Generate:
    return replace(Generate(PROMPTS[i % len(PROMPTS)], 4, 1000 + i, STOPS, max_tokens=24), **changes)


def siblings(i: int) -> Score:
    steps = (f"{CODE}\n# start\nx = {20 + i + k}\n{END_STEP}" for k in range(6))
    return Score(tuple(PROMPTS[i % len(PROMPTS)] + step for step in steps))


@asynccontextmanager
async def pool(servers: Running, role: str, *urls: str, **how: Any) -> AsyncIterator[Pool]:
    urls = urls or (servers.policy if role == "policy" else servers.ppm,)
    made = Pool(served(servers.cfg, role), [Endpoint(url) for url in urls], vllm(endpoints=urls, **how))
    async with made.open():
        yield made


async def ask(policy: ServedPolicy, asked: Generate, key: str = "p") -> list[Completion]:
    return await policy.answer(asked, key, policy.prompt(asked))


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 300))


def test_samples_round_trip_token_for_token_and_say_the_truth_about_themselves(servers):
    """What was sent was read; ids, the server's text and ours are the same; log-probabilities are the model's."""
    own = hf.HfPolicy(served(servers.cfg, "policy").path, device="cpu", dtype="float32")
    own.model.set_attn_implementation("sdpa")

    async def test():
        async with pool(servers, "policy") as made:
            policy = ServedPolicy(made)
            choices: list[dict[str, Any]] = []
            inner = policy._completion
            policy._completion = lambda choice, stops: choices.append(choice) or inner(choice, stops)
            canonical = 0
            for one in [call(i, n=8) for i in range(10)]:
                choices.clear()
                prompt = policy.prompt(one)
                for choice, completion in zip(choices, await policy.answer(one, "p", prompt), strict=True):
                    ids = choice["token_ids"]
                    assert choice["prompt_token_ids"] == prompt
                    assert choice["text"] == completion.text == policy.codec.text(ids)
                    assert len(ids) == completion.tokens
                    ended = completion.text.endswith(STOPS)
                    assert completion.finish is (Finish.STOP if ended else Finish.LENGTH)
                    assert sum(completion.text.count(stop) for stop in STOPS) == ended
                    # What the next step is written behind is the same tokens, but where a sample spelt a word oddly.
                    canonical += policy.codec.encode([one.prompt + completion.text])[0] == [*prompt, *ids]
                    with torch.inference_mode():
                        logits = own.model(torch.tensor([[*prompt, *ids]]), use_cache=False).logits[0]
                    logp = logits.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(ids)[:, None]).sum()
                    assert completion.logprob == pytest.approx(float(logp), abs=1e-3)
            assert canonical >= 72
            assert policy.counters.requests == 10

    run(test)


def test_greedy_texts_are_those_of_the_lane_in_process(servers):
    own = hf.HfPolicy(served(servers.cfg, "policy").path, device="cpu", dtype="float32")
    asked = [call(i, n=3, temperature=0.0) for i in range(10)]

    async def test():
        async with pool(servers, "policy") as made:
            policy = ServedPolicy(made)
            for one, expected in zip(asked, own.generate(asked), strict=True):
                told = await ask(policy, one)
                assert [(c.text, c.tokens, c.finish) for c in told] == [(c.text, c.tokens, c.finish) for c in expected]
                assert [c.logprob for c in told] == pytest.approx([c.logprob for c in expected], abs=1e-3)

    run(test)


def test_a_seed_fixes_the_samples_and_samples_differ(servers):
    async def test():
        async with pool(servers, "policy") as made:
            policy = ServedPolicy(made)
            asked = call(0, n=16, temperature=1.5, seed=2**63 - 1)
            first, again = await ask(policy, asked), await ask(policy, asked)
            other = await ask(policy, replace(asked, seed=7))
            assert [c.text for c in first] == [c.text for c in again]
            assert [c.text for c in first] != [c.text for c in other]
            assert len({c.text for c in first}) > 1

    run(test)


def test_a_stop_text_of_several_tokens_is_kept_and_ends_the_text(servers):
    async def test():
        async with pool(servers, "policy") as made:
            policy = ServedPolicy(made)
            assert len(policy.codec.encode([" = 1"])[0]) > 1
            told = await ask(policy, call(0, n=8, stop=("= 1",), temperature=0.3))
            ended = [c for c in told if c.finish is Finish.STOP]
            assert ended
            assert all(c.text.endswith("= 1") and c.text.count("= 1") == 1 for c in ended)

    run(test)


def test_what_does_not_fit_fails_its_problem_and_what_has_little_room_is_cut(servers):
    async def test():
        async with pool(servers, "policy") as made, pool(servers, "ppm") as values:
            assert made.positions == values.positions == 128
            policy = ServedPolicy(made)
            room = 128 - len(policy.codec.encode([PROMPTS[0]])[0])
            longer = PROMPTS[0] + "\n" * (room - 3)
            told = await ask(policy, call(0, prompt=longer, stop=()))
            assert all(c.tokens == 3 and c.finish is Finish.LENGTH for c in told)
            with pytest.raises(RolloutError, match="a prompt of 128 tokens; the model has room for 1 to 127"):
                policy.prompt(call(0, prompt=longer + "\n\n\n"))
            lane = value_lane(ServedValue(values))
            with pytest.raises(RolloutError, match="a prefix of 129 tokens; the model has room for 1 to 128"):
                await lane.worker([Ticket("p", Score((longer + "\n" * 4,)))])

    run(test)


def test_scores_are_those_of_a_transformers_forward(servers):
    path = served(servers.cfg, "ppm").path
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32).eval()
    asked = [siblings(i) for i in range(10)]

    async def test():
        async with pool(servers, "ppm") as made:
            value, scores = ServedValue(made), list[float]()
            for one in asked:
                with torch.inference_mode():
                    expected = [
                        model(torch.tensor([tokenizer(p)["input_ids"]])).logits[0, 0].tanh() for p in one.prefixes
                    ]
                told = await value.answer("p", value.prefixes(one))
                assert told == pytest.approx([float(x) for x in expected], abs=1e-3)
                scores += told
            assert max(scores) - min(scores) > 0.02  # not one number for all

    run(test)


def test_the_prefix_cache_is_read_by_samples_and_by_siblings(servers):
    async def test():
        async with pool(servers, "policy") as made, pool(servers, "ppm") as values:
            for one, work in (
                (made, ask(ServedPolicy(made), call(0, prompt=PROMPTS[0] + "\n" * 60, n=8, max_tokens=4))),
                (values, ServedValue(values).answer("p", [[9] * 96 + [k] for k in range(8)])),
            ):
                before = await one.metrics()
                await work
                told = await one.metrics() - before
                assert told["vllm:prompt_tokens_total"] > 8 * 64
                assert told["vllm:prefix_cache_hits_total"] >= 7 * 64

    run(test)


def both(i: int) -> Search[tuple[int, list[float]]]:
    """A search that asks both models."""
    completions = yield from generate(call(i))
    values = yield from score([PROMPTS[i % len(PROMPTS)] + c.text for c in completions])
    return len(completions), values


async def searched(servers: Running, policy: Pool, values: Pool, count: int, ledger: Ledger | None = None) -> list[Any]:
    lanes = {
        "generate:policy": policy_lane(ServedPolicy(policy), ledger),
        "score:ppm": value_lane(ServedValue(values), ledger),
    }
    found = [outcome async for outcome in Driver(lanes).run((f"p{i}", both(i)) for i in range(count))]
    assert sorted(outcome.key for outcome in found) == sorted(f"p{i}" for i in range(count))  # none lost, none twice
    return found


def test_searches_are_charged_as_in_process(servers):
    async def test():
        ledger, own = Ledger(), Ledger()
        async with pool(servers, "policy") as made, pool(servers, "ppm") as values:
            found = await searched(servers, made, values, 12, ledger)
        assert all(outcome.error is None for outcome in found)
        policy = hf.policy_lane(hf.HfPolicy(served(servers.cfg, "policy").path, device="cpu"), 8, own)
        ppm = hf.value_lane(hf.HfValue(served(servers.cfg, "ppm").path, device="cpu"), 8, own)
        for i in range(12):
            await policy.worker([Ticket(f"p{i}", call(i))])
            await ppm.worker([Ticket(f"q{i}", siblings(i))])
        assert ledger.prefilled == own.prefilled
        async with pool(servers, "ppm") as values:
            lane = value_lane(ServedValue(values), ledger)
            for i in range(12):
                await lane.worker([Ticket(f"q{i}", siblings(i))])
        assert {key: ledger.value_tokens[key] for key in own.value_tokens} == dict(own.value_tokens)

    run(test)


@pytest.mark.parametrize("mode", ["hang", "500", "truncate", "refuse"])
def test_searches_go_on_when_one_way_to_the_servers_fails(servers, mode):
    """Each server behind two wires, one of which spoils what comes through it from the third request on."""

    async def test():
        async with AsyncExitStack() as stack:
            good, bad, values, lame = [
                await stack.enter_async_context(wire(url)) for url in (*[servers.policy] * 2, *[servers.ppm] * 2)
            ]
            ways = {"policy": (good.url, bad.url), "ppm": (values.url, lame.url)}
            made = {
                role: await stack.enter_async_context(pool(servers, role, *urls, health_s=0.5, timeout_s=20.0))
                for role, urls in ways.items()
            }
            await searched(servers, made["policy"], made["ppm"], 4)
            bad.mode = lame.mode = mode
            found = await searched(servers, made["policy"], made["ppm"], 24)
            assert all(outcome.error is None for outcome in found)
            assert made["policy"].retried > 0

    run(test)


def test_a_request_that_is_no_longer_wanted_is_taken_from_the_server(servers):
    async def test():
        async with pool(servers, "policy") as made:
            policy = ServedPolicy(made)
            endless = [asyncio.create_task(ask(policy, call(i, n=16, stop=(), max_tokens=100))) for i in range(20)]
            await asyncio.sleep(0.3)
            for task in endless:
                task.cancel()
            await asyncio.gather(*endless, return_exceptions=True)
            assert len(await asyncio.wait_for(ask(policy, call(0)), 10)) == 4

    run(test)


def test_a_server_of_another_model_is_refused(servers):
    async def test():
        with pytest.raises(EngineDown, match=r"serves ppm-[0-9a-f]{16}, and policy-[0-9a-f]{16} is asked for"):
            async with pool(servers, "policy", servers.ppm):
                pass
        other = replace(served(servers.cfg, "policy"), path=served(servers.cfg, "ppm").path)
        urls = (servers.policy,)
        wrong = Pool(other, [Endpoint(url) for url in urls], vllm(endpoints=urls))
        with pytest.raises(EngineDown, match=r"but the weights in .* are not those of"):
            async with wrong.open():
                pass

    run(test)


def test_many_calls_at_once_are_all_answered(servers):
    rng = random.Random(0)

    async def test():
        async with pool(servers, "policy", concurrency=256) as made:
            policy = ServedPolicy(made)
            asked = [call(i, n=rng.randint(1, 4)) for i in range(200)]
            replies = await asyncio.gather(*(ask(policy, one, f"p{i}") for i, one in enumerate(asked)))
            assert [len(reply) for reply in replies] == [one.n for one in asked]
            assert made.retried == 0

    run(test)
