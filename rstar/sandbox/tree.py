"""The execution tree as the broker sees it: live nodes, running steps, the clock, eviction and rebuilding by replay."""

import os
import time
from _socket import SCM_RIGHTS, SOL_SOCKET, socket
from array import array
from collections import OrderedDict, deque
from select import EPOLLIN, epoll
from typing import Any

from rstar.sandbox.process import (
    FORGED,
    HIDING,
    INFRA,
    NOBODY,
    OK,
    ROOT,
    Job,
    Node,
    Result,
    cause_of_death,
    channel_pair,
    cheapest,
    cpu_clock,
    end_strays,
    is_child,
    kill,
    own_children,
    parse,
    runnable,
    wait,
    wait_for_all,
    waited,
)
from rstar.sandbox.room import short_of_memory
from rstar.sandbox.wire import CODE, FORK, FORKED, MAX_RESULT, RUN, RUN_HEAD, digest

MEMORY_CHECK = 16
"""The memory that is left is looked at after so many forks."""

STARVED_S = 60.0
"""A step that the machine keeps waiting for so long beyond its wall limit is given up as infra."""


class Tree:
    """Every node of one broker."""

    def __init__(self, config: dict[str, Any], poll: epoll):
        limits = config["limits"]
        self.poll = poll
        self.cpu_s: float = limits["cpu_s"]
        self.wall_s: float = limits["wall_s"]
        self.max_code: int = limits["max_code"]
        self.slots: int = config["concurrency"]
        self.cap: int = config["live_states"]
        self.never: bool = config["keep"] == "never"
        self.by_fd: dict[int, Node] = {}
        self.pids: set[int] = set()
        self.strays: set[int] = set()
        self.live: OrderedDict[str, Node] = OrderedDict()
        self.running: dict[Node, None] = {}
        self.pending: OrderedDict[str, deque[Job]] = OrderedDict()
        self.rebuilding: dict[str, list[Job]] = {}
        self.finished: deque[tuple[Job, Result]] = deque()
        self.forks = self.evictions = self.replays = 0
        self.fork_s = self.replay_cpu_s = 0.0

    def plant(self, pid: int, sock: socket) -> None:
        """Make the zygote the root."""
        root = Node(pid, sock, None)
        root.state = ROOT
        self.live[ROOT] = root
        self.pids.add(pid)
        self.by_fd[sock.fileno()] = root
        self.poll.register(sock.fileno(), EPOLLIN)

    def submit(self, job: Job, state: str) -> None:
        """Queue a step on top of a live state."""
        size = len(job.code.encode("utf-8", "surrogatepass"))
        if size > self.max_code:
            text = f"SyntaxError: the step has {size} bytes of code, more than {self.max_code}"
            self._answer(job, CODE["syntax"], text)
            return
        job.source = self.live[state]
        job.source.wanted += 1
        self.pending.setdefault(job.group, deque()).append(job)

    def submit_after(self, job: Job, parent: str, chain: list[tuple[str, str, int]]) -> None:
        """Queue a step whose parent is not live: `chain` holds (state, code, digest) from the root to it."""
        if self.never:
            job.chain = [(code, check) for _, code, check in chain]
            job.replayed = len(chain)
            self.submit(job, ROOT)
            return
        waiting = self.rebuilding.get(parent)
        if waiting is not None:
            waiting.append(job)
            return
        self.rebuilding[parent] = [job]
        start, at = ROOT, 0
        for index, (state, _, _) in enumerate(chain):
            if state in self.live:
                start, at = state, index + 1
        *before, (_, code, check) = chain[at:]
        rebuild = Job(NOBODY, 0, parent, code, True, job.group)
        rebuild.chain = [(code, check) for _, code, check in before]
        rebuild.expected = check
        self.submit(rebuild, start)

    def hear(self, fd: int) -> None:
        """A node has something to say, or is gone."""
        node = self.by_fd.get(fd)
        if node is None:
            return
        try:
            message = node.sock.recv(MAX_RESULT)
        except ConnectionResetError:
            message = b""
        if not message:
            self._bury(node)
        elif message[:1] == b"P" and node.births and len(message) == FORKED.size:
            self._born(node, message)
        elif node.pid == 0:
            node.stash = node.stash[:1] or [message]  # more than one report is not asked for before it is known
        else:
            self._replied(node, message)

    def patience(self) -> float:
        """Seconds until some running step must be looked at; 0 when one can start, -1 when there is nothing to do."""
        if self.pending and len(self.running) < self.slots:
            return 0
        if not self.running:
            return -1
        return max(0.0, min(node.check_at for node in self.running) - time.monotonic())

    def tick(self) -> None:
        """Enforce the clock, and start what has been waiting."""
        now = time.monotonic()
        for node in list(self.running):
            if now >= node.check_at:
                self._check(node, now)
        self._dispatch()

    def drop(self, states: list[str]) -> None:
        """End these states' processes, where they are live."""
        for state in states:
            node = self.live.get(state)
            if node is not None and state != ROOT:
                del self.live[state]
                node.state = None
                self._retire(node)

    def fell(self) -> None:
        """The end: kill every node and wait for them."""
        for pid in own_children() | self.pids:
            kill(pid)
        wait_for_all()

    def counters(self) -> tuple[float, ...]:
        """As in `rstar.sandbox.wire.COUNTERS`."""
        queued = sum(len(jobs) for jobs in self.pending.values())
        forked = self.forks, self.fork_s, self.evictions
        return len(self.live) - 1, queued, *forked, self.replays, self.replay_cpu_s, time.process_time()

    def _dispatch(self) -> None:
        while self.pending and len(self.running) < self.slots:
            job = self._next()
            parent = job.source
            assert parent is not None
            parent.wanted -= 1
            if parent.state is None:
                self._answer(job, INFRA, "the parent state was lost while the step waited")
            else:
                self._fork(parent, job)

    def _next(self) -> Job:
        """The problems take turns, so that a wide one does not keep the others waiting."""
        group, jobs = self.pending.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self.pending[group] = jobs
        return job

    def _fork(self, parent: Node, job: Job) -> None:
        try:
            ours, theirs = channel_pair()
        except OSError as failure:
            self._again(job, f"the broker has no descriptor left ({failure.strerror})")
            return
        node = Node(0, ours, parent)
        node.job = job
        if parent.state is not None:
            self.live.move_to_end(parent.state)
        node.cost = parent.cost
        self.by_fd[ours.fileno()] = node
        self.poll.register(ours.fileno(), EPOLLIN)
        self.running[node] = None
        self._instruct(node)
        try:
            parent.sock.sendmsg([FORK], [(SOL_SOCKET, SCM_RIGHTS, array("i", [theirs.fileno()]))])
            parent.births.append(node)
        except OSError:  # the parent died; its own end of the channel tells the rest
            self._forget(node)
            self._answer(job, INFRA, "the parent state's process died")
        finally:
            theirs.close()
        self.forks += 1

    def _instruct(self, node: Node) -> None:
        """Send the node its next step: of the prefix while there is one, then the job's own."""
        job = node.job
        assert job is not None
        last = node.step == len(job.chain)
        code = job.code if last else job.chain[node.step][0]
        keep = not last or (job.keep and not self.never)
        node.nonce = os.urandom(8)
        node.started = time.monotonic()
        node.check_at = node.started + min(self.cpu_s, self.wall_s)
        if node.pid:
            node.cpu_from, node.waited_from = cpu_clock(node.pid), waited(node.pid)
        try:
            node.sock.send(RUN_HEAD.pack(RUN, keep, node.nonce) + code.encode("utf-8", "surrogatepass"))
        except OSError:  # it died since; the end of its channel tells
            node.check_at = node.started

    def _born(self, parent: Node, message: bytes) -> None:
        node = parent.births.popleft()
        _, pid, error = FORKED.unpack(message)
        if pid <= 0:
            job = node.job
            self._forget(node)
            if job is not None:
                self._again(job, f"fork failed: {os.strerror(error)}")
        elif pid in self.pids or not is_child(pid):
            forged = pid not in self.strays
            self._forget(node)
            if node.job is not None:
                self._answer(node.job, *(FORGED if forged else (INFRA, "the process was taken for a stray")))
            if forged:
                self._tampered(parent)
                self.strays |= end_strays(self.pids)  # there may be a child all the same
        else:
            self.strays.discard(pid)
            node.pid = pid
            self.pids.add(pid)
            node.parent = None
            self.fork_s += time.monotonic() - node.started
            if node.doomed:
                kill(pid)
            for stashed in node.stash:
                if stashed:
                    self._replied(node, stashed)
                else:
                    self._bury(node)
            node.stash = []
        if parent.doomed and not parent.births:
            kill(parent.pid)

    def _again(self, job: Job, reason: str) -> None:
        """The machine is short of something: make room and try once more."""
        source = job.source
        if not job.retried and source is not None and source.state is not None and self._evict():
            job.retried = True
            source.wanted += 1
            self.pending.setdefault(job.group, deque()).appendleft(job)
        else:
            self._answer(job, INFRA, reason)

    def _replied(self, node: Node, message: bytes) -> None:
        job = node.job
        parsed = parse(message, node.nonce)
        if job is None or parsed is None:
            self._tampered(node)
            return
        status, stdout, value, error, truncated, cpu = parsed
        wall = time.monotonic() - node.started
        node.cost += cpu
        prefix = node.step < len(job.chain)
        expected = job.chain[node.step][1] if prefix else job.expected
        if expected is not None:
            self.replays += 1
            self.replay_cpu_s += cpu
            if expected != digest(status, stdout, value):
                self._verdict(node, CODE["nondeterministic"], "replaying a step of the prefix gave another result")
                self._discard(node)
                return
            if prefix:
                node.step += 1
                self._instruct(node)
                return
        node.job = None
        del self.running[node]
        kept = status == OK and job.keep and not self.never
        if kept and job.state not in self.live:
            node.state = job.state
            self.live[job.state] = node
        else:
            self._discard(node)  # it is about to exit by itself; this makes sure
        if expected is not None:
            self._rebuilt(job, None)
        else:
            self.finished.append((job, (status, stdout, value, error, truncated, cpu, wall, job.replayed)))
        if kept:
            self._make_room()  # after the steps that wait for a rebuilt state have claimed it

    def _tampered(self, node: Node) -> None:
        self._verdict(node, *FORGED)
        if node.state is not None:
            self.live.pop(node.state, None)
            node.state = None
        self._discard(node)

    def _bury(self, node: Node) -> None:
        """The node's end is closed: it exited, was killed, or its step closed every descriptor."""
        if node.pid == 0 and node.parent is not None and node in node.parent.births:
            node.stash.append(b"")
            self.poll.unregister(node.sock.fileno())
            return
        self._forget(node)
        status, cpu, hid = wait(node.pid, patient=node.job is not None)
        self.pids.discard(node.pid)
        if node.births:  # one may have been forked and not confirmed; an innocent newborn is run again
            self.strays |= end_strays(self.pids)
        if node.state is not None:
            del self.live[node.state]
            if node.state == ROOT:
                raise SystemExit(3)  # nothing can be forked any more: the client starts another broker
            node.state = None
        fate = HIDING if hid else cause_of_death(status, node.pid)
        for child in node.births:
            job, child.job = child.job, None
            self._forget(child)
            if job is not None:
                self._answer(job, fate[0], f"the parent state's process died: {fate[1]}")
        if node.job is not None:
            node.cost += cpu
            self._verdict(node, *fate, cpu)

    def _check(self, node: Node, now: float) -> None:
        """A running step's time may be up. What it waited for the processor is the machine's doing, not the step's."""
        job = node.job
        if job is None or node.pid == 0:
            node.check_at = now + 0.05
            if now - node.started > STARVED_S + self.wall_s:
                self._verdict(node, INFRA, "the machine did not start the step in time")
                self._discard(node)
            return
        replay = node.step < len(job.chain) or job.expected is not None
        cpu_limit = self.cpu_s * 2 + 1 if replay else self.cpu_s
        wall_limit = self.wall_s * 2 + 1 if replay else self.wall_s
        cpu = cpu_clock(node.pid) - node.cpu_from
        elapsed = now - node.started
        own = elapsed - max(0.0, waited(node.pid) - node.waited_from)
        if cpu >= cpu_limit:
            self._verdict(node, CODE["timeout_cpu"], f"TimeoutError: more than {cpu_limit:g} s of CPU time")
        elif own >= wall_limit and not runnable(node.pid):
            self._verdict(node, CODE["timeout_wall"], f"TimeoutError: more than {wall_limit:g} s")
        elif elapsed >= STARVED_S + wall_limit:
            self._verdict(node, INFRA, "the machine gave the step no processor time")
        else:
            node.check_at = now + max(0.01, min(cpu_limit - cpu, wall_limit - own))
            return
        self._discard(node)

    def _verdict(self, node: Node, status: int, error: str, cpu: float | None = None) -> None:
        job, node.job = node.job, None
        self.running.pop(node, None)
        if job is not None:
            if node.step < len(job.chain) and status != INFRA:
                status, error = CODE["nondeterministic"], f"replaying a step of the prefix failed: {error}"
            if cpu is None:
                cpu = cpu_clock(node.pid) if node.pid else 0.0
            cpu -= node.cpu_from
            wall = time.monotonic() - node.started
            self._answer(job, status, error, max(cpu, 0.0), wall)

    def _answer(self, job: Job, status: int, error: str, cpu: float = 0.0, wall: float = 0.0) -> None:
        if job.request == NOBODY:
            self._rebuilt(job, (status, error))
        else:
            self.finished.append((job, (status, "", None, error, False, cpu, wall, job.replayed)))

    def _rebuilt(self, job: Job, failure: tuple[int, str] | None) -> None:
        for waiting in self.rebuilding.pop(job.state, []):
            if failure is None:
                waiting.replayed = len(job.chain) + 1
                self.submit(waiting, job.state)
            else:
                status = INFRA if failure[0] == INFRA else CODE["nondeterministic"]
                self._answer(waiting, status, failure[1])

    def _make_room(self) -> None:
        """Keep the live states under their cap, and fewer when the machine runs short of memory."""
        if len(self.live) > self.cap + 1:
            self._evict()
        if self.forks % MEMORY_CHECK == 0 and short_of_memory():
            for _ in range(len(self.live) // 8):
                self._evict()

    def _evict(self) -> bool:
        """End the cheapest of the least recently used idle states; False when there is none."""
        best = cheapest(self.live)
        if best is None or best.state is None:
            return False
        del self.live[best.state]
        best.state = None
        self.evictions += 1
        self._retire(best)
        return True

    def _retire(self, node: Node) -> None:
        """End an idle node, after the forks it still owes."""
        node.doomed = True
        if not node.births:
            self._discard(node)

    def _discard(self, node: Node) -> None:
        """Kill now; the process is waited for when its end of the channel closes."""
        node.doomed = True
        if node.pid:
            kill(node.pid)

    def _forget(self, node: Node) -> None:
        fd = node.sock.fileno()
        if fd >= 0 and self.by_fd.get(fd) is node:
            del self.by_fd[fd]
            if not node.stash:
                self.poll.unregister(fd)
            node.sock.close()
        self.running.pop(node, None)
