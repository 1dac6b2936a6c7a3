"""The scale profile of `make up`: PostgreSQL and Redis from the system's packages, on loopback, for this folder alone.

Both belong to the supervisor: they start before the server and end behind it. PostgreSQL's data outlive them, Redis
holds nothing that does. PostgreSQL refuses to run as root; there it runs as the user `postgres`, in that user's home.
"""

import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flows import place

HOST = "127.0.0.1"
USER = "rstar"
ROOTS_USER = "postgres"
PACKAGES = "postgresql and redis-server (`apt-get install postgresql redis-server`)"


class Missing(Exception):
    """A program or a Python package that the profile needs is not there; the message says which."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the two programs are, what they keep, and the ports and the password of this start."""

    binaries: Path
    redis: str
    data: Path
    user: str | None
    """Who PostgreSQL runs as, where that is somebody else."""
    password: str
    ports: tuple[int, int]

    def initialise(self) -> None:
        """Make PostgreSQL's data folder, if it is not there."""
        if self.user is not None:
            made = not self.data.exists()
            self.data.mkdir(mode=0o700, exist_ok=True)
            if made:
                shutil.chown(self.data, self.user, self.user)
        if self._run("test", "-f", self.data / "PG_VERSION").returncode == 0:
            return
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(self.password)
            file.flush()
            if self.user is not None:
                shutil.chown(file.name, self.user)
            how = (
                "--auth=scram-sha-256",
                f"--pwfile={file.name}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            )
            done = self._run(self.binaries / "initdb", "-D", self.data, "-U", USER, *how)
        if done.returncode:
            raise Missing(f"PostgreSQL cannot make its data folder {self.data}: {done.stderr.strip()}")

    def postgres(self) -> list[str]:
        """The command that serves the data folder on loopback, without a socket in the file system."""
        settings = (f"listen_addresses={HOST}", "unix_socket_directories=")
        options = [word for setting in settings for word in ("-c", setting)]
        return [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.ports[0]), *options]

    def redis_config(self) -> bytes:
        """What Redis reads on its standard input: loopback only, a password, nothing on disk, and its environment left
        as it is, by which its supervisor finds it."""
        lines = [f"bind {HOST}", f"port {self.ports[1]}", f"requirepass {self.password}", 'save ""', "appendonly no"]
        return "\n".join([*lines, "set-proc-title no", ""]).encode()

    def ready(self) -> bool:
        """Whether PostgreSQL takes connections."""
        return self._run(self.binaries / "pg_isready", "-h", HOST, "-p", self.ports[0]).returncode == 0

    def settings(self) -> dict[str, str]:
        """Prefect's settings for the two."""
        database = f"postgresql+asyncpg://{USER}:{self.password}@{HOST}:{self.ports[0]}/postgres"
        return settings(database, f"redis://:{self.password}@{HOST}:{self.ports[1]}")

    def _run(self, *command: object) -> "subprocess.CompletedProcess[str]":
        words = [str(word) for word in command]
        who = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        return subprocess.run(words, capture_output=True, text=True, cwd="/", check=False, **who)  # type: ignore[call-overload,no-any-return]


def settings(database: str, redis: str) -> dict[str, str]:
    """What every process of a Prefect server on PostgreSQL and Redis is told; docker/compose.yaml says the same."""
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_API_DATABASE_MIGRATE_ON_START": "false",  # several processes start at once: one migrates before
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_REDIS_MESSAGING_URL": f"{redis}/0",
        "PREFECT_SERVER_DOCKET_URL": f"{redis}/1",
    }


def find() -> Stores:
    """The programs and the folder's data. Raises Missing."""
    for module, package in (("asyncpg", "asyncpg"), ("prefect_redis", "prefect-redis")):
        if importlib.util.find_spec(module) is None:
            raise Missing(f"the Python package {package} is not installed: `pip install -e '.[scale]'`")
    found = [Path(one).resolve().parent for one in [shutil.which("postgres")] if one]
    # Debian keeps the programs of each version out of the path.
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    redis = shutil.which("redis-server")
    if not found or redis is None:
        raise Missing(f"the scale profile needs {PACKAGES}")
    data, user = place.HOME.resolve() / "postgres", None
    if os.geteuid() == 0:
        user = ROOTS_USER
        name = hashlib.sha256(bytes(data)).hexdigest()[:12]
        data = Path(pwd.getpwnam(user).pw_dir) / f"rstar-{name}"
    return Stores(found[0], redis, data, user, _password(), (_free_port(), _free_port()))


def _password() -> str:
    """The password of this folder's stores, made once."""
    path = place.HOME / "scale.json"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"password": secrets.token_urlsafe(24)}, file)
    return str(json.loads(path.read_text(encoding="utf-8"))["password"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
