"""Schedules: what Debian's cron would do on a machine set to the job's time zone.

    parse("0 3 * * mon-fri", "Europe/Riga").next(after=1_700_000_000, count=3)

Fields, names, the day rule and changes of the clock follow Debian's cron 3.0pl1; what it takes
only by accident is refused. docs/schedules.md says it for users, docs/adr/0010-schedules.md why.

Everything here is a function of its arguments: no clock is read, and of files only the zone data
of the `tzdata` wheel. All failures are ScheduleError, whose message is for the user.
"""

from dcron_common.schedule.errors import ScheduleError
from dcron_common.schedule.parse import parse
from dcron_common.schedule.schedule import Schedule
from dcron_common.schedule.zone import zones

__all__ = ["Schedule", "ScheduleError", "parse", "zones"]
