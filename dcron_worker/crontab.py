"""The crontab of a worker as a pure function of its jobs: what stands in it, and why.

One line for each distinct schedule, not for each job; a line never holds a byte of a user's text:

    # dcron job 12, dcron job 40
    */5 * * * * root F=/run/dcron/fire; [ -p $F ] && [ ! $F -nt $F.seen ] && echo 1f3a90c2 1<>$F

crond starts `/bin/sh -c`, and all that sh does are builtins: no further process, but in the tick
line, whose shell ends on the next minute (`_ON_THE_MINUTE`). `[ -p` keeps the shell from making a
plain file where the FIFO is missing. `1<>` opens the FIFO to read and write: a plain `>` would wait
for ever for a reader, and so pile up shells, while nobody has it open. While a hint waits unread
(the FIFO is newer than the file beside it, see `fire`) none is added, so that no line ever waits
for room: a daemon that stands still finds one hint for all. What is written (a key of the schedule)
is only for people who look: the daemon takes any byte as "look what is due". It may come twice,
late or not at all.

The tick line, every minute, always stands there, jobs or none. Its comments name the jobs that no
line of their own can serve: those in another time zone than the host's and those that fire once.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dcron_common.errors import ConfigError
from dcron_common.schedule import Schedule

TICK = "* * * * *"
TICK_KEY = "tick"
FIRST_FILE = "dcron"
# Debian's cron takes 10,000 lines of a file and drops a larger one whole.
MAX_LINES = 9_000
_JOBS_PER_COMMENT = 50
_FIELDS = re.compile(r"[0-9*/,-]+( [0-9*/,-]+){4}")
# `%` is a newline to cron, and blanks and quotes mean something to sh.
_SAFE_PATH = re.compile(r"/[A-Za-z0-9._/+@-]*")
_SAFE_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# Names of the one zone that most hosts are set to.
_UTC = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Etc/Zulu", "Zulu", "Etc/Universal",
                  "Universal", "GMT", "Etc/GMT"})  # fmt: skip
# crond means to wake one to two seconds after the minute, but the end of any child wakes it, and it
# goes on if there is a new minute (docs/adr/0070-crond-wakes-on-the-minute.md). So the tick's
# shell ends 20 ms after the next one: time(2), which crond asks, is late by up to a kernel's tick.
# `date` says seconds and nanoseconds; the 1 before them is for zeros that lead.
_ON_THE_MINUTE = r"; exec sleep $((160019999999-1$(date +\%S\%N)))e-9"
_JOB = re.compile(r"dcron job ([0-9]+)")
_SUM = re.compile(r"^# dcron sum ([0-9a-f]{64})\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Line:
    """Five cron fields, the key that is hinted, and the ids of the jobs it stands for."""

    fields: str
    key: str
    job_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """All lines of a worker; the tick is the first."""

    lines: tuple[Line, ...]


def plan(jobs: Iterable[tuple[int, Schedule]], local_zone: str) -> Table:
    """The table for these (job id, schedule); `local_zone` is the zone that crond lives in.

    Depends on the set of jobs only, not on their order: equal jobs give equal bytes.
    """
    served: dict[str, set[int]] = defaultdict(set)
    served[TICK] = set()
    for job_id, schedule in jobs:
        fields = schedule.crontab
        if fields is None or not _same_zone(schedule.timezone, local_zone):
            fields = TICK
        served[fields].add(job_id)
    ordered = sorted(served, key=lambda fields: (fields != TICK, fields))
    return Table(tuple(Line(f, _key(f), tuple(sorted(served[f]))) for f in ordered))


def render(table: Table, *, fifo: str, user: str = "root") -> dict[str, str]:
    """File name to text, for /etc/cron.d: `dcron`, and `dcron-2` and on where lines are many."""
    if _SAFE_USER.fullmatch(user) is None:
        raise ConfigError(f"{user!r} cannot stand in a crontab; name an OS user")
    files: list[list[str]] = [[]]
    for line in table.lines:
        command = _command(line.key, fifo) + (_ON_THE_MINUTE if line.key == TICK_KEY else "")
        text = [*_comments(line), f"{_checked(line.fields)} {user} {command}"]
        # A job of a tick with very many ids may span files; so may nothing else.
        for piece in text:
            if len(files[-1]) >= MAX_LINES:
                files.append([])
            files[-1].append(piece)
    return {_file_name(number): _file(lines) for number, lines in enumerate(files)}


def render_empty() -> str:
    """The text of a file that is no longer needed. Files are emptied, never deleted: their names
    are constant, so that a stale one cannot come back under another."""
    return _file([])


def render_user(table: Table, *, fifo: str) -> list[str]:
    """The lines for a user's own crontab, each ending in `marker(fifo)`.

    sh is named, for the user's crontab may set another SHELL; it replaces the shell that was
    started, so that the count of processes stays one.
    """
    mark = marker(fifo)
    lines = []
    for line in table.lines:
        lines += [f"{comment} {mark}" for comment in _comments(line)]
        command = f"exec /bin/sh -c '{_command(line.key, fifo)}'"
        lines.append(f"{_checked(line.fields)} {command} {mark}")
    return lines


def marker(fifo: str) -> str:
    """What our lines in a user's own crontab end in: one mark for one instance (one FIFO)."""
    return f"# dcron-{hashlib.sha256(_safe(fifo).encode()).hexdigest()[:12]}"


def is_intact(text: str) -> bool:
    """Is this a file as `render` made it, or did somebody edit it? Its header has its sum."""
    found = _SUM.search(text)
    if found is None:
        return False
    return found[1] == _digest(text[: found.start()] + text[found.end() :])


def schedule_lines(text: str) -> Iterator[tuple[str, str]]:
    """(five fields, the rest) of every line that crond would run, as in /etc/cron.d."""
    for line in text.splitlines():
        if not line or line.startswith("#") or re.match(r"[A-Z]+=", line):
            continue
        words = line.split(" ", 5)
        yield " ".join(words[:5]), words[5]


def job_ids(text: str) -> frozenset[int]:
    """The jobs that stand in a crontab's text, or in several that were joined."""
    return frozenset(map(int, _JOB.findall(text)))


def _same_zone(one: str, other: str) -> bool:
    return one == other or (one in _UTC and other in _UTC)


def _key(fields: str) -> str:
    return TICK_KEY if fields == TICK else hashlib.sha256(fields.encode()).hexdigest()[:8]


def seen_path(fifo: str) -> str:
    """The file whose time says up to where the FIFO was read."""
    return f"{fifo}.seen"


def _comments(line: Line) -> list[str]:
    ids = line.job_ids
    pieces = [ids[i : i + _JOBS_PER_COMMENT] for i in range(0, len(ids), _JOBS_PER_COMMENT)]
    return ["# " + ", ".join(f"dcron job {int(job_id)}" for job_id in piece) for piece in pieces]


def _command(key: str, fifo: str) -> str:
    # SEEN may be missing: -nt is then false to dash, and the hint is written.
    return f"F={_safe(fifo)}; [ -p $F ] && [ ! $F -nt {seen_path('$F')} ] && echo {key} 1<>$F"


def _checked(fields: str) -> str:
    """The last gate: a line that is no schedule would make cron drop the whole file."""
    if _FIELDS.fullmatch(fields) is None:
        raise ValueError(f"{fields!r} is no schedule of a crontab line")
    return fields


def _safe(fifo: str) -> str:
    if _SAFE_PATH.fullmatch(fifo) is None:
        raise ConfigError(
            f"the FIFO's path {fifo!r} cannot stand in a crontab; "
            "use letters, digits and . _ / + @ - only"
        )
    return fifo


def _file_name(number: int) -> str:
    return FIRST_FILE if number == 0 else f"{FIRST_FILE}-{number + 1}"


def _file(lines: list[str]) -> str:
    head = "# Made by dcron; edits are put back. Jobs are changed through dcron's API.\n"
    # No mail for a hint that failed: the daemon notices a missing tick by itself.
    body = "\n".join(["SHELL=/bin/sh", 'MAILTO=""', *lines, ""])
    return f"{head}# dcron sum {_digest(head + body)}\n{body}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
