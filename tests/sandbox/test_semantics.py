"""What a step sees, returns and leaves behind."""

import pytest

from rstar.core.execution import Status
from rstar.sandbox import Limits, SandboxConfig
from rstar.sandbox.wire import STATUSES
from tests.sandbox.conftest import Box, opened


def test_wire_statuses_are_the_statuses() -> None:
    assert tuple(status.value for status in Status) == STATUSES


def test_value_and_stdout_are_apart(bare: Box) -> None:
    result = bare.run("print('said')\n1 + 1")
    assert (result.status, result.stdout, result.value) == (Status.OK, "said\n", "2")
    assert bare.run("x = 5").value is None
    assert bare.run("None").value is None


def test_state_goes_down_a_path_and_not_across(bare: Box) -> None:
    parent = bare.state("items = [1]")
    left, right = bare.many(["items.append(2); items", "items.append(3); items"], parent)
    assert (left.value, right.value) == ("[1, 2]", "[1, 3]")
    assert left.state is not None
    assert bare.run("items", left.state).value == "[1, 2]"
    assert bare.run("items", parent).value == "[1]"


def test_failed_step_never_changes_its_parent(bare: Box) -> None:
    parent = bare.state("items = [1]")
    failed = bare.run("items.append(9)\n1/0", parent)
    assert failed.status is Status.EXCEPTION
    assert failed.state is None
    assert bare.run("list(items)", parent).value == "[1]"


def test_undefined_name_fails_even_when_a_sibling_defined_it(bare: Box) -> None:
    parent = bare.state("a = 1")
    bare.run("shared = 1", parent)
    result = bare.run("shared + 0", parent)
    assert result.error == "NameError: name 'shared' is not defined (line 1)"


def test_functions_generators_and_classes_survive(bare: Box) -> None:
    at = bare.state(
        "def f(k):\n    return k + offset",
        "offset = 10",
        "g = (f(i) for i in range(5))\nnext(g)",
        "import __main__\nassert __main__.offset == 10 and __name__ == '__main__'",
        "class A:\n    total: int = 3",
    )
    assert bare.run("next(g), f(1), A().total", at).value == "(11, 11, 3)"


def test_random_state_is_one_stream_along_a_path(bare: Box) -> None:
    at = bare.state("import random\nrandom.seed(7)\na = random.random()", "b = random.random()")
    expected = bare.run("import random\nr = random.Random(7)\nr.random(), r.random(), r.random()").value
    assert bare.run("a, b, random.random()", at).value == expected


def test_runs_repeat(bare: Box) -> None:
    code = "import random\nrandom.random(), hash('text'), list({'a', 'b', 'c', 'd'})"
    assert bare.run(code).value == bare.run("# again\n" + code).value


def test_error_names_type_message_and_line_of_the_step(bare: Box) -> None:
    at = bare.state("def divide(a):\n\n\n    return 1 / a")
    result = bare.run("x = 1\ny = divide(0)", at)
    assert result.error == "ZeroDivisionError: division by zero (line 2)"
    assert bare.run("a = 1\nb = = 2").error == "SyntaxError: invalid syntax (line 2)"
    assert bare.run("class E(Exception): pass\nraise E()").error == "E (line 2)"


def test_output_before_an_error_is_kept(bare: Box) -> None:
    assert bare.run("print('so far')\n1/0").stdout == "so far\n"


def test_long_output_keeps_both_ends(bare: Box) -> None:
    result = bare.run("print('a' + 'x' * 20000 + 'b')")
    assert result.status is Status.OK
    assert result.truncated
    assert len(result.stdout) <= 4096
    assert result.stdout.startswith("ax")
    assert result.stdout.endswith("xb\n")
    shown = bare.run("'y' * 9000")
    assert shown.truncated
    assert shown.value is not None
    assert len(shown.value) <= 4096


def test_the_longest_texts_fit_into_a_report() -> None:
    with opened(SandboxConfig(preload=(), limits=Limits(out_chars=20_000))) as box:
        result = box.run("print('😀' * 30000)\n'😀' * 30000")
        assert (result.status, len(result.stdout), len(result.value or "")) == (Status.OK, 19_999, 19_999)


def test_output_through_a_stream_of_the_steps_own_is_kept(bare: Box) -> None:
    wrap = "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\nprint('ä')"
    assert bare.run(wrap).stdout == "ä\n"
    assert bare.run("print('ö')", bare.state(wrap)).stdout == "ö\n"
    assert bare.run(wrap + "\n1 / 0").stdout == "ä\n"


def test_a_refusal_that_a_library_renames_is_still_denied(bare: Box) -> None:
    result = bare.run("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/')")
    assert (result.status, (result.error or "")[:8]) == (Status.DENIED, "URLError")
    assert bare.run("try:\n    open('/etc/passwd')\nexcept OSError:\n    1 / 0").status is Status.EXCEPTION


def test_unicode_and_surrogates_come_back_as_text(bare: Box) -> None:
    assert bare.run("print('π ≈ 3')").stdout == "π ≈ 3\n"
    assert bare.run("print(chr(0xd800))").stdout == "?\n"
    assert bare.run("chr(0xd800)").status is Status.OK
    assert bare.run("x = '\ud800'").status is Status.SYNTAX


def test_asserts_and_future_lines_count(bare: Box) -> None:
    assert bare.run("assert 1 == 2, 'no'").error == "AssertionError: no (line 1)"


def test_environment_is_clean_and_stdin_empty(bare: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = bare.run("import os\nsorted(os.environ)").value
    assert shown is not None
    assert "PATH" not in shown
    assert "HOME" not in shown
    assert bare.run("import sys\nsys.stdin.read(), sys.argv, sys.flags.hash_randomization").value == "('', [''], 0)"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("x = 1", Status.OK),
        ("x = ", Status.SYNTAX),
        ("x = 'a\0b'", Status.SYNTAX),
        ("x = " + "1" * 120_000, Status.SYNTAX),
        ("eval('1 +')", Status.EXCEPTION),
        ("raise KeyboardInterrupt", Status.EXCEPTION),
        ("import time\ntime.sleep(60)", Status.TIMEOUT_WALL),
        ("while True: pass", Status.TIMEOUT_CPU),
        ("try:\n    while True: pass\nexcept BaseException: pass", Status.TIMEOUT_CPU),
        ("x = 10 ** 10 ** 9", Status.TIMEOUT_CPU),
        ("x = bytearray(10 ** 10)", Status.MEMORY),
        ("x = []\nwhile True: x.append('a' * 10 ** 7)", Status.MEMORY),
        ("def f(): f()\nf()", Status.RECURSION),
        ("while True: print('x' * 1000)", Status.OUTPUT_LIMIT),
        ("import sys\nsys.stderr.write('x' * 10 ** 7)", Status.OUTPUT_LIMIT),
        ("try:\n    while True: print('x' * 1000)\nexcept BaseException: pass", Status.OUTPUT_LIMIT),
        ("import sys\nsys.exit(0)", Status.EXIT),
        ("exit()", Status.EXIT),
        ("import os\nos._exit(0)", Status.EXIT),
        ("input()", Status.STDIN),
        ("raise EOFError", Status.EXCEPTION),
        ("import os\nos.fork()", Status.DENIED),
        ("import threading\nthreading.Thread(target=print).start()", Status.DENIED),
        ("import subprocess\nsubprocess.run(['true'])", Status.DENIED),
        ("open('/tmp/rstar-was-here', 'w')", Status.DENIED),
        ("open('/etc/passwd')", Status.DENIED),
        ("import socket\nsocket.socket()", Status.DENIED),
        ("import ctypes\nctypes.string_at(0)", Status.CRASHED),
        ("import os\nos.abort()", Status.CRASHED),
        ("import os\nos.closerange(0, 100)", Status.CRASHED),
        ("import os\nos.close(3)\nwhile True: pass", Status.CRASHED),
        ("import os\nos.write(3, b'forged')", Status.TAMPERED),
        ("import os\nos.write(3, b'R' + bytes(37))", Status.TAMPERED),
    ],
)
def test_status(bare: Box, code: str, status: Status) -> None:
    result = bare.run(code)
    assert result.status is status, result
    assert (result.state is None) == (status is not Status.OK)
    assert (result.error is None) == (status is Status.OK)
    assert bare.run("6 * 7").value == "42"


def test_nondeterministic_is_told_when_a_prefix_cannot_be_repeated() -> None:
    with opened(SandboxConfig(preload=(), keep="never")) as box:
        at = box.state("import time\nprint(time.perf_counter_ns())")
        assert box.run("1 + 1", at).status is Status.NONDETERMINISTIC


def test_memory_is_counted_along_the_path(bare: Box) -> None:
    at = bare.state("a = bytearray(300 << 20)")
    assert bare.run("b = bytearray(300 << 20)", at).status is Status.MEMORY
    assert bare.run("b = bytearray(100 << 20)", at).status is Status.OK


def test_late_imports_of_installed_packages_work(bare: Box) -> None:
    assert bare.run("import json, numpy\njson.dumps(int(numpy.arange(4).sum()))").value == "'6'"


def test_mathematics_is_warm(full: Box) -> None:
    at = full.state("from sympy import *\nx = symbols('x')")
    result = full.run("solve(x**2 - 2, x)", at)
    assert result.value == "[-sqrt(2), sqrt(2)]"
    assert (
        full.run("import numpy as np\nnp.random.rand()").value
        == full.run("import numpy as np\nnp.random.rand() ").value
    )
    assert full.run("x").status is Status.EXCEPTION


def test_times_are_told(bare: Box) -> None:
    result = bare.run("import time\nbegan = time.thread_time()\nwhile time.thread_time() - began < 0.2: pass")
    assert 0.19 < result.cpu_s < 0.6
    crashed = bare.run("import ctypes, time\nwhile time.thread_time() < 0.1: pass\nctypes.string_at(0)", keep="never")
    assert (crashed.status, crashed.cpu_s > 0.05) == (Status.CRASHED, True)
    assert result.wall_s >= result.cpu_s * 0.9
