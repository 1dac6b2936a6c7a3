"""Several servers of one model as one that answers: routing, health, retries.

A problem stays with the server that knows its prefixes; a new one goes to the server with the least to do. A server
that does not answer is left alone until its health is back, and what it was asked is asked elsewhere, so that a search
notices nothing. One that serves another model is refused.
"""

import asyncio
import errno
import os
import resource
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson
from prometheus_client.parser import text_string_to_metric_families
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from rstar.config.engine import VllmConfig
from rstar.errors import ConfigError, EngineDown, RolloutError
from rstar.store.fingerprint import file_sha256

T = TypeVar("T")

_MISSED = 3
"""Looks at a server's health in a row that it may miss."""
_SOON_S = 0.5
"""Between two looks at a server that is down."""
_PROBLEMS = 1 << 16
"""Problems whose server is remembered."""
_BUSY = frozenset({408, 409, 425, 429})
_WRONG = frozenset({400, 413, 422})
"""The request itself is wrong, wherever it is asked."""
_FREE = 2
"""How often a request may be lost with its server before it is suspected to be what ends servers."""
_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_OUT_OF_FILES = "this process may open no more files: raise `ulimit -n`, or lower engine.*.concurrency"


class Unanswered(Exception):
    """A request that got no usable answer, and may get one when it is asked again."""


class Lost(Unanswered):
    """Its server ended, or its connection, while it was under way: the fault of any request that was."""


@dataclass(eq=False, slots=True)
class Endpoint:
    """One server. `url` is empty while a launched one is being started."""

    url: str
    up: bool = False
    known: bool = False
    """It has been up, or was found not to be, since it was started."""
    refused: str | None = None
    """Why it is never asked again."""
    why: str = "it has not answered yet"
    """Why it is not up."""
    asked: int = 0
    running: set["asyncio.Task[httpx.Response]"] = field(default_factory=set)
    look: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: look at its health now."""
    restart: Callable[[], None] | None = None
    """Starts a launched server anew."""

    def lost(self, why: str) -> None:
        """It is down: whoever waits for it asks elsewhere."""
        self.up, self.why = False, why
        for task in self.running:
            task.cancel()
        self.look.set()

    def refuse(self, why: str) -> None:
        self.refused = why
        self.lost(why)


@dataclass(frozen=True, slots=True)
class Served:
    """A model as its servers must have it: the name they say, and its checkpoint (or its name on the hub)."""

    name: str
    path: Path


class Pool:
    """The servers of one model. Use as an asynchronous context: `async with pool.open(): ...`."""

    def __init__(self, model: Served, endpoints: Sequence[Endpoint], how: VllmConfig):
        self.model = model
        self.endpoints = list(endpoints)
        self.how = how
        self.positions = 0
        """Tokens of prompt and completion together that the servers take; known once one is up."""
        self.retried = 0
        """How often requests were asked again."""
        self._home: OrderedDict[str, Endpoint] = OrderedDict()
        self._changed = asyncio.Condition()
        self._alone = asyncio.Lock()
        """Held by the one request under way of those that are suspected."""
        key = _key()
        _make_room()
        # Servers are named by address: no proxy, and no pool that a slow one of them could fill for the others.
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(how.timeout_s, connect=10.0, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=4.0),
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            trust_env=False,
        )

    @asynccontextmanager
    async def open(self, all_up: bool = False) -> AsyncIterator["Pool"]:
        """Watch the servers until the block ends. Entered once one of them (or all) can be asked.

        Raises EngineDown when there is none in time, or when any serves another model.
        """
        async with self._client:
            watching = [asyncio.create_task(self._watch(one)) for one in self.endpoints]
            try:
                await self._until((lambda: all(one.up for one in self.endpoints)) if all_up else self._settled, True)
                yield self
            finally:
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)

    async def ask(self, path: str, body: dict[str, Any], key: str, read: Callable[[Any], T]) -> T:
        """POST `body` for the problem `key`; `read` turns the JSON into what is wanted, and raises on a wrong form.

        Asked again, at another server where there is one, when it gets no usable answer. One that was lost with its
        server is not blamed at once, since all that were under way were lost with it; from the third time on it is
        suspected, and asked when no other suspect is, so that what ends servers fails alone. Raises RolloutError when
        the request itself is wrong or has been asked often enough, EngineDown when no server is left.
        """
        content = orjson.dumps({"model": self.model.name, **body})
        avoided: list[Endpoint] = []
        asked = lost = 0
        retrying = AsyncRetrying(
            stop=lambda state: asked - min(lost, _FREE) >= self.how.attempts,
            wait=wait_random_exponential(multiplier=0.1, max=5.0),
            retry=retry_if_exception_type(Unanswered),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    async with self._alone if lost >= _FREE else nullcontext():
                        asked += 1
                        try:
                            return await self._once(path, content, key, read, avoided)
                        except Lost:
                            lost += 1
                            raise
        except Unanswered as error:
            raise RolloutError("engine", f"asked {asked} times without an answer; at last {error}") from error
        raise AssertionError("unreachable")

    async def metrics(self) -> Counter[str]:
        """The counters of all servers that are up, summed: `vllm:prompt_tokens_cached_total` and the like."""
        total: Counter[str] = Counter()
        for one in self.endpoints:
            if one.up:
                text = (await self._client.get(f"{one.url}/metrics")).text
                for family in text_string_to_metric_families(text):
                    for sample in family.samples:
                        if family.type == "counter" and sample.name.endswith("_total"):
                            source = sample.labels.get("source")
                            total[sample.name + (f"/{source}" if source else "")] += int(sample.value)
        return total

    async def _once(self, path: str, content: bytes, key: str, read: Callable[[Any], T], avoided: list[Endpoint]) -> T:
        one = await self._endpoint(key, avoided)
        try:
            if self.how.hedge_s is None:
                return read(await self._answer(one, path, self._send(one, path, content)))
            one, told = await self._hedged(one, path, content, self.how.hedge_s, avoided)
            return read(told)
        except Unanswered:
            avoided.append(one)
            self.retried += 1
            raise
        except (KeyError, IndexError, TypeError, ValueError) as error:
            avoided.append(one)
            self.retried += 1
            why = f"a reply of another form ({type(error).__name__}: {error})"
            self._doubt(one, why)
            raise Unanswered(f"{one.url}{path}: {why}") from error

    async def _hedged(
        self, one: Endpoint, path: str, content: bytes, hedge_s: float, avoided: Sequence[Endpoint]
    ) -> tuple[Endpoint, Any]:
        """The first answer of two servers, and whose it is; the second one is asked when the first is late."""
        sent = [self._send(one, path, content)]
        first = asyncio.create_task(self._answer(one, path, sent[0]))
        whose = {first: one}
        try:
            await asyncio.wait(whose, timeout=hedge_s)
            others = [other for other in self.endpoints if other.up and other is not one and other not in avoided]
            if not first.done() and others:
                other = min(others, key=lambda its: len(its.running))
                sent.append(self._send(other, path, content))
                whose[asyncio.create_task(self._answer(other, path, sent[1]))] = other
            pending = set(whose)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                good = next((task for task in done if task.exception() is None), None)
                if good is not None:
                    return whose[good], good.result()
            return one, first.result()
        finally:
            for task in (*whose, *sent):
                task.cancel()

    def _send(self, one: Endpoint, path: str, content: bytes) -> asyncio.Task[httpx.Response]:
        """Send a request to a server; it counts among those under way from now on."""
        task = asyncio.create_task(self._client.post(f"{one.url}{path}", content=content))
        one.running.add(task)
        one.asked += 1
        task.add_done_callback(one.running.discard)
        return task

    async def _answer(self, one: Endpoint, path: str, sent: asyncio.Task[httpx.Response]) -> Any:
        """The JSON that a server answers to what was sent. Raises Unanswered or RolloutError."""
        where = f"{one.url}{path}"
        try:
            async with asyncio.timeout(self.how.timeout_s):
                response = await sent
        except asyncio.CancelledError:
            own = asyncio.current_task()
            sent.cancel()
            if own is not None and own.cancelling():
                raise
            raise Lost(f"{where}: the server was lost ({one.why})") from None
        except (httpx.RequestError, TimeoutError) as error:
            if _out_of_files(error):
                raise Unanswered(f"{where}: {_OUT_OF_FILES}") from error
            self._doubt(one, type(error).__name__)
            late = isinstance(error, TimeoutError | httpx.TimeoutException)
            raise (Unanswered if late else Lost)(f"{where}: {type(error).__name__} {error}".rstrip()) from error
        if response.status_code == 200:
            try:
                return orjson.loads(response.content)
            except orjson.JSONDecodeError as error:
                raise Unanswered(f"{where}: not JSON") from error
        said = f"{where}: {response.status_code} {_message(response)}"
        if response.status_code in _WRONG:
            raise RolloutError("engine", said)
        if response.status_code not in _BUSY:
            self._doubt(one, said)  # it fails, has lost its model, or wants another key: the next look says so
        raise Unanswered(said)

    def _doubt(self, one: Endpoint, why: str) -> None:
        """Leave a server alone until a look at its health says that it is well."""
        one.up, one.why = False, why
        one.look.set()

    async def _endpoint(self, key: str, avoided: list[Endpoint]) -> Endpoint:
        """The server of a problem; another one where that is down or has failed it, until all have. Waits while all
        are down."""
        if not any(one.up for one in self.endpoints):
            await self._until(lambda: any(one.up for one in self.endpoints))
        up = [one for one in self.endpoints if one.up]
        if all(one in avoided for one in up):
            del avoided[:-1]
        wanted = [one for one in up if one not in avoided] or up
        home = self._home.get(key)
        if home is None or home not in wanted:
            home = min(wanted, key=lambda one: (len(one.running), one.asked))
            self._home[key] = home
            if len(self._home) > _PROBLEMS:
                self._home.popitem(last=False)
        return home

    def _settled(self) -> bool:
        """Every server has been looked at, and one can be asked."""
        return any(one.up for one in self.endpoints) and all(one.known for one in self.endpoints)

    async def _until(self, true: Callable[[], bool], starting: bool = False) -> None:
        """Wait for a change of the servers. Raises EngineDown once it cannot come, or has not come in time.

        While they are `starting` any that is refused is one too many. Launched ones have limits of their own: of the
        time that a start takes, and of starts that fail.
        """
        launched = any(one.restart for one in self.endpoints)
        deadline = time.monotonic() + self.how.patience_s
        async with self._changed:
            while True:
                refused = [one for one in self.endpoints if one.refused]
                if len(refused) == len(self.endpoints) or (refused and starting):
                    raise EngineDown("; ".join(str(one.refused) for one in refused))
                if true():
                    return
                left = deadline - time.monotonic()
                if left <= 0 and not launched:
                    why = "; ".join(f"{one.url}: {one.why}" for one in self.endpoints)
                    raise EngineDown(
                        f"{self.model.name}: no server has answered for {self.how.patience_s:g} s ({why}). What is"
                        " finished is kept: mend the servers and start again"
                    )
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if launched else left):  # wait_for may swallow a cancellation
                        await self._changed.wait()

    async def _watch(self, one: Endpoint) -> None:
        """Look at a server's health for ever."""
        missed = 0
        while True:
            if one.url and one.refused is None:
                url = one.url
                why = await self._look(one)
                if one.url != url:
                    continue  # it was started anew meanwhile
                missed = 0 if why is None else missed + 1
                if why is None:
                    one.up = one.known = True
                elif not one.up or missed >= _MISSED:
                    one.known = one.known or one.restart is None
                    if missed == _MISSED and one.known:
                        one.lost(why)
                        if one.restart is not None:
                            one.restart()
                    one.why = why
            async with self._changed:
                self._changed.notify_all()
            one.look.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.how.health_s if one.up else _SOON_S):
                    await one.look.wait()

    async def _look(self, one: Endpoint) -> str | None:
        """What is wrong with a server; None when it is well and serves the model."""
        url = one.url
        try:
            healthy = await self._client.get(f"{url}/health", timeout=self.how.health_s)
            if healthy.status_code != 200:
                return f"its health is {healthy.status_code}"
            if one.up:
                return None
            told = await self._client.get(f"{url}/v1/models", timeout=self.how.health_s)
            if told.status_code in (401, 403):
                one.refuse(f"{url}: {told.status_code} {_message(told)}: VLLM_API_KEY has to be the server's key")
                return one.refused
            models = orjson.loads(told.content)["data"]
            card = next((card for card in models if card["id"] == self.model.name), None)
            positions = int(card["max_model_len"]) if card is not None else 0
        except (httpx.HTTPError, httpx.InvalidURL, KeyError, TypeError, ValueError) as error:
            if _out_of_files(error):
                return None if one.up else _OUT_OF_FILES
            return f"{type(error).__name__} {error}".rstrip()
        if card is None:
            have = ", ".join(str(card["id"]) for card in models) or "nothing"
            one.refuse(
                f"{url} serves {have}, and {self.model.name} is asked for: start it on {self.model.path} with"
                f" --served-model-name {self.model.name}"
            )
        elif not await self._has_weights(one, card.get("root")):
            one.refuse(
                f"{url} says that it serves {self.model.name}, but the weights in {card['root']} are not those of"
                f" {self.model.path}"
            )
        elif self.positions and positions != self.positions:
            one.refuse(f"{url} takes {positions} tokens, the other servers {self.positions}")
        else:
            self.positions = positions
        return one.refused

    async def _has_weights(self, one: Endpoint, root: str | None) -> bool:
        one.why = "its weights are being compared with the model's"
        return await asyncio.to_thread(_same_weights, root, self.model.path)


def _key() -> str | None:
    """VLLM_API_KEY, where it is set. Raises ConfigError where no header can hold it; it is in no message."""
    key = os.environ.get("VLLM_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("VLLM_API_KEY: it holds characters that no HTTP header can; look at how it is set")
    return key or None


def _make_room() -> None:
    """Let this process have a connection for each call beside all else, as far as its hard limit goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _out_of_files(error: BaseException | None) -> bool:
    """Whether a connection failed for want of a descriptor on our side, which is no server's fault."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, OSError) and error.errno in _FILES:
            return True
        group = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        error, seen = (group[0] if group else error.__cause__ or error.__context__), seen + 1
    return False


def _same_weights(root: str | None, path: Path) -> bool:
    """Whether the folder that a server says it read holds a model's weights, where both can be seen from here."""
    if root is None or Path(root) == path:
        return True
    try:
        theirs, own = ({one.name: one for one in Path(its).glob("*.safetensors")} for its in (root, path))
        if not theirs or not own or Path(root).samefile(path):
            return True
        return theirs.keys() == own.keys() and all(_hash(theirs[name]) == _hash(own[name]) for name in own)
    except OSError:
        return True


def _hash(file: Path) -> str:
    about = file.stat()
    return _hash_of(file, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=1024)
def _hash_of(file: Path, size: int, changed_ns: int) -> str:
    """A file's sha256, read again only once it has changed: servers are looked at often."""
    return file_sha256(file)


def _message(response: httpx.Response) -> str:
    try:
        return str(orjson.loads(response.content)["error"]["message"])[:300]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return response.text[:300].strip()
