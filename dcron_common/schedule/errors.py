"""The one error of this package, and how a refused text is quoted in it."""

from __future__ import annotations

from dcron_common.errors import DcronError

_QUOTED = 40


class ScheduleError(DcronError):
    """A schedule or its time zone is refused.

    The message is for the user: it names the cron field (or `schedule`, `timezone`) and says what
    to write instead. `field` is the job's field at fault: "schedule" or "timezone".
    """

    def __init__(self, message: str, field: str = "schedule") -> None:
        super().__init__(message)
        self.field = field


def quote(text: str) -> str:
    """`text` in quotes, printable ASCII only and cut, so that it is safe in answers and logs."""
    shown = text if len(text) <= _QUOTED else text[:_QUOTED] + "..."
    return ascii(shown)
