"""Settings from files and the command line: how they are merged, and what is said about wrong ones."""

from pathlib import Path

import pytest

from rstar.config.load import load
from rstar.config.run import RunConfig, merge
from rstar.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    """Writes a settings file, returns its path."""

    def write(text: str, name: str = "run.yaml") -> Path:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def wrong(*sources) -> str:
    """What is said about sources that are wrong."""
    with pytest.raises(ConfigError) as caught:
        load(RunConfig, sources)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


MINIMAL = "name: a\nrounds: [{}]\n"


@pytest.mark.parametrize(
    ("under", "over", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2, 3]}, {"a": [4]}, {"a": [4]}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"kind": "words", "test": 3}, {"test": 4}, {"kind": "words", "test": 4}),
        ({"kind": "words", "test": 3}, {"kind": "words"}, {"kind": "words", "test": 3}),
        ({"kind": "words", "test": 3}, {"kind": "files", "train": "t"}, {"kind": "files", "train": "t"}),
        ({"test": 3}, {"kind": "files"}, {"test": 3, "kind": "files"}),
    ],
)
def test_mappings_merge_and_everything_else_is_replaced(under, over, expected):
    assert merge(under, over) == expected


def test_merging_changes_neither_side():
    under, over = {"a": {"x": 1}}, {"a": {"y": 2}}
    merge(under, over)
    assert (under, over) == ({"a": {"x": 1}}, {"a": {"y": 2}})


def test_files_are_merged_left_to_right_and_overrides_come_last(file):
    first = file("name: a\nseed: 1\nsearch: {rollouts: 4, candidates: 3}\nrounds: [{}]\n")
    second = file("seed: 2\nsearch: {rollouts: 5}\n", "more.yaml")
    cfg = load(RunConfig, [first, second])
    assert (cfg.seed, cfg.rounds[0].search.rollouts, cfg.rounds[0].search.candidates) == (2, 5, 3)
    for sources in ([first, second, "search.rollouts=6"], ["search.rollouts=6", first, second]):
        assert load(RunConfig, sources).rounds[0].search.rollouts == 6


def test_what_stands_for_all_rounds_is_changed_in_part_by_a_round(file):
    path = file(
        "name: a\nsearch: {rollouts: 9, c: 1.5}\nretry: [32]\npolicy: {steps: 10, lr: 0.1}\n"
        "rounds:\n  - {}\n  - search: {rollouts: 20}\n    retry: []\n  - policy: {lr: 0.2}\n    ppm: null\n  -\n"
    )
    one, two, three, four = load(RunConfig, [path]).rounds
    assert [(r.search.rollouts, r.search.c, r.retry) for r in (one, two)] == [(9, 1.5, (32,)), (20, 1.5, ())]
    assert (three.policy.steps, three.policy.lr, three.ppm) == (10, 0.2, None)
    assert four == one


def test_a_null_of_a_round_is_still_there_when_the_config_is_read_back(file):
    cfg = load(RunConfig, [file("name: a\nsearch: {enough: 3}\nrounds:\n  - search: {enough: null}\n  - {}\n")])
    assert [one.search.enough for one in cfg.rounds] == [None, 3]
    assert RunConfig.model_validate(cfg.model_dump(mode="json")) == cfg


def test_an_override_for_all_rounds_leaves_what_a_round_says_itself(file):
    path = file("name: a\nrounds: [{search: {rollouts: 3}}, {}]\n")
    assert [r.search.rollouts for r in load(RunConfig, [path, "search.rollouts=7"]).rounds] == [3, 7]


def test_a_file_starts_from_those_it_includes(file):
    file("seed: 5\nsearch: {rollouts: 3, c: 1.0}\n", "shared/base.yaml")
    file("search: {c: 0.5}\n", "shared/more.yaml")
    file("include: [base.yaml, more.yaml]\ngrammar: {observe: true}\n", "shared/both.yaml")
    cfg = load(RunConfig, [file(f"include: [shared/both.yaml]\n{MINIMAL}seed: 6\n")])
    assert (cfg.seed, cfg.grammar.observe) == (6, True)
    assert (cfg.rounds[0].search.rollouts, cfg.rounds[0].search.c) == (3, 0.5)


@pytest.mark.parametrize("value", ["base.yaml", "3", "[3]", "{a: b}"])
def test_include_is_a_list_of_names(file, value):
    path = file(f"include: {value}\n{MINIMAL}")
    assert wrong(path).startswith(f"{path}: include: a list of file names")


def test_a_file_that_includes_itself_is_refused(file):
    file("include: [run.yaml]\n", "other.yaml")
    assert "includes itself" in wrong(file("include: [other.yaml]\n"))


def test_a_missing_include_is_named(file, tmp_path):
    assert wrong(file("include: [gone.yaml]\n")).startswith(f"{tmp_path / 'gone.yaml'}: cannot be read")


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("seed=7", lambda cfg: cfg.seed, 7),
        ("search.rollouts=32", lambda cfg: cfg.rounds[0].search.rollouts, 32),
        ("rounds.1.search.rollouts=33", lambda cfg: [r.search.rollouts for r in cfg.rounds], [16, 33]),
        ("rounds.0={search: {c: 0.5}}", lambda cfg: cfg.rounds[0].search.c, 0.5),
        ("retry=[4, 8]", lambda cfg: cfg.rounds[1].retry, (4, 8)),
        ("ppm=null", lambda cfg: cfg.rounds[1].ppm, None),
        ("rounds.1.ppm=", lambda cfg: [r.ppm is None for r in cfg.rounds], [False, True]),
        ("rounds.1.ppm.lr=0.5", lambda cfg: cfg.rounds[1].ppm.lr, 0.5),
        ("control=true", lambda cfg: cfg.control, True),
        ("problems.train={L1: 3}", lambda cfg: cfg.problems.train, {"L1": 3}),
        ("model.path=x=y", lambda cfg: cfg.model.path, "x=y"),
    ],
)
def test_dotted_overrides(file, override, read, expected):
    path = file("name: a\nrounds: [{}, {}]\nproblems: {kind: words}\nmodel: {kind: hub, path: p}\n")
    assert read(load(RunConfig, [path, override])) == expected


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("rounds.2.search.rollouts=1", "rounds has positions 0 to 1, not '2'"),
        ("rounds.first.retry=[1]", "rounds has positions 0 to 1, not 'first'"),
        ("seed.x=1", "seed is a value, not a section"),
        ("seed={", "the value is not YAML"),
    ],
)
def test_wrong_overrides_are_named(file, override, said):
    assert wrong(file("name: a\nseed: 1\nrounds: [{}, {}]\n"), override) == f"{override}: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nmae: b\n", "nmae is not a setting"),
        ("search: {rolouts: 3}\n", "search.rolouts is not a setting"),
        ("problems: {kind: words, tran: {}}\n", "problems.tran is not a setting"),
        ("problems: {tran: {}, kind: words}\n", "problems.tran is not a setting"),
        ("policy: {augment: {kind: words, verb: 1}}\n", "policy.augment.verb is not a setting"),
        ("model: {kind: tiny, tokenizer: {number: whole}}\n", "model.tokenizer.number is not a setting"),
        ("sandbox: {limits: {cpus: 1}}\n", "sandbox.limits.cpus is not a setting"),
        ("seed: many\n", "seed: Input should be a valid integer"),
        ("seed: -1\n", "seed: Input should be greater than or equal to 0, not -1"),
        ("search: {rollouts: 0}\n", "search.rollouts: Input should be greater than or equal to 1, not 0"),
        ("search: {annotation: orm}\n", "search.annotation: Input should be 'terminal' or 'ppm', not 'orm'"),
        ("search: {rollouts: [3]}\n", "search.rollouts: Input should be a valid integer"),
        ("problems: {test: 3}\n", "problems.kind is missing"),
        ("problems: {kind: files}\n", "problems.train is missing; problems.test is missing"),
        ("bootstrap: {kind: demonstrations}\n", "bootstrap.demonstrations is missing"),
        ("problems: {kind: none}\n", "problems: Input tag 'none'"),
        ("model: {kind: tiny, hidden: 30}\n", "model: hidden = 30 must be an even multiple of heads = 4"),
        ("search: {annotation: ppm}\n", "rounds.0.search.annotation: there is no PPM before round 1"),
        ("values: {ppm: {kind: orm}}\n", "`ppm` has a section of its own; give the model another role"),
        ("values: {Bad Role: {kind: orm}}\n", "String should match pattern"),
        ("values: {a: {lr: 1}}\n", "values.a.kind is missing"),
        ("values: {a: {kind: prmm}}\n", "values.a: Input tag 'prmm'"),
        ("values: {a: {kind: hard, gamma: 1}}\n", "values.a.gamma is not a setting"),
        ("values: {a: {kind: qvm, iterations: 0}}\n", "values.a.iterations: Input should be greater than or equal"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_written_and_once(file, text, said):
    path = file(f"name: a\nrounds: [{{}}, {{}}]\n{text}")
    message = wrong(path)
    assert message.startswith(f"{path}: ")
    assert message.count(said) == 1
    assert "rounds: " not in message


def test_a_wrong_setting_is_named_with_its_line(file):
    path = file("name: a\nsearch:\n  kind: mcts\n  rollouts: 0\nrounds:\n  - {}\n  - search: {rolouts: 3}\n")
    said = wrong(path)
    assert "search.rollouts: Input should be greater than or equal to 1, not 0 (line 4)" in said
    assert "rounds.1.search.rolouts is not a setting (see docs/config.md for all of them) (line 7)" in said
    # What the command line says is not in the file; of several files, the one that has the last word is named.
    assert wrong(path, "search.rollouts=-1", "rounds=[{}]").endswith(
        "greater than or equal to 1, not -1 (the command line)"
    )
    over = file("include: [under.yaml]\nname: a\n", "over.yaml")
    under = file("\nseed: -1\nrounds: [{}]\n", "under.yaml")
    assert wrong(over) == f"{over}: seed: Input should be greater than or equal to 0, not -1 ({under}, line 2)"


def test_a_wrong_setting_of_a_round_is_named_with_its_position(file):
    said = wrong(file("name: a\nrounds: [{}, {search: {rolouts: 3}}, {policy: {lr: x}}]\n"))
    assert "rounds.1.search.rolouts is not a setting" in said
    assert "rounds.2.policy.lr: Input should be a valid number" in said
    assert ";" in said


def test_a_ppm_that_is_never_trained_cannot_guide(file):
    said = wrong(file("name: a\nppm: null\nrounds: [{}, {search: {annotation: ppm}}]\n"))
    assert "rounds.1.search.annotation: there is no PPM before round 2" in said


def test_a_value_model_that_is_never_trained_cannot_guide(file):
    text = "name: a\nvalues: {a: {kind: soft}}\nrounds: [{}, {search: {annotation: ppm, value: %s}}]\n"
    cfg = load(RunConfig, [file(text % "a")])
    assert cfg.rounds[0].roles == ("ppm", "a")
    assert cfg.rounds[1].values["a"].kind == "soft"
    said = wrong(file(text % "b"))
    assert "rounds.1.search.annotation: there is no value model `b` before round 2" in said


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "-x", "a b", "ä"])
def test_names_that_are_no_plain_folder_names_are_refused(file, name):
    assert "name: " in wrong(file(f"name: {name!r}\nrounds: [{{}}]\n"))


def test_what_is_missing_is_named(file):
    path = file("seed: 1\n")
    assert wrong(path) == f"{path}: name is missing; rounds is missing"
    assert "rounds" in wrong(file("name: a\nrounds: []\n"))
    assert wrong("seed=1").startswith("the command line: name is missing")


def test_a_missing_file_is_named(tmp_path):
    assert wrong(tmp_path / "gone.yaml").startswith(f"{tmp_path / 'gone.yaml'}: cannot be read")
    assert wrong(tmp_path).startswith(f"{tmp_path}: cannot be read")


def test_a_file_that_is_not_utf8_is_named_with_the_byte(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    assert wrong(path) == f"{path}: is not UTF-8 (byte 9)"


@pytest.mark.parametrize(("text", "line"), [("name: a\nrounds: [\n", 3), ("name: a\n  b: c\n", 2), ("a: b: c\n", 1)])
def test_bad_yaml_is_named_with_its_line(file, text, line):
    path = file(text)
    assert wrong(path).startswith(f"{path}, line {line}: not YAML")


@pytest.mark.parametrize(
    ("text", "name", "line"), [("name: a\nseed: 1\nname: b\n", "name", 3), ("search:\n  c: 1\n  c: 2\n", "c", 3)]
)
def test_a_name_that_stands_twice_is_refused(file, text, name, line):
    path = file(text)
    assert wrong(path) == f"{path}, line {line}: not YAML (`{name}` stands here twice)"


def test_the_same_name_in_two_places_is_no_repetition(file):
    text = "x: &x {a: 1, b: {a: 2}}\ny: {<<: *x, a: 3}\nz: [{<<: *x}, *x]\n"
    assert "stands here twice" not in wrong(file(text))


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "3\n"])
def test_a_file_that_is_no_mapping_is_refused(file, text):
    assert "mapping of names to values" in wrong(file(text))


def test_keys_that_are_no_text_are_refused(file):
    assert "1" in wrong(file(f"{MINIMAL}1: 2\n"))


def test_an_empty_file_says_nothing(file):
    assert load(RunConfig, [file(""), file(MINIMAL, "b.yaml")]).name == "a"
