"""The problems of a run: drawn or read, apart from one another, and refused when they do not go together."""

import json
from pathlib import Path
from typing import Any

import pytest

from rstar.config.load import validate
from rstar.config.run import RunConfig
from rstar.data import sets
from rstar.errors import ConfigError, InputError

PRINTED = {"answer": "printed"}


def config(**changes: Any) -> RunConfig:
    return validate(RunConfig, {"name": "a", "rounds": [{}], "grammar": PRINTED, **changes}, "test")


def words(train: dict[str, int], boot: dict[str, int], **changes: Any) -> RunConfig:
    return config(
        problems={"kind": "words", "train": train, "test": 5, **changes},
        bootstrap={"kind": "teacher", "problems": boot},
    )


@pytest.fixture
def folder(tmp_path):
    """Files of four training problems, two held-out ones and three demonstrations."""
    write(tmp_path / "train.jsonl", [problem(f"a{i}") for i in range(4)])
    write(tmp_path / "test.jsonl", [problem(f"t{i}") for i in range(2)])
    write(tmp_path / "worked.jsonl", [{**problem(f"w{i}"), "steps": ["x = 1", "print(x)"]} for i in range(3)])
    return tmp_path


def problem(name: str) -> dict[str, Any]:
    return {"id": name, "problem": f"What is {name}?", "answer": "1"}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def files(folder: Path, bootstrap: dict[str, Any] | None = None, **changes: Any) -> RunConfig:
    source = {"kind": "files", "train": folder / "train.jsonl", "test": folder / "test.jsonl", **changes}
    worked = {"kind": "demonstrations", "demonstrations": folder / "worked.jsonl"}
    return config(problems=source, bootstrap=bootstrap or worked)


def ids(problems) -> list[str]:
    return [problem.id for problem in problems]


def test_words_sets_share_no_text_and_every_level_is_held_out():
    made = sets.make(words({"L1": 60, "L3": 20}, {"L1": 60, "L2": 20}, test=30))
    boot = {d.problem.text for d in made.bootstrap}
    train, test = {p.text for p in made.train}, {p.text for p in made.test}
    assert (len(boot), len(train), len(test)) == (80, 80, 180)
    assert not boot & train
    assert not test & (train | boot)
    assert {p.level for p in made.test} == {"L1", "L2", "L3", "L4", "L5", "L6"}
    assert all(len(d.steps) >= 3 for d in made.bootstrap)


def test_words_are_drawn_from_their_seeds():
    one, same, other = (sets.make(words({"L1": 5}, {"L1": 5}, seed=seed)) for seed in (1, 1, 2))
    assert one == same
    assert [p.text for p in one.train] != [p.text for p in other.train]
    later = sets.make(words({"L1": 5}, {"L1": 5}, test_seed=3))
    assert later.train == one.train
    assert [p.text for p in later.test] != [p.text for p in one.test]


def test_other_held_out_problems_are_none_that_a_run_knows():
    puzzles = {"kind": "countdown", "train": {"L3": 200}, "test": 20}
    boot = {"kind": "teacher", "problems": {"L2": 20}}
    rules: dict[str, Any] = {"task": "countdown", "grammar": {**PRINTED, "observe": True}, "bootstrap": boot}
    cfg, other = (config(problems={**puzzles, "test_seed": seed}, **rules) for seed in (888001, 3))
    own = sets.make(cfg)
    known = {p.text for p in (*own.train, *own.test, *(d.problem for d in own.bootstrap))}
    drawn = sets.make(other).test
    others = sets.others(cfg, 3)
    assert 0 < len(others) < len(drawn)
    assert others == [p for p in drawn if p.text not in known]
    with pytest.raises(InputError, match="test_seed: a has every problem that is drawn from the seed 888001"):
        sets.others(cfg, 888001)


def test_peoples_own_problems_are_not_drawn_anew(folder):
    with pytest.raises(InputError, match="test_seed: the problems of a are those of files, not drawn from a seed"):
        sets.others(files(folder), 3)


@pytest.mark.parametrize(
    ("train", "boot", "field"),
    [({"L9": 1}, {"L1": 1}, "problems.train.L9"), ({"L1": 1}, {"K": 1}, "bootstrap.problems.K")],
)
def test_an_unknown_level_is_named(train, boot, field):
    with pytest.raises(ConfigError, match=rf"{field}: there is no such level \(levels: L1, L2"):
        sets.make(words(train, boot))


def test_words_need_their_teacher(folder):
    worked = {"kind": "demonstrations", "demonstrations": folder / "worked.jsonl"}
    with pytest.raises(ConfigError, match=r"bootstrap\.kind"):
        sets.make(config(problems={"kind": "words"}, bootstrap=worked))


def test_the_teacher_does_not_know_peoples_own_problems(folder):
    with pytest.raises(ConfigError, match=r"bootstrap\.kind: `teacher` knows the embedded families only"):
        sets.make(files(folder, {"kind": "teacher"}))


def test_files_are_read_in_order(folder):
    made = sets.make(files(folder))
    assert (ids(made.train), ids(made.test)) == (["a0", "a1", "a2", "a3"], ["t0", "t1"])
    assert ids(d.problem for d in made.bootstrap) == ["w0", "w1", "w2"]
    limited = sets.make(files(folder, limit=3, test_limit=1))
    assert (ids(limited.train), ids(limited.test)) == (["a0", "a1", "a2"], ["t0"])


def test_a_model_searches_the_training_problems_without_steps(folder):
    made = sets.make(files(folder, {"kind": "model", "path": "some/model", "examples": folder / "worked.jsonl"}))
    assert ids(d.problem for d in made.bootstrap) == ids(made.train)
    assert {d.steps for d in made.bootstrap} == {()}


def test_a_share_of_the_demonstrations_is_drawn_with_the_seed(folder):
    write(folder / "worked.jsonl", [{**problem(f"w{i}"), "steps": ["print(1)"]} for i in range(50)])

    def drawn(share: float, seed: int) -> list[str]:
        source = {"kind": "demonstrations", "demonstrations": folder / "worked.jsonl", "share": share}
        cfg = files(folder, source).model_copy(update={"seed": seed})
        return ids(d.problem for d in sets.make(cfg).bootstrap)

    tenth = drawn(0.1, 1)
    assert len(tenth) == 5
    assert tenth == sorted(tenth, key=lambda name: int(name[1:])), "not in the file's order"
    assert drawn(0.1, 1) == tenth
    assert drawn(0.1, 2) != tenth
    assert len(drawn(0.001, 1)) == 1
    assert len(drawn(1.0, 1)) == 50


def test_an_id_in_both_sets_is_refused(folder):
    write(folder / "test.jsonl", [problem("t0"), problem("a2")])
    with pytest.raises(InputError, match="'a2' stands in both the training and the held-out problems"):
        sets.make(files(folder))


@pytest.mark.parametrize("numbers", ["plain", "named"])
def test_held_out_problems_that_stand_among_those_to_learn_from_are_known(folder, numbers):
    texts = {
        "t0": "Jo has 3 pens.",
        "t1": "Jo has 4 pens.",
        "t2": "jo has 5 pens",
        "t3": "Jo has -3 pens.",
        "t4": "Jo, 1, 23",
    }
    write(folder / "test.jsonl", [{**problem(name), "problem": text} for name, text in texts.items()])
    write(
        folder / "train.jsonl",
        [{**problem("a0"), "problem": "Jo has 3 pens."}, {**problem("a1"), "problem": "Jo, 12, 3"}],
    )
    write(folder / "worked.jsonl", [{**problem("w0"), "problem": "Jo has 5 pens!", "steps": ["print(1)"]}])
    assert sets.make(files(folder, numbers=numbers)).seen() == {"t0", "t2"}, (
        "numbers and signs count, punctuation does not"
    )


def test_embedded_families_hold_out_what_is_never_learned_from():
    assert not sets.make(words({"L1": 60, "L3": 20}, {"L1": 60, "L2": 20}, test=30)).seen()


def test_a_demonstration_that_is_not_python_is_named_with_its_file(folder):
    write(
        folder / "worked.jsonl",
        [{**problem("w0"), "steps": ["print(1)"]}, {**problem("w1"), "steps": ["x = 1", "x ="]}],
    )
    with pytest.raises(InputError, match=r"worked\.jsonl, demonstration 2 \('w1'\): step 2 is not Python"):
        sets.make(files(folder))


@pytest.mark.parametrize("kind", ["teacher", "demonstrations"])
def test_scripted_teachers_print_their_answers(folder, kind):
    cfg = words({"L1": 1}, {"L1": 1}) if kind == "teacher" else files(folder)
    boxed = cfg.model_copy(update={"grammar": cfg.grammar.model_copy(update={"answer": "boxed"})})
    with pytest.raises(ConfigError, match=r"grammar\.answer: .* `printed`"):
        sets.make(boxed)
