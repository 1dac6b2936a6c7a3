"""What can go wrong, one type per boundary; every message names the field, file or problem and the mend."""


class RstarError(Exception):
    """Anything rstar reports on purpose. The command line prints it as one line and exits with `exit_code`."""

    exit_code = 1


class InputError(RstarError):
    """A file, a field or an option that the user gave is wrong (exit code 2, nothing written)."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration that cannot be read or does not validate."""


class RecipeDrift(RstarError):
    """A stage on disk was made by another recipe; the message names the fields that differ."""

    exit_code = 3


class StageFailed(RstarError):
    """A stage gave up: too many failed problems, or a training process that ended badly."""


class EngineDown(StageFailed):
    """No server is left that answers for a model, or one that does not start; the search stops and can go on later."""


class Damaged(RstarError):
    """A file on disk does not match what its manifest says."""

    exit_code = 4


class SandboxUnavailable(RstarError):
    """The isolation that was asked for cannot be had on this machine."""


class RolloutError(Exception):
    """One problem's search failed at one boundary (engine, sandbox, grader); a bad rollout is data, not a crash."""

    def __init__(self, boundary: str, message: str):
        super().__init__(message)
        self.boundary = boundary
