"""What runs inside a node: wait for a command, fork a child that is another node, or run one step in place.

A node owns one channel (`NODE_FD`) and one module namespace. Everything it needs later is bound here at import, and
this module has its own copy of the builtins, so a step that patches `builtins` or `os` hurts only itself.
"""

import builtins
import errno
import gc
import io
import sys
from _ast import Expr, Expression, Module, PyCF_ONLY_AST
from _socket import CMSG_SPACE, gaierror, socket
from collections.abc import Callable
from posix import _exit, close, dup2, getppid, write
from resource import RLIM_INFINITY, RLIMIT_AS, RLIMIT_CPU, RLIMIT_NOFILE
from sys import setprofile, settrace
from time import thread_time
from types import TracebackType
from typing import Any

from rstar.sandbox.wire import (
    BROKEN,
    CODE,
    FORK,
    FORKED,
    HAS_ERROR,
    HAS_VALUE,
    LOST_CHANNEL,
    NODE_FD,
    RESULT,
    RUN_HEAD,
    TRUNCATED,
)

globals()["__builtins__"] = dict(vars(builtins))

DENIED_ERRNOS = frozenset({errno.EPERM, errno.EACCES})
REFUSALS = (RuntimeError, "can't start new thread"), (ValueError, "not allowed to raise maximum limit")
"""Refused calls that Python does not report as an OSError."""

Outcome = tuple[int, str | None, str | None, int]
"""Status, repr of the last expression, error text, line of the error (-1: none)."""


class Sink(io.BufferedIOBase):
    """Where a stream's bytes end: all of them up to `limit`, then `overflow` is called and does not return."""

    def __init__(self, limit: int, overflow: Callable[[], None]):
        self.chunks: list[bytes] = []
        self.size = 0
        self.limit = limit
        self.overflow = overflow

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = len(data)
        self.size += size
        if self.size > self.limit:
            self.chunks.append(bytes(data[: self.limit]))
            self.overflow()
        self.chunks.append(bytes(data))
        return size


class EmptyInput(io.StringIO):
    """Standard input with nothing in it; remembers that a line was asked for."""

    asked = False
    buffer = io.BytesIO()

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]  # as in StringIO itself
        self.asked = True
        return ""


class Node:
    """One interpreter state and the loop that serves it.

    `fork` makes a child whose parent is the broker and returns its pid, 0 in the child, or minus an errno; `limit` sets
    a limit of this process (resource, soft, hard). `limits`: see `rstar.sandbox.config.Limits`. `memory` and `files`
    are what a step may use, and that plus a reserve, in which its end can be reported and an idle state forked.
    """

    memory = files = RLIM_INFINITY, RLIM_INFINITY

    def __init__(
        self,
        fork: Callable[[], int],
        in_child: Callable[[], None],
        limit: Callable[[int, int, int], None],
        limits: dict[str, Any],
    ):
        self.fork = fork
        self.in_child = in_child
        self.limit = limit
        self.out_chars: int = limits["out_chars"]
        self.cpu_s = int(limits["cpu_s"]) * 2 + 2  # a backstop behind the broker's clock, which is exact
        self.buffer = limits["max_code"] + 64
        self.channel = socket(fileno=NODE_FD)
        self.depth = self.born = 0
        self.began = 0.0
        self.frozen = False
        self.nonce = b""
        main = type(sys)("__main__")
        main.__dict__["__builtins__"] = builtins
        for name in ("exit", "quit"):  # what `site` would have added
            setattr(builtins, name, sys.exit)
        sys.modules["__main__"] = main
        self.space = main.__dict__
        self.sink = Sink(limits["hard_out"], self._overflow)
        self.errors = Sink(limits["hard_out"], self._overflow)
        self.stdout, self.stderr, self.stdin = _text(self.sink), _text(self.errors), EmptyInput()
        for name, stream in (("stdout", self.stdout), ("stderr", self.stderr), ("stdin", self.stdin)):
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)

    def serve(self) -> None:
        """Obey the broker until its end of the channel closes. Never returns, whatever a step left behind."""
        try:
            self._obey()
        finally:
            _exit(BROKEN)

    def _obey(self) -> None:
        recvmsg = self.channel.recvmsg
        space = CMSG_SPACE(4)
        while True:
            try:
                message, ancillary, _, _ = recvmsg(self.buffer, space)
            except OSError:
                _exit(LOST_CHANNEL)
            if not message:
                _exit(LOST_CHANNEL)
            if message[:1] == FORK:
                self._branch(int.from_bytes(ancillary[0][2][:4], sys.byteorder))
            else:
                self._run(message)

    def _branch(self, child_channel: int) -> None:
        if not self.frozen:
            gc.freeze()  # the children's collections then leave the pages they share with us alone
            self.frozen = True
        pid = self.fork()
        if pid:
            close(child_channel)
            self._send(FORKED.pack(b"P", max(pid, -1), -pid if pid < 0 else 0))
            return
        dup2(child_channel, NODE_FD)
        close(child_channel)
        self.in_child()
        self.frozen = False
        self.born = self.depth

    def _run(self, message: bytes) -> None:
        _, keep, self.nonce = RUN_HEAD.unpack_from(message)
        self.began = thread_time() if self.depth > self.born else 0.0  # a fork's clock starts with it
        self.depth += 1
        soft = self.cpu_s
        self.limit(RLIMIT_CPU, soft, soft + 60)
        self.limit(RLIMIT_AS, *self.memory)
        self.limit(RLIMIT_NOFILE, *self.files)
        try:
            outcome = self._step(message[RUN_HEAD.size :])
            self._report(*outcome)
        except MemoryError:
            self._breathe()
            outcome = CODE["memory"], None, "MemoryError", -1
            self._report(*outcome)
        if not keep or outcome[0] != CODE["ok"]:
            _exit(LOST_CHANNEL)
        self.limit(RLIMIT_CPU, soft + 60, soft + 60)
        self.limit(RLIMIT_NOFILE, self.files[1], self.files[1])
        self._breathe()

    def _step(self, source: bytes) -> Outcome:
        """Run one step in the namespace."""
        name = f"<step {self.depth}>"
        self.stdin.asked = False
        compiled = False
        value = None
        try:
            tree = compile(source.decode("utf-8", "surrogatepass"), name, "exec", PyCF_ONLY_AST, True, 0)
            body, last = _split(tree)
            run = compile(body, name, "exec", 0, True, 0)
            tail = compile(last, name, "eval", 0, True, 0) if last is not None else None
            compiled = True
            exec(run, self.space)
            if tail is not None:
                result = eval(tail, self.space)
                if result is not None:
                    value = str.__str__(repr(result))  # not a subclass with methods of its own
            settrace(None)
            setprofile(None)
            self._flush()
        except BaseException as failure:  # the outermost frame of foreign code: whatever it raised is its verdict
            try:
                settrace(None)
                setprofile(None)
            except BaseException:  # the profiler's last word; it is off now
                settrace(None)
            return self._failed(failure, compiled, name)
        return CODE["ok"], value, None, -1

    def _failed(self, failure: BaseException, compiled: bool, name: str) -> Outcome:
        try:
            status = self._classify(failure, compiled)
            line = (getattr(failure, "lineno", None) or -1) if status == CODE["syntax"] else -1
            return status, None, _describe(failure), line if line > 0 else _line(failure.__traceback__, name)
        except MemoryError:
            self._breathe()
            return CODE["memory"], None, "MemoryError", -1
        except BaseException:  # a foreign class may raise anything even when it is looked at
            return CODE["exception"], None, "an exception that cannot be shown", -1

    def _classify(self, failure: BaseException, compiled: bool) -> int:
        if isinstance(failure, MemoryError):
            self._breathe()
            return CODE["memory"]
        if isinstance(failure, SystemExit):
            return CODE["exit"]
        if isinstance(failure, RecursionError):
            return CODE["recursion"]
        if not compiled and isinstance(failure, SyntaxError | ValueError | OverflowError):
            return CODE["syntax"]
        if _refused(failure):
            return CODE["denied"]
        if isinstance(failure, OSError) and failure.errno == errno.ENOMEM:
            return CODE["memory"]
        if isinstance(failure, EOFError) and self.stdin.asked:
            return CODE["stdin"]
        return CODE["exception"]

    def _breathe(self) -> None:
        """Take the small reserve behind the soft limit."""
        most = self.memory[1]
        self.limit(RLIMIT_AS, most, most)

    def _flush(self) -> None:
        """Push out what is buffered: in the step's own `sys.stdout`, when it put one there, then in ours."""
        own = getattr(sys, "stdout", None)
        try:
            if own is not None and own is not self.stdout:
                own.flush()
        except MemoryError:
            raise
        except Exception:  # a stream of the step's own may raise anything
            pass
        try:
            io.TextIOWrapper.flush(self.stdout)
        except ValueError:  # the step closed or detached it
            return

    def _overflow(self) -> None:
        self._breathe()
        self._report(CODE["output_limit"], None, "output limit reached", -1)
        _exit(LOST_CHANNEL)

    def _report(self, status: int, value: str | None, error: str | None, line: int) -> None:
        if status != CODE["output_limit"]:
            self._flush()
        stdout, flag = b"", 0
        if self.sink.chunks:
            text = b"".join(self.sink.chunks).decode("utf-8", "replace")
            self.sink.chunks.clear()
            text, flag = _clip(text, self.out_chars)
            stdout = text.encode("utf-8", "replace")
        self.sink.size = self.errors.size = 0
        self.errors.chunks.clear()
        flags = flag
        shown = told = b""
        if value is not None:
            value, flag = _clip(value, self.out_chars)
            shown = value.encode("utf-8", "replace")
            flags |= flag | HAS_VALUE
        if error is not None:
            told = _clip(error, 1000)[0].encode("utf-8", "replace")
            flags |= HAS_ERROR
        cpu_s = thread_time() - self.began
        head = RESULT.pack(b"R", self.nonce, status, flags, line, cpu_s, len(stdout), len(shown), len(told))
        self._send(head + stdout + shown + told)

    def _send(self, message: bytes) -> None:
        try:
            write(NODE_FD, message)
        except OSError:
            _exit(LOST_CHANNEL)


def _text(sink: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(sink, encoding="utf-8", errors="replace", newline="\n")


def _split(tree: Any) -> tuple[Module, Expression | None]:
    """Take a final expression off the tree, so that its value can be shown."""
    if tree.body and isinstance(tree.body[-1], Expr):
        return tree, Expression(tree.body.pop().value)
    return tree, None


def _refused(failure: BaseException | None) -> bool:
    """Did the sandbox refuse something, whatever a library made of it (URLError, ConnectionError)?"""
    if any(type(failure) is kind and str(failure) == text for kind, text in REFUSALS):
        return True
    while failure is not None:
        system = isinstance(failure, OSError)
        if isinstance(failure, gaierror) or (isinstance(failure, OSError) and failure.errno in DENIED_ERRNOS):
            return True
        failure = failure.__cause__ or (failure.__context__ if system else None)
    return False


def _describe(failure: BaseException) -> str:
    kind = type(failure).__name__
    try:
        text = str.__str__(str(failure.msg if isinstance(failure, SyntaxError) else failure))
    except MemoryError:
        raise
    except BaseException:  # a foreign __str__ may raise anything
        text = "(its message cannot be shown)"
    text = " ".join(text[:5000].split())
    return f"{kind}: {text}" if text else kind


def _line(traceback: TracebackType | None, name: str) -> int:
    """The line of this step (not of a library, not of an earlier step) that was running, -1 when there is none."""
    line = -1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == name:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _clip(text: str, limit: int) -> tuple[str, int]:
    """At most `limit` characters, the middle left out."""
    if len(text) <= limit:
        return text, 0
    half = max(0, (limit - 5) // 2)
    return f"{text[:half]}\n...\n{text[len(text) - half :]}", TRUNCATED


def still_ours(broker: int) -> bool:
    """False when the broker died before the death signal was armed."""
    return getppid() == broker
