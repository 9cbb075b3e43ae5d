"""The errors a person reads: what was refused, how much, one example, what did not happen, what to do next."""

from __future__ import annotations

EXIT_DONE = 0
EXIT_REFUSED = 1  # a gate or a policy said no
EXIT_CALL = 2  # the call or the configuration is wrong
EXIT_BROKE = 3  # the run broke


class CountingHouseError(Exception):
    """An error with a sentence for a person and an exit code for a scheduler; never shown with a stack trace."""

    exit_code = EXIT_BROKE

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"{type(self).__name__}: {self.message}"


class CallError(CountingHouseError):
    """The command cannot be carried out as it was given."""

    exit_code = EXIT_CALL


class ConfigError(CountingHouseError):
    """A file in conf/ is wrong; nothing was started."""

    exit_code = EXIT_CALL


class GateFailed(CountingHouseError):
    """A suite judged a staged version and said no; the failing tenants are held."""

    exit_code = EXIT_REFUSED


class Refused(CountingHouseError):
    """A law or a policy forbids what was asked: a frozen month, a stale input, a missing publication."""

    exit_code = EXIT_REFUSED


class UpstreamMissing(Refused):
    """What a stage is made from was not published yet, or has changed since: the one refusal that waiting may end."""


class Superseded(CountingHouseError):
    """A newer attempt has taken over; this one may not publish any more."""

    exit_code = EXIT_REFUSED


class OutOfTurn(Superseded):
    """Another run of a stage whose runs go on from each other has published since this one began."""


class RunBroke(CountingHouseError):
    """The run could not go on: no disk, no server, no Java."""
