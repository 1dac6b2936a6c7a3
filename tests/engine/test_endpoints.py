"""Routing, health and retries over real sockets, against small servers that say which of them was asked.

They stand for the network and not for vLLM: what vLLM itself says is tested against the real one (tests/vllm).
"""

import asyncio
import json
import multiprocessing
import os
import resource
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from rstar.config.engine import VllmConfig
from rstar.engine.endpoints import Endpoint, Pool, Served
from rstar.errors import ConfigError, EngineDown, RolloutError
from tests.engine.wire import Wire, wire

MODEL = Served("policy-1", Path("nowhere"))


class Small:
    """A server of one model that answers every request with its own number, after `delay_s`."""

    def __init__(self, number: int, name: str = MODEL.name):
        self.number, self.name, self.delay_s, self.status = number, name, 0.0, 200
        self.url = ""
        self.models: tuple[int, Any] | None = None
        """What it says of its models, in the place of the truth: status and JSON."""
        self.drip_s = 0.0
        """Between two bytes of an answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                length = next((int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if b"content-length" in x), 0)
                await reader.readexactly(length)
                status, told = 200, {}
                if path == "/v1/models":
                    told = {"data": [{"id": self.name, "root": "x", "max_model_len": 64}]}
                    status, told = self.models or (200, told)
                elif path != "/health":
                    await asyncio.sleep(self.delay_s)
                    status, told = self.status, {"by": self.number, "error": {"message": "as it was told"}}
                body = json.dumps(told).encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
                for part in [body[i : i + 1] for i in range(len(body))] if self.drip_s and path == "/x" else [body]:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(self.drip_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()


@asynccontextmanager
async def pool(
    *names: str,
    patience_s: float = 2.0,
    attempts: int = 6,
    hedge_s: float | None = None,
    timeout_s: float = 5.0,
    models: tuple[int, Any] | None = None,
) -> AsyncIterator[tuple[Pool, list[Small], list[Wire]]]:
    """A pool over as many servers as there are names, each behind a wire."""
    async with AsyncExitStack() as stack:
        smalls, wires = [], []
        for number, name in enumerate(names):
            small = Small(number, name)
            small.models = models
            server = await asyncio.start_server(small.serve, "127.0.0.1", 0)
            stack.callback(server.close)
            wires.append(
                await stack.enter_async_context(wire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
            )
            smalls.append(small)
        how = VllmConfig(
            endpoints=tuple(one.url for one in wires),
            patience_s=patience_s,
            health_s=0.2,
            attempts=attempts,
            hedge_s=hedge_s,
            timeout_s=timeout_s,
        )
        made = Pool(MODEL, [Endpoint(url) for url in how.endpoints], how)
        yield await stack.enter_async_context(made.open()), smalls, wires


def by(told: Any) -> int:
    return int(told["by"])


def run(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def test_problems_are_spread_and_each_stays_where_it_is():
    async def test():
        async with pool("policy-1", "policy-1") as (made, smalls, _):
            for small in smalls:
                small.delay_s = 0.02
            first = await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(10)))
            assert Counter(first) == {0: 5, 1: 5}
            for _ in range(3):
                assert await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(10))) == first

    run(test)


@pytest.mark.parametrize("mode", ["500", "truncate", "refuse", "hang"])
def test_what_a_server_fails_another_one_answers(mode):
    async def test():
        async with pool("policy-1", "policy-1") as (made, _, wires):
            wires[0].mode = mode
            assert await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(6))) == [1] * 6
            assert made.retried >= 3
            wires[0].mode = "pass"
            await asyncio.sleep(1.5)
            told = await asyncio.gather(*(made.ask("/x", {}, f"q{i}", by) for i in range(6)))
            assert Counter(told) == {0: 3, 1: 3}  # it is back

    run(test)


def test_one_that_answers_its_health_alone_is_asked_again_elsewhere_in_time():
    async def test():
        async with pool("policy-1", "policy-1", timeout_s=0.3) as (made, _, wires):
            wires[0].mode, wires[0].paths = "hang", ("/x",)
            assert await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(4))) == [1] * 4

    run(test)


def test_a_short_failure_of_the_only_server_is_waited_for():
    async def test():
        async with pool("policy-1") as (made, _, wires):
            wires[0].mode = "refuse"
            asked = asyncio.create_task(made.ask("/x", {}, "p", by))
            await asyncio.sleep(0.5)
            wires[0].mode = "pass"
            assert await asked == 0

    run(test)


def test_when_no_server_is_left_one_error_says_so():
    async def test():
        async with pool("policy-1", "policy-1", patience_s=0.5, attempts=50) as (made, _, wires):
            for one in wires:
                one.mode = "refuse"
            with pytest.raises(EngineDown, match=r"policy-1: no server has answered for 0.5 s"):
                await made.ask("/x", {}, "p", by)

    run(test)


def test_a_problem_whose_call_no_server_answers_fails_alone():
    async def test():
        async with pool("policy-1", attempts=3) as (made, _, wires):
            wires[0].mode, wires[0].paths = "500", ("/poison",)
            with pytest.raises(RolloutError, match="asked 3 times without an answer"):
                await made.ask("/poison", {}, "p", by)
            assert await made.ask("/x", {}, "p", by) == 0

    run(test)


def test_a_wrong_request_is_not_asked_again():
    async def test():
        async with pool("policy-1") as (made, smalls, wires):
            smalls[0].status = 400
            with pytest.raises(RolloutError, match="400 as it was told"):
                await made.ask("/x", {}, "p", by)
            assert wires[0].seen.count("/x") == 1
            smalls[0].status = 200
            with pytest.raises(RolloutError, match="a reply of another form"):
                await made.ask("/x", {}, "p", lambda told: told["nothing"])

    run(test)


def test_a_server_of_another_model_is_refused_by_name():
    async def test():
        with pytest.raises(
            EngineDown, match=r"serves policy-2, and policy-1 is asked for: .*--served-model-name policy-1"
        ):
            async with pool("policy-1", "policy-2"):
                pass

    run(test)


def test_one_that_comes_back_with_another_model_is_refused_and_the_others_go_on():
    async def test():
        async with pool("policy-1", "policy-1") as (made, smalls, _):
            smalls[0].name, smalls[0].status = "policy-2", 404
            assert await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(4))) == [1] * 4
            assert "serves policy-2" in str(made.endpoints[0].refused)

    run(test)


def test_one_that_wants_another_key_meanwhile_is_refused_and_no_problem_fails():
    async def test():
        async with pool("policy-1", "policy-1") as (made, smalls, _):
            smalls[0].status, smalls[0].models = 401, (401, {"error": "Unauthorized"})
            assert await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(8))) == [1] * 8
            assert "VLLM_API_KEY" in str(made.endpoints[0].refused)

    run(test)


def test_of_many_bad_servers_each_is_asked_once_before_any_is_asked_again():
    async def test():
        async with pool(*["policy-1"] * 4, attempts=4) as (made, smalls, _):
            smalls[3].delay_s = 0.3
            told = await asyncio.gather(
                *(made.ask("/x", {}, f"p{i}", lambda told: {3: "good"}[told["by"]]) for i in range(20))
            )
            assert told == ["good"] * 20

    run(test)


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", " abc\r\n")
    how = VllmConfig(endpoints=("http://a:1",))
    assert Pool(MODEL, [], how)._client.headers["Authorization"] == "Bearer abc"
    monkeypatch.setenv("VLLM_API_KEY", "secr\u00e9t")
    with pytest.raises(ConfigError, match=r"^VLLM_API_KEY: [^é]*$"):
        Pool(MODEL, [], how)


def _alone(said: Connection) -> None:
    """A server in a process of its own, which says its address."""

    async def main() -> None:
        small = Small(0)
        small.delay_s = 0.5
        server = await asyncio.start_server(small.serve, "127.0.0.1", 0)
        said.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def alone() -> Iterator[str]:
    """The address of a server that shares no descriptors with the test."""
    spawning = multiprocessing.get_context("spawn")
    heard, said = spawning.Pipe(duplex=False)
    process = spawning.Process(target=_alone, args=(said,), daemon=True)
    process.start()
    try:
        assert heard.poll(20)
        yield heard.recv()
    finally:
        process.kill()
        process.join()


def test_too_few_descriptors_here_are_no_fault_of_the_server():
    async def test(url: str):
        made = Pool(MODEL, [Endpoint(url)], VllmConfig(endpoints=(url,), attempts=2))
        async with made.open():
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, limits[1]))
            try:
                told = await asyncio.gather(
                    *(made.ask("/x", {}, f"p{i}", by) for i in range(40)), return_exceptions=True
                )
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            failed = {str(one) for one in told if isinstance(one, RolloutError)}
            assert failed
            assert all("ulimit -n" in one for one in failed)
            assert 0 in told
            assert made.endpoints[0].up

    with alone() as url:
        run(lambda: test(url))


def test_a_folder_with_other_weights_under_the_same_name_is_refused(tmp_path):
    from rstar.engine.endpoints import _same_weights

    for name, content in (("own", b"a"), ("copy", b"a"), ("other", b"b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)
    assert _same_weights(str(tmp_path / "copy"), tmp_path / "own")
    assert _same_weights("/models/elsewhere", tmp_path / "own")  # it cannot be seen from here
    assert not _same_weights(str(tmp_path / "other"), tmp_path / "own")


def test_a_late_answer_is_hedged_where_that_is_asked_for():
    async def test():
        async with pool("policy-1", "policy-1", hedge_s=0.1) as (made, smalls, _):
            smalls[0].delay_s = 3.0
            assert await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(4))) == [1] * 4

    run(test)


def test_hedged_problems_are_spread_as_others_are_and_a_wrong_answer_is_its_writers():
    async def test():
        async with pool("policy-1", "policy-1", hedge_s=5.0) as (made, smalls, _):
            for small in smalls:
                small.delay_s = 0.02
            first = await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(10)))
            assert Counter(first) == {0: 5, 1: 5}
        async with pool("policy-1", "policy-1", hedge_s=0.1) as (made, smalls, _):
            smalls[0].delay_s = 1.0

            def only_of_the_first(told: Any) -> int:
                if told["by"] == 1:
                    raise ValueError("no answer at all")
                return 0

            assert await made.ask("/x", {}, "p", only_of_the_first) == 0  # the second one is avoided, not the first

    run(test)


def test_an_answer_that_drips_is_not_waited_for_without_end():
    async def test():
        async with pool("policy-1", "policy-1", timeout_s=0.5) as (made, smalls, _):
            smalls[0].drip_s = 0.2
            assert await asyncio.gather(*(made.ask("/x", {}, f"p{i}", by) for i in range(4))) == [1] * 4

    run(test)


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ((401, {"error": "Unauthorized"}), "401 .*VLLM_API_KEY"),
        ((200, {"data": [{"id": "policy-1"}]}), "no server has answered for 1 s .*KeyError 'max_model_len'"),
        ((200, ["nothing"]), "no server has answered for 1 s .*TypeError"),
    ],
)
def test_what_a_server_says_of_its_models_is_told_when_it_cannot_be_used(models, said):
    async def test():
        with pytest.raises(EngineDown, match=said):
            async with pool("policy-1", patience_s=1.0, models=models):
                pass

    run(test)


def test_a_pool_that_is_closed_right_after_a_failure_ends():
    async def test():
        for turns in range(6):
            async with pool("policy-1") as (made, _, _):
                made._doubt(made.endpoints[0], "it failed")
                for _ in range(turns):
                    await asyncio.sleep(0)

    run(test)


def test_who_stops_waiting_takes_the_request_back():
    async def test():
        async with pool("policy-1") as (made, smalls, _):
            smalls[0].delay_s = 10.0
            asked = asyncio.create_task(made.ask("/x", {}, "p", by))
            await asyncio.sleep(0.2)
            assert len(made.endpoints[0].running) == 1
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await asyncio.sleep(0)
            assert not made.endpoints[0].running

    run(test)
