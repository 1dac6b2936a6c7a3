"""WORDS: short word problems with invented verbs, the embedded family that shows self-evolution on a laptop.

A person starts with a number, and each event changes it in a way that only its verb tells. There are 32 verbs in four
sets; the bootstrap teacher knows the eight of set K. What the others mean stands nowhere: only search and verification
can find it. The family, its levels and its teacher are synthetic and seeded, and labelled so wherever results appear.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from rstar.core.problem import Demonstration, Problem
from rstar.search.calls import Completion, Generate
from rstar.text.grammar import END_STEP, PROMPT_HEAD, PROMPT_TAIL, Kind, Segment

NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivan", "Jo", "Kim", "Leo")
VERBS = (
    *("blicks", "daxes", "fepps", "gavens", "hupps", "jorgs", "kibbs", "lumps"),
    *("mabbs", "nizzes", "opps", "plons", "quibs", "runks", "sebbs", "tomas"),
    *("ulps", "vabbs", "wugs", "yunks", "zaffs", "brips", "clozes", "drents"),
    *("flims", "grons", "hazels", "jinks", "krolls", "lefts", "morps", "nards"),
)
NUMBERS = range(3, 61)
SHAPES: dict[str, Callable[[int, int], int]] = {
    "x + {n}": lambda x, n: x + n,
    "x - {n}": lambda x, n: x - n,
    "x * {n}": lambda x, n: x * n,
    "{n} - x": lambda x, n: n - x,
    "x + {n} + {n}": lambda x, n: x + n + n,
    "x - {n} - {n}": lambda x, n: x - n - n,
    "x + x + {n}": lambda x, n: x + x + n,
    "x + x - {n}": lambda x, n: x + x - n,
}
"""What a verb can mean, as the code of a step and as a function of the number before and the event's number."""
TURNED = {
    "x + {n}": "{n} + x",
    "x * {n}": "{n} * x",
    "x + {n} + {n}": "{n} + x + {n}",
    "x + x + {n}": "x + {n} + x",
    "x + x - {n}": "x - {n} + x",
}
"""The same with its terms in another order, where that changes nothing."""
LEVELS: dict[str, tuple[str, ...]] = {
    "L1": ("K", "KK"),
    "L2": ("KKK", "KKKK"),
    "L3": ("A", "KA"),
    "L4": ("AB", "KAB"),
    "L5": ("BC", "ABC"),
    "L6": ("CBC", "ABCC"),
}
LARGEST = 50_000
"""No intermediate value is larger, so that no chain of products runs away."""

_PROBLEM = re.compile(r"At first (\w+) has (\d+)\. (.*?) ?How many does \w+ have\?")
_EVENT = re.compile(r"\w+ (\w+) (\d+)\.")


def _meanings() -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Verb -> shape and set -> verbs, the same in every run: each set has every shape once."""
    rng = random.Random(7)
    verbs = list(VERBS)
    rng.shuffle(verbs)
    sets = {name: tuple(verbs[8 * i : 8 * i + 8]) for i, name in enumerate("KABC")}
    meaning: dict[str, str] = {}
    for members in sets.values():
        shapes = list(SHAPES)
        rng.shuffle(shapes)
        meaning.update(zip(members, shapes, strict=True))
    return meaning, sets


MEANING, SETS = _meanings()


def problems(counts: Mapping[str, int], seed: int, prefix: str, avoid: Sequence[Problem] = ()) -> list[Problem]:
    """`counts[level]` distinct problems a level, none with a text in `avoid`; ids are `prefix-level-number`."""
    seen = {problem.text for problem in avoid}
    out: list[Problem] = []
    for level, count in counts.items():
        rng = random.Random(f"{seed}|{level}")
        made = 0
        while made < count:
            text, answer = _draw(rng, level)
            if text not in seen:
                seen.add(text)
                out.append(Problem(f"{prefix}-{level}-{made}", text, str(answer), level))
                made += 1
    return out


def demonstrations(items: Sequence[Problem]) -> Iterator[Demonstration]:
    """The true worked steps of each problem."""
    for problem in items:
        name, start, events = read(problem.text)
        steps = [_step(f"{name} has {start}", str(start))]
        steps += [_step(f"{name} {verb} {n}", MEANING[verb].format(n=n)) for verb, n in events]
        yield Demonstration(problem, (*steps, LAST))


LAST = "# Now print the final answer\nprint(x)"


def read(text: str) -> tuple[str, int, list[tuple[str, int]]]:
    """(name, start, [(verb, number), ...]) of a problem's text. Raises ValueError on any other text."""
    match = _PROBLEM.search(text)
    if match is None:
        raise ValueError(f"not a WORDS problem: {text!r}")
    return match[1], int(match[2]), [(m[1], int(m[2])) for m in _EVENT.finditer(match[3])]


class Teacher:
    """The bootstrap's noisy scripted teacher: it knows the verbs of set K and errs on a share `noise` of the events.

    An error is another shape (7 in 10) or another number; at the start, which has no shape, the number alone (3 in 10).
    Any other verb gets a random shape. A share `turned` of the shapes that allow it has its terms in another order, so
    that a problem has several right solutions.
    """

    def __init__(self, noise: float = 0.15, turned: float = 0.0):
        self.noise = noise
        self.turned = turned

    def __call__(self, call: Generate) -> list[Completion]:
        """`call.n` continuations of the prompt by one step each, from the call's seed alone."""
        problem, _, solution = call.prompt.partition(PROMPT_TAIL)
        name, start, events = read(problem.removeprefix(PROMPT_HEAD))
        done = solution.count(END_STEP)
        rng = random.Random(call.seed)
        return [self._continue(rng, name, start, events, done) for _ in range(call.n)]

    def _continue(
        self, rng: random.Random, name: str, start: int, events: list[tuple[str, int]], done: int
    ) -> Completion:
        if done > len(events):
            text = Segment(Kind.LAST_STEP, LAST).render()
        elif done == 0:
            value = rng.choice(NUMBERS) if rng.random() < 0.3 * self.noise else start
            text = Segment(Kind.STEP, _step(f"{name} has {start}", str(value)), first=True).render()
        else:
            verb, n = events[done - 1]
            shape = MEANING[verb] if verb in SETS["K"] else rng.choice(list(SHAPES))
            used = n
            if rng.random() < self.noise:
                if rng.random() < 0.7:
                    shape = rng.choice(list(SHAPES))
                else:
                    used = rng.choice(NUMBERS)
            if self.turned and rng.random() < self.turned:
                shape = TURNED.get(shape, shape)
            text = Segment(Kind.STEP, _step(f"{name} {verb} {n}", shape.format(n=used))).render()
        return Completion(text, tokens=len(text.split()))


def _step(comment: str, value: str) -> str:
    return f"# {comment}\nx = {value}"


def _draw(rng: random.Random, level: str) -> tuple[str, int]:
    while True:
        kinds = list(rng.choice(LEVELS[level]))
        rng.shuffle(kinds)
        verbs: list[str] = []
        for kind in kinds:
            verbs.append(rng.choice([verb for verb in SETS[kind] if verb not in verbs]))
        start = rng.randint(10, 60)
        numbers = rng.sample([n for n in NUMBERS if n != start], len(verbs))
        name = rng.choice(NAMES)
        x = start
        values = [x := SHAPES[MEANING[verb]](x, n) for verb, n in zip(verbs, numbers, strict=True)]
        if all(abs(value) <= LARGEST for value in values):
            events = "".join(f"{name} {verb} {n}. " for verb, n in zip(verbs, numbers, strict=True))
            return f"At first {name} has {start}. {events}How many does {name} have?", x
