"""vLLM servers that run for as long as a block does, each in a process group of its own, started anew when they die."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rstar.config.engine import LaunchConfig
from rstar.engine import keeper
from rstar.engine.endpoints import Endpoint, Served
from rstar.errors import ConfigError

_GRACE_S = 20
"""For a server that is asked to stop."""
_PAUSE_S = 30.0
"""Longest pause before a server that failed to come up again is started once more."""
_STARTS = 5
"""Starts in a row that may fail of a server that had come up before, however long they take."""
_TAIL = 3000
NARROWEST = 32
"""Width of an attention head below which vLLM's CPU build takes no model."""

ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}


def command(
    how: LaunchConfig, model: Served, dtype: str, port: int, scores: bool, host: str = "127.0.0.1"
) -> list[str]:
    """The command line of a server. (`vllm serve` is broken in the CPU builds; this entry point is the same server.)

    Sampling goes by what requests say and not by the model's own defaults, which would change what a search is.
    """
    words = [str(how.python), "-m", "vllm.entrypoints.openai.api_server"]
    words += ["--model", str(model.path), "--served-model-name", model.name, "--host", host, "--port", str(port)]
    words += ["--dtype", dtype, "--generation-config", "vllm", "--enable-prefix-caching"]
    words += ["--shutdown-timeout", str(_GRACE_S), "--disable-uvicorn-access-log"]
    words += ["--runner", "pooling"] if scores else []
    words += ["--tensor-parallel-size", str(how.tensor_parallel)] if how.tensor_parallel > 1 else []
    for name, value in how.arguments.items():
        words += [f"--no-{name}" if value is False else f"--{name}"] + ([] if isinstance(value, bool) else [str(value)])
    return words


def environment(how: LaunchConfig, replica: int) -> dict[str, str]:
    """The variables of a replica, beside those of this process."""
    own = dict(ENVIRONMENT)
    if how.gpus:
        mine = how.gpus[replica * how.tensor_parallel : (replica + 1) * how.tensor_parallel]
        own["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, mine))
    return own | {name: str(value).replace("{replica}", str(replica)) for name, value in how.environment.items()}


def check_python(how: LaunchConfig, where: str) -> None:
    """Raises ConfigError, naming the setting `where` it stands, when the interpreter for servers cannot be run."""
    if not os.access(Path.cwd() / how.python, os.X_OK):
        raise ConfigError(
            f"{where}.launch.python: {how.python} cannot be run; `make setup-vllm` makes an environment with vLLM, or"
            " name the interpreter of another one"
        )


@asynccontextmanager
async def launched(
    how: LaunchConfig, model: Served, dtype: str, scores: bool, logs: Path
) -> AsyncIterator[Sequence[Endpoint]]:
    """The replicas of a model, being started; each one's log is `logs`/NAME-REPLICA.log. All gone when the block ends.

    A server that dies is started anew, on another port. One that does not come up at first is refused, with the end of
    its log; so is one that had come up and then fails to for `start_s`, five times at least.
    """
    logs.mkdir(parents=True, exist_ok=True)
    servers = [_Server(how, model, dtype, scores, replica, logs) for replica in range(how.replicas)]
    tasks = [asyncio.create_task(server.run()) for server in servers]
    try:
        yield [server.endpoint for server in servers]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Server:
    """One replica over all its starts."""

    def __init__(self, how: LaunchConfig, model: Served, dtype: str, scores: bool, replica: int, logs: Path):
        self.how, self.model, self.dtype, self.scores, self.replica = how, model, dtype, scores, replica
        self.log = logs / f"{model.name.replace('/', '_')}-{replica}.log"
        self.endpoint = Endpoint("", restart=self._kill)
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Start it, and anew when it has ended, until this is cancelled. What does not start at first is refused, and
        so is what has no log to write to."""
        try:
            await self._again_and_again()
        except OSError as error:
            self.endpoint.refuse(
                f"{self.model.name}: a server cannot be started: {self.log}: {error.strerror or error}"
            )

    async def _again_and_again(self) -> None:
        served, failed, well = False, 0, time.monotonic()
        while True:
            why = await self._once()
            served = served or self.endpoint.known
            failed, well = (0, time.monotonic()) if self.endpoint.known else (failed + 1, well)
            self.endpoint.url, self.endpoint.known = "", False
            self.endpoint.lost(why)
            if not served or (failed >= _STARTS and time.monotonic() - well > self.how.start_s):
                break  # at first it has a reason, which is to be seen at once
            await asyncio.sleep(min(_PAUSE_S, 2.0**failed - 1))
        self.endpoint.refuse(
            f"{self.model.name}: a server does not start ({why}); the end of {self.log}:\n{self._tail()}"
        )

    async def _once(self) -> str:
        """From start to end; why it ended."""
        port = _free_port()
        words = command(self.how, self.model, self.dtype, port, self.scores)
        with self.log.open("ab") as log:
            log.write(f"\n$ {' '.join(words)}\n".encode())
            log.flush()
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", keeper.__file__, str(_GRACE_S), *words),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | environment(self.how, self.replica),
                start_new_session=True,
            )
        assert process.stdin is not None
        ended = asyncio.create_task(process.wait())
        try:
            self.endpoint.url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + self.how.start_s
            while not self.endpoint.known and not ended.done():
                if time.monotonic() > deadline:
                    return f"not healthy within {self.how.start_s:g} s"
                await asyncio.wait([ended], timeout=0.2)
            await asyncio.wait([ended])
            return f"it ended with exit code {ended.result()}"
        except asyncio.CancelledError:
            with suppress(OSError):
                process.stdin.write(b"q")
                await process.stdin.drain()
            await asyncio.wait([ended], timeout=_GRACE_S + 5)
            raise
        finally:
            self._kill()
            await asyncio.wait([ended])

    def _kill(self) -> None:
        """End it at once: it hangs, or is no longer wanted."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # the keeper sees this as our end

    def _tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            return log.read().decode(errors="replace").strip()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
