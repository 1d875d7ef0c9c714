"""Whether a crontab may be handed to cron, which drops a whole file for one bad line."""

from __future__ import annotations

import subprocess
from pathlib import Path

from crontab import CronTab

from dcron_common.errors import DcronError
from dcron_worker.crontab import schedule_lines

_COMMAND_SECONDS = 20


class CrontabError(DcronError):
    """The crontab could not be read, checked or written."""


def check(text: str, user: str) -> None:
    """Does python-crontab read the text as what was meant? CrontabError if not."""
    _parse(text, user=user, count=sum(1 for _ in schedule_lines(text)))


def check_user(lines: list[str]) -> None:
    """The same of lines for a user's own crontab, which name no user."""
    _parse("\n".join(lines) + "\n", user=None, count=sum(not one.startswith("#") for one in lines))


def _parse(text: str, *, user: str | None, count: int) -> None:
    tab = CronTab(tab=text, user=None if user is None else False)
    items = [item for item in tab if item.is_enabled()]
    if len(items) != count or not all(item.is_valid() for item in items):
        raise CrontabError("the rendered crontab is not what a parser reads; nothing was written")
    if user is not None and any(item.user != user for item in items):
        raise CrontabError("the rendered crontab names another user; nothing was written")


def dry_run(file: Path) -> None:
    """Let cron's own `crontab -n` judge the file, where it is Debian's and so has that option.

    It reads the form without a user's name; with one, the name counts as the command's first
    word, so the fields are judged all the same.
    """
    program = Path("/usr/bin/crontab")
    # /etc/default/cron tells Debian's cron; elsewhere -n means other things.
    if not (program.exists() and Path("/etc/default/cron").exists()):
        return
    command = [str(program), "-n", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CrontabError(f"crontab -n cannot check the new file: {error}") from error
    if done.returncode != 0:
        raise CrontabError(f"crontab -n refuses the new file: {done.stderr.strip()[:500]}")
