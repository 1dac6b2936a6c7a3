"""Is the engine the only limit? Searches on vLLM servers against a flat batch of the same work, and against lock-step.

    make setup-vllm
    python benchmarks/engine.py [--problems 64] [--live 64] [--rollouts 16] [--repeats 1] [--models FOLDER]

A policy and a PPM are trained from scratch on made solutions of 3 to 7 steps of 20 to 200 tokens, 80 on average (a
minute or two; `--models` keeps them). A CPU pays for each sequence of a batch, so that the half-empty batches of
lock-step cost it less than they cost a GPU. The policy server has a core of its own; all else shares the others. The
arms run in turn, each from empty prefix caches:

  async         MCTS over the problems, LIVE of them under way, by the driver
  flat          every Generate call that those searches made (prompt, seed, samples), all of them at once
  lock-step     the same searches in groups of LIVE, in which all wait for the slowest before each phase of each step
                (generate, execute, grade) and before each rollout, as in rStar-Math's solver
  async by PPM  MCTS guided by the PPM, which has a server on the cores of all else; two rollouts

Reported for each arm: the policy's output tokens a second, best of the repeats; "undisturbed" leaves out the time in
which the server's busiest thread was ready to run and others had its core. For the last arm: tokens that servers
encoded (prefilled or written) for each token of the trees. The floor is 1. What a request finds in the prefix cache
ends with a whole block, so that each sample and each scored sibling costs half a block more: 1 + 16 / 80 for blocks of
32. `ok` is async / flat >= 0.9, async / lock-step >= 1.5, encoded per tree token <= 1.3. The last line is JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import httpx
import psutil

from rstar.config.engine import LaunchConfig, VllmConfig
from rstar.config.run import RunConfig
from rstar.config.search import MctsConfig
from rstar.core.problem import Problem
from rstar.core.tree import Tree
from rstar.engine.codec import Codec
from rstar.engine.driver import Driver, Lane, Ticket, lane_name
from rstar.engine.endpoints import Pool
from rstar.engine.families import common
from rstar.engine.served import ServedPolicy, ServedValue, policy_lane, value_lane
from rstar.engine.servers import launched
from rstar.errors import RolloutError
from rstar.evaluate.report import markdown
from rstar.pipeline import engines
from rstar.pipeline.engines import Models
from rstar.pipeline.inspect import config
from rstar.pipeline.prepare import paths_of
from rstar.pipeline.round import run_round
from rstar.pipeline.search import Pass, grammar_of, world
from rstar.search.calls import Call, Execute, Generate, Score, Search, Together, Verify
from rstar.store.layout import CHECKPOINT
from rstar.text.prompts import Prompts

CONFIG = """\
name: engine
problems: {kind: files, train: train.jsonl, test: test.jsonl}
bootstrap: {kind: demonstrations, demonstrations: worked.jsonl, noise: 0.2}
grammar: {answer: printed}
model: {kind: tiny, hidden: 64, layers: 2, heads: 2, ffn: 192, context: 2048, dtype: float32,
  tokenizer: {numbers: whole}}
search: {rollouts: 2, candidates: 3, max_depth: 8, max_tokens: 320}
policy: {batch: 8, micro_batch: 8, steps: 120, optimizer: muon, lr: 6.0e-3, schedule: cosine, warmup: 10,
  max_length: 2048}
ppm: {batch: 8, micro_batch: 8, steps: 10, optimizer: muon, lr: 1.0e-3, max_length: 2048}
evaluate: {search: null, max_depth: 8, max_tokens: 320}
sandbox: {preload: []}
engine: {threads: 2}
rounds: [{}]
"""
SEARCH = MctsConfig(candidates=8, max_depth=8, max_tokens=320, temperature=0.7)
GUIDED = {"annotation": "ppm", "rollouts": 2}
POLICY_CORE = 0
BARS = {"async_over_flat": 0.9, "async_over_lock_step": 1.5, "policy_encoded": 1.3, "ppm_encoded": 1.3}

NAMES = ("Kim", "Tom", "Ada", "Lee", "Mia", "Ben", "Zoe", "Max")
THINGS = ("apples", "stamps", "coins", "shells", "books", "pens", "cards", "beads")
PLACES = ("at the market", "in the garden", "on the way home", "after school", "by the river", "from a neighbour")
REASONS = (
    "we take the number that we had before this step and change it by as much as the problem says,",
    "the amount from the last line is right and only this one event has to be added to it,",
    "nothing else happens in this sentence, so that the new amount follows from the old one in one small step,",
    "we keep the result in the same variable, because all later steps start from it, and do not print anything yet,",
    "and it is written down in the same way as before so that the next step can go on without looking back again,",
)


def reasons(rng: random.Random) -> str:
    """None to eight clauses of some 20 tokens, about three on average: steps of a model vary as much."""
    return " ".join(rng.choice(REASONS) for _ in range(min(8, int(rng.expovariate(0.3)))))


def story(rng: random.Random) -> tuple[str, list[str], int]:
    """A problem, its steps of some 20 to 200 tokens each, its answer."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    x = rng.randint(20, 90)
    told = [f"{name} has {x} {thing}."]
    steps = [f"# Step 1: the problem tells us that {name} has {x} {thing} at the beginning, {reasons(rng)}\nx = {x}"]
    for k in range(rng.randint(1, 5)):
        n, place, more = rng.randint(2, 19), rng.choice(PLACES), rng.random() < 0.5
        told.append(f"{name} {'gets' if more else 'loses'} {n} {place}.")
        steps.append(
            f"# Step {k + 2}: now {name} {'gets' if more else 'loses'} {n} {thing} {place}, {reasons(rng)}"
            f" and so there are {n} {thing} {'more' if more else 'less'}\nx = x {'+' if more else '-'} {n}"
        )
        x += n if more else -n
    steps.append(f"# Last step: how many {thing} {name} has in the end is what is asked for, {reasons(rng)}\nprint(x)")
    return f"{' '.join(told)} How many {thing} has {name} now?", steps, x


def build(folder: Path) -> RunConfig:
    """Round 1 of an evolution on such solutions, in this process: a policy and a PPM, as the pipeline leaves them."""
    rng = random.Random(1)
    rows = [(f"p{i}", *story(rng)) for i in range(120)]
    told = [{"id": i, "problem": p, "answer": str(x), "steps": steps} for i, p, steps, x in rows]
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("worked", told[:100]), ("train", told[100:116]), ("test", told[116:])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "run.yaml").write_text(CONFIG, encoding="utf-8")
    files = [f"problems.{name}={folder / name}.jsonl" for name in ("train", "test")]
    files += [f"bootstrap.demonstrations={folder / 'worked.jsonl'}", f"runtime.runs={folder / 'runs'}"]
    cfg = config([str(folder / "run.yaml"), *files])
    print("training a policy and a PPM ...", file=sys.stderr, flush=True)
    run_round(cfg, 1)
    return cfg


@dataclass
class Arm:
    """What one arm did: output tokens, seconds, and the seconds that neighbours took from the server's threads."""

    tokens: int
    seconds: float
    stolen_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds

    @property
    def undisturbed(self) -> float:
        return self.tokens / (self.seconds - self.stolen_s)


class Machine:
    """A server's process tree, seen by the kernel."""

    def __init__(self, url: str):
        port = int(url.rpartition(":")[2])
        owner = next(c.pid for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN")
        self.process = psutil.Process(owner)

    def bind(self, core: int) -> None:
        """Give the engine, though not what speaks HTTP for it, a core of its own."""
        engine = next(one for one in self.process.children(recursive=True) if "EngineCore" in one.name())
        for thread in engine.threads():
            os.sched_setaffinity(thread.id, {core})

    def read(self) -> dict[int, tuple[float, float]]:
        """Of each thread: the seconds it ran, and those it was ready and had no processor."""
        found = {}
        for one in [self.process, *self.process.children(recursive=True)]:
            for path in Path(f"/proc/{one.pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    ran, ready = (int(word) / 1e9 for word in (path / "schedstat").read_text().split()[:2])
                    found[int(path.name)] = (ran, ready)
        return found


@asynccontextmanager
async def served(cfg: RunConfig, role: str, seqs: int) -> AsyncIterator[Pool]:
    model = engines.served(role, (cfg.runtime.runs / cfg.name / "round-1" / role / CHECKPOINT).absolute())
    launch = LaunchConfig(
        arguments={
            "max-num-seqs": seqs,
            "kv-cache-memory-bytes": 2 << 30,
            "block-size": 32,
            "enforce-eager": True,
            "enable-chunked-prefill": False,
        },
        environment={
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": 1,
            "VLLM_ENABLE_V1_MULTIPROCESSING": 0,
            "VLLM_SERVER_DEV_MODE": 1,
            "HF_HUB_OFFLINE": 1,
        },
    )
    how = VllmConfig(launch=launch, concurrency=4096, health_s=300.0, patience_s=3600.0)  # a flat batch is a flood
    async with (
        launched(launch, model, "float32", role == "ppm", cfg.runtime.runs / "logs") as endpoints,
        Pool(model, endpoints, how).open(all_up=True) as pool,
    ):
        yield pool


async def emptied(pool: Pool) -> None:
    """Forget the prefixes of earlier arms."""
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"{pool.endpoints[0].url}/reset_prefix_cache")).raise_for_status()


async def timed(policy: ServedPolicy, machine: Machine, work: Callable[[], Awaitable[None]]) -> Arm:
    written, before, start = policy.counters.generated, machine.read(), time.monotonic()
    await work()
    seconds = time.monotonic() - start
    after = machine.read()
    spent = {tid: tuple(b - a for a, b in zip(before[tid], after[tid], strict=True)) for tid in before.keys() & after}
    busiest = max(spent.values())
    return Arm(policy.counters.generated - written, seconds, busiest[1], sum(ran for ran, _ in spent.values()))


def searches(cfg: RunConfig, problems: Sequence[Problem], how: MctsConfig) -> list[tuple[str, Search[Tree]]]:
    one = Pass(how, Prompts(grammar_of(cfg)))
    return [(problem.id, one.search(problem, 7)) for problem in problems]


def recorded(lane: Lane, calls: list[Ticket]) -> Lane:
    inner = lane.worker

    async def worker(tickets: Sequence[Ticket]) -> Any:
        calls.extend(tickets)
        return await inner(tickets)

    return replace(lane, worker=worker)


@dataclass
class Waiting:
    """A search in lock-step: what it asks for, and which rollout that belongs to."""

    search: Search[Tree]
    call: Call | Together = field(init=False)
    rollout: int = 0
    prompt: str = ""
    """Where its last expansion stood: the next one of the same rollout stands below it."""

    def __post_init__(self) -> None:
        self.asks(next(self.search))

    def asks(self, call: Call | Together) -> None:
        if isinstance(call, Generate):
            self.rollout += not call.prompt.startswith(self.prompt)
            self.prompt = call.prompt
        self.call = call


async def lock_step(asked: list[tuple[str, Search[Tree]]], lanes: dict[str, Lane], live: int) -> list[Tree]:
    """Groups of searches that wait for one another before each phase of each step, and before each rollout."""
    trees: list[Tree] = []
    for at in range(0, len(asked), live):
        waiting = {key: Waiting(search) for key, search in asked[at : at + live]}
        while waiting:
            now = min(one.rollout for one in waiting.values())
            for kind in (Execute, Score, Verify, Generate):
                phase = {k: one for k, one in waiting.items() if one.rollout == now and isinstance(one.call, kind)}
                replies = await asyncio.gather(
                    *(lanes[lane_name(one.call)].worker([Ticket(key, one.call)]) for key, one in phase.items())
                )
                for (key, one), reply in zip(phase.items(), replies, strict=True):
                    try:
                        one.asks(one.search.send(reply[0]))
                    except StopIteration as stop:
                        trees.append(stop.value)
                        del waiting[key]
                    except RolloutError:
                        del waiting[key]
    return trees


async def measured(
    cfg: RunConfig, problems: list[Problem], how: MctsConfig, live: int, seqs: int, repeats: int
) -> tuple[dict[str, list[Arm]], dict[str, dict[str, float]]]:
    """The arms; and what the one guided by the PPM encoded."""
    arms: dict[str, list[Arm]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        pools = {"policy": await stack.enter_async_context(served(cfg, "policy", seqs))}
        machine = Machine(pools["policy"].endpoints[0].url)
        machine.bind(POLICY_CORE)
        lanes, sandbox = await stack.enter_async_context(world(cfg, Models({}, {}), paths_of(cfg).servers))
        policy = ServedPolicy(pools["policy"])
        calls: list[Ticket] = []
        scored: list[Ticket] = []
        lanes |= {"generate:policy": recorded(policy_lane(policy), calls)}
        trees: list[Tree] = []

        async def by_driver() -> None:
            calls.clear()
            trees.clear()
            async for outcome in Driver(lanes, live).run(searches(cfg, problems, how)):
                assert outcome.result is not None, outcome.error
                trees.append(outcome.result)

        async def at_once() -> None:
            made = [(cast(Generate, ticket.call), ticket.key) for ticket in asked]
            await asyncio.gather(*(policy.answer(call, key, policy.prompt(call)) for call, key in made))

        async def together() -> None:
            await lock_step(searches(cfg, problems, how), lanes, live)

        async def arm(name: str, work: Callable[[], Awaitable[None]]) -> None:
            for pool in pools.values():
                await emptied(pool)
            arms[name].append(await timed(policy, machine, work))
            for problem in problems:
                await sandbox.release(problem.id)
            print(f"{name}: {arms[name][-1]}", file=sys.stderr, flush=True)

        for _ in range(repeats):
            await arm("async", by_driver)
            asked = list(calls)
            await arm("flat", at_once)
            await arm("lock-step", together)
        how = how.model_copy(update=GUIDED)
        pools["ppm"] = await stack.enter_async_context(served(cfg, "ppm", seqs))
        lanes |= {"score:ppm": recorded(value_lane(ServedValue(pools["ppm"])), scored)}
        before = {role: await pool.metrics() for role, pool in pools.items()}
        await arm("async by PPM", by_driver)
        spent = {role: await pool.metrics() - before[role] for role, pool in pools.items()}
        return arms, encoded(Prompts(grammar_of(cfg)), policy.codec, trees, scored, spent)


def encoded(
    prompts: Prompts, codec: Codec, trees: list[Tree], scored: list[Ticket], spent: dict[str, Counter[str]]
) -> dict[str, dict[str, float]]:
    """Tokens that servers encoded for each token of the trees: of all that was written, or of all that was scored."""
    texts = [prompts.policy(tree.problem) for tree in trees]
    texts += [node.text + (node.observation or "") for tree in trees for node in tree.nodes[1:]]
    again = sum(node.tokens * (node.count - 1) for tree in trees for node in tree.nodes[1:])
    prefixes = codec.encode([text for ticket in scored for text in cast(Score, ticket.call).prefixes])
    of = {"policy": sum(map(len, codec.encode(texts))) + again, "ppm": distinct(prefixes)}
    steps = [node.tokens for tree in trees for node in tree.nodes[1:]]
    table = {}
    for role, told in spent.items():
        tokens = of[role]
        read, hits = told["vllm:prompt_tokens_total"], told["vllm:prefix_cache_hits_total"]
        written = told["vllm:generation_tokens_total"] if role == "policy" else 0
        table[role] = {
            "tree tokens": tokens,
            "a step": round(statistics.mean(steps), 1),
            "read": read,
            "hit rate": round(hits / told["vllm:prefix_cache_queries_total"], 3),
            "prefilled": read - hits,
            "written": written,
            "encoded per tree token": round((read - hits + written) / tokens, 3),
        }
    return table


def distinct(prefixes: list[list[int]]) -> int:
    """The tokens of sequences, where those that begin alike share what they begin with."""
    total, before = 0, list[int]()
    for ids in sorted(prefixes):
        total += len(ids) - common(ids, before)
        before = ids
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--live", type=int, default=64, help="problems under way at once")
    parser.add_argument("--rollouts", type=int, default=16)
    parser.add_argument("--seqs", type=int, default=256, help="sequences in one batch of a server")
    parser.add_argument("--repeats", type=int, default=1, help="of the first three arms")
    parser.add_argument("--models", type=Path, help="keep the trained models in this folder, and use those in it")
    args = parser.parse_args()
    os.environ |= {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    rng = random.Random(9)
    problems = []
    for i in range(args.problems):
        text, _, answer = story(rng)
        problems.append(Problem(f"q{i}", text, str(answer)))
    how = SEARCH.model_copy(update={"rollouts": args.rollouts})
    with tempfile.TemporaryDirectory() as temporary:
        cfg = build(args.models or Path(temporary))
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {POLICY_CORE})  # and so all that is started from here
        arms, table = asyncio.run(measured(cfg, problems, how, args.live, args.seqs, args.repeats))
    best = {name: max(runs, key=lambda arm: arm.rate) for name, runs in arms.items()}
    free = {name: max(arm.undisturbed for arm in runs) for name, runs in arms.items()}
    rows = []
    for name, one in best.items():
        row = (f"{one.tokens:,}", f"{one.seconds:.1f}", f"{one.rate:,.0f}", f"{free[name]:,.0f}", f"{one.cpu_s:.1f}")
        rows.append([name, *row])
    print(markdown(["arm", "output tokens", "seconds", "tokens/s", "tokens/s undisturbed", "server CPU-s"], rows))
    head = list(table["policy"])
    print(markdown(["", *head], [[role, *(f"{its[name]:,}" for name in head)] for role, its in table.items()]))
    figures: dict[str, Any] = {}
    for other, name in (("flat", "async_over_flat"), ("lock-step", "async_over_lock_step")):
        figures[name] = round(best["async"].rate / best[other].rate, 3)
        figures[f"{name}_undisturbed"] = round(free["async"] / free[other], 3)
    figures |= {f"{role}_encoded": its["encoded per tree token"] for role, its in table.items()}
    figures |= {f"{role}_hit_rate": its["hit rate"] for role, its in table.items()}
    held = {n: figures[n] <= bar if n.endswith("encoded") else figures[n] >= bar for n, bar in BARS.items()}
    print(json.dumps({"name": "engine", "ok": all(held.values()), "figures": figures}))
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
