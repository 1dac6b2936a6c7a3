"""`rstar evolve CONFIG... --schedule CRON`: a deployment of its own whose runs the server starts by the clock."""

import argparse
import sys

from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import get_current_settings
from pydantic import ValidationError

from flows import deploy


def main() -> int:
    """Returns 0 when the server knows the schedule, 1 without a server, 2 when it is none."""
    parser = argparse.ArgumentParser(prog="python -m flows.schedule", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", help="of the run, and of its deployment evolve/NAME")
    parser.add_argument("cron", help="minute hour day-of-month month day-of-week, such as '0 2 * * *'")
    parser.add_argument("config", nargs="+", help="config files and overrides, as `rstar evolve` takes them")
    parser.add_argument("--timezone", default="UTC", help="in which the hours are meant, such as Europe/Berlin")
    asked = parser.parse_args()
    try:
        when = CronSchedule(cron=asked.cron, timezone=asked.timezone)
    except ValidationError as error:
        what = "--timezone" if error.errors()[0]["loc"] == ("timezone",) else "--schedule"
        return _refuse(f"{what}: {error.errors()[0]['msg'].removeprefix('Value error, ')}", 2)
    if asked.name == "evolve":
        return _refuse("name: the deployment evolve/evolve is there for any config; give the run another name", 2)
    if get_current_settings().api.url is None:
        return _refuse("no Prefect server is up in this folder; start it with `make up` in another terminal", 1)
    deploy.schedule(asked.name, asked.config, when.cron, asked.timezone)
    name = f"evolve/{asked.name}"
    print(f"{name} runs at `{when.cron}` ({asked.timezone}), one run at a time, as long as `make up` is running")
    print(f"prefect deployment schedule ls {name}        # and pause, resume, delete")
    return 0


def _refuse(why: str, status: int) -> int:
    print(f"rstar: {why}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
