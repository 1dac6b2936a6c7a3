"""A network between a client and a server that can be cut, for tests: what comes through it is real, or is missing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Wire:
    """An address that passes HTTP requests on to another one, or does with those for `paths` what `mode` says:
    `pass`, `hang` (never answers), `500`, `truncate` (half of the answer, then the line is cut), `refuse` (cuts the
    line at once)."""

    upstream: tuple[str, int]
    mode: str = "pass"
    paths: tuple[str, ...] = ("/",)
    times: int = -1
    """How many requests are still spoilt; -1 for all."""
    seen: list[str] = field(default_factory=list)
    url: str = ""

    def _spoils(self, path: str) -> bool:
        if self.mode == "pass" or self.times == 0 or not path.startswith(self.paths):
            return False
        self.times -= self.times > 0
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                body = await reader.readexactly(_length(head))
                self.seen.append(path)
                spoilt = self._spoils(path)
                if spoilt and self.mode == "hang":
                    await asyncio.sleep(3600)
                if spoilt and self.mode == "refuse":
                    break
                if spoilt and self.mode == "500":
                    writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops")
                    await writer.drain()
                    continue
                answer = await self._ask(head, body)
                writer.write(answer[: len(answer) - 20] if spoilt else answer)
                await writer.drain()
                if spoilt:
                    break
        writer.close()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self.upstream)
        try:
            writer.write(head + body)
            told = await reader.readuntil(b"\r\n\r\n")
            return told + await reader.readexactly(_length(told))
        finally:
            writer.close()


@asynccontextmanager
async def wire(upstream: str) -> AsyncIterator[Wire]:
    """A wire to the server at an address; its own is `url`."""
    host, port = upstream.removeprefix("http://").split(":")
    one = Wire((host, int(port)))
    server = await asyncio.start_server(one._serve, "127.0.0.1", 0, limit=1 << 22)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
