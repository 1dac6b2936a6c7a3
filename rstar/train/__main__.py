"""`python -m rstar.train JOB.json`: one training job in this process, its progress as lines of JSON on stdout.

With `--devices N` the process becomes `accelerate launch`, which runs the same command in N processes.
"""

import argparse
import ctypes
import json
import os
import re
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError

from rstar.errors import RstarError
from rstar.store.manifest import CLOSED, FULL
from rstar.train.job import SftJob, ValueJob, read_job
from rstar.train.launch import PARENT

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m rstar.train", description=__doc__)
    parser.add_argument("job", type=Path, help="job file (JSON)")
    parser.add_argument("--devices", type=int, default=1, help="processes, one per device")
    asked = parser.parse_args()
    _die_with_parent()
    try:
        job = read_job(asked.job)
        job.check()  # before the libraries are imported, which takes seconds
        _set_environment(job, asked.devices)
        if asked.devices > 1:
            _launch(job, asked.job, asked.devices)
        _train(job)
    except RstarError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except (OSError, SafetensorError) as error:
        if (number := _errno(error)) not in (*FULL, *CLOSED):
            raise
        print(json.dumps({"errno": number, "file": getattr(error, "filename", None)}), flush=True)
        return 1
    return 0


def _errno(error: OSError | SafetensorError) -> int | None:
    """The system's number of an error; safetensors has it only in words, as Rust writes them."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return None if found is None else int(found[1])


def _train(job: SftJob | ValueJob) -> None:
    # Only what this job needs is imported, and not before the environment is set.
    import datasets
    from transformers.utils import logging

    # A deprecated argument that the libraries pass to each other.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.disable_progress_bars()
    if isinstance(job, SftJob):
        from rstar.train.policy import train_policy

        train_policy(job)
    else:
        from rstar.train.value import train_value

        train_value(job)


def _launch(job: SftJob | ValueJob, file: Path, devices: int) -> None:
    """Become `accelerate launch`; this process id stays, so the workers die with it as it dies with its parent."""
    os.environ[PARENT] = str(os.getpid())
    options = ["--config_file", str(job.accelerate)] if job.accelerate else ["--multi_gpu", "--mixed_precision", "no"]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1", *options]
    os.execv(sys.executable, [*launcher, "--num_processes", str(devices), "-m", "rstar.train", str(file)])


def _die_with_parent() -> None:
    """When the process that launched this one ends, however it ends, this one is killed (Linux)."""
    parent = os.environ.get(PARENT)
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the launching process is gone")


def _keep_memory() -> None:
    """Let glibc keep freed memory: tensors of a few megabytes else cost page faults, a fifth of a small training."""
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            libc.mallopt(parameter, 1 << 30)


def _set_environment(job: SftJob | ValueJob, devices: int) -> None:
    """What the libraries read while they are imported."""
    threads = str(job.threads)
    os.environ |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads}
    _keep_memory()
    os.environ |= {"DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    # Models and data are folders and files by now: nothing is to be fetched.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    if job.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif devices == 1 and "LOCAL_RANK" not in os.environ:
        index = int(job.device.partition(":")[2] or 0)
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = seen.split(",")[index] if seen else str(index)


if __name__ == "__main__":
    sys.exit(main())
