"""What searches are charged: the same whatever they were batched with, and no more than a call alone would cost."""

import asyncio
import random

import pytest

pytest.importorskip("torch")

from rstar.core.tree import Cost
from rstar.engine.driver import Driver, Ticket
from rstar.engine.hf import HfPolicy, HfValue, policy_lane, value_lane
from rstar.engine.ledger import Ledger
from rstar.search.calls import Generate, Score, Search, generate, score
from rstar.text.grammar import STOPS
from tests.engine.test_hf import POSITIONS, save


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> HfPolicy:
    return HfPolicy(save(tmp_path_factory.mktemp("policy"), "qwen2", "policy"), device="cpu", dtype="float64")


@pytest.fixture(scope="module")
def value(tmp_path_factory) -> HfValue:
    return HfValue(save(tmp_path_factory.mktemp("value"), "qwen2", "value"), device="cpu", dtype="float64")


def test_an_account_is_settled_once():
    ledger = Ledger()
    ledger.prefilled.update({"a": 3, "b": 5})
    ledger.value_tokens.update({"a": 7})
    cost = Cost(prefilled=1)
    ledger.settle("a", cost)
    ledger.settle("a", cost)
    ledger.settle("b", None)  # its search failed: there is no tree to pay for
    assert (cost.prefilled, cost.value_tokens) == (4, 7)
    assert not ledger.prefilled
    assert not ledger.value_tokens


def test_a_prompt_is_charged_once_for_its_samples_and_to_each_call_that_asks(policy):
    """Letters are tokens here. Two calls with one prompt share a prefill in this batch, which chance decides."""
    read: list[int] = []
    calls = [Generate("tomhas", n, 1, STOPS, max_tokens=3) for n in (1, 5)]
    calls += [Generate("x", 2, 1, STOPS, max_tokens=3), Generate("x" * POSITIONS, 1, 1, STOPS)]
    before = policy.counters.prefilled
    policy.answer(calls, read)
    assert read == [6, 6, 1, 0]
    assert policy.counters.prefilled - before == 7


def test_what_siblings_share_is_charged_once(value):
    read: list[int] = []
    value.answer([Score(("tomhas1", "tomhas22", "tomhas1")), Score(("tomhas1",)), Score(())], read)
    assert read == [6 + 1 + 2, 7, 0]


def asking(number: int) -> Search[int]:
    """Three rounds of samples, each scored."""
    rng = random.Random(number)
    text = "tom" + "has" * rng.randint(1, 3)
    for seed in range(3):
        found = yield from generate(Generate(text, rng.randint(1, 4), seed, STOPS, max_tokens=rng.randint(1, 5)))
        prefixes = [text + completion.text for completion in found]
        if all(0 < len(prefix) < POSITIONS for prefix in prefixes):
            yield from score(prefixes)
        text += "x"
    return number


def charged(policy: HfPolicy, value: HfValue, max_live: int, max_batch: int) -> list[tuple[int, int]]:
    ledger = Ledger()
    lanes = {
        "generate:policy": policy_lane(policy, max_batch, ledger),
        "score:ppm": value_lane(value, max_batch, ledger),
    }

    async def go() -> list[tuple[int, int]]:
        accounts = {}
        async for outcome in Driver(lanes, max_live).run((str(i), asking(i)) for i in range(12)):
            assert outcome.error is None
            cost = Cost()
            ledger.settle(outcome.key, cost)
            accounts[int(outcome.key)] = (cost.prefilled, cost.value_tokens)
        return [accounts[i] for i in range(12)]

    return asyncio.run(go())


def test_charges_do_not_depend_on_the_batch(policy, value):
    alone = charged(policy, value, 1, 1)
    assert all(prefilled > 0 and read > 0 for prefilled, read in alone)
    assert charged(policy, value, 12, 5) == charged(policy, value, 12, 64) == alone


def test_a_batch_that_fails_is_not_charged(policy):
    ledger = Ledger()
    lane = policy_lane(policy, 4, ledger)
    with pytest.raises(AttributeError):
        asyncio.run(lane.worker([Ticket("a", Score(("x",)))]))
    assert not ledger.prefilled
    assert lane.device == "cpu"
