"""How often somebody may fail to log in: counted in the database, for all API processes together.

Time is cut into windows of five minutes; each subject (a user's name, an address) has a row for the
window in which it failed. An attempt takes its place before the password is looked at, by a
conditional write, and gives it back when the password was right: attempts at the same time cannot
pass the bound together. Rows of windows that are over go when a new one is written.

Names stand there as digests: people type passwords where a name belongs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from dcron_common.db.connection import Database
from dcron_common.db.models import LoginWindow

WINDOW = 300  # seconds


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is counted, and how often it may fail in a window."""

    digest: str
    most: int


def subject(kind: str, text: str, most: int) -> Subject:
    """One of its kind; `text` may be anything."""
    joined = f"{kind}\0{text}".encode(errors="surrogatepass")
    return Subject(hashlib.sha256(joined).hexdigest(), most)


class _Full(Exception):
    """Undoes what the attempt had taken for the subjects before."""


def take(database: Database, subjects: Sequence[Subject], now: float) -> int | None:
    """A place for an attempt by all of them: None, or the seconds until there can be one."""
    opened = _opened(now)

    def work() -> None:
        for one in subjects:
            if not _raised(one, opened) and not (_added(one, opened) and _raised(one, opened)):
                raise _Full

    try:
        database.transaction(work, idempotent=True)
    except _Full:
        return max(1, int(opened + WINDOW - now))
    return None


def give_back(database: Database, subjects: Sequence[Subject], taken_at: float) -> None:
    """The attempt that took a place at that time did not fail. One try: it may stay taken."""
    here = [one.digest for one in subjects]

    def work() -> None:
        LoginWindow.update(attempts=LoginWindow.attempts - 1).where(
            LoginWindow.subject.in_(here),
            LoginWindow.opened_at == _opened(taken_at),
            LoginWindow.attempts > 0,
        ).execute()

    database.transaction(work, idempotent=True, deadline=0)


def _opened(now: float) -> int:
    return int(now // WINDOW) * WINDOW


def _raised(one: Subject, opened: int) -> bool:
    mine = (LoginWindow.subject == one.digest, LoginWindow.opened_at == opened)
    more = LoginWindow.update(attempts=LoginWindow.attempts + 1)
    return bool(more.where(*mine, LoginWindow.attempts < one.most).execute())


def _added(one: Subject, opened: int) -> bool:
    """Open the window of a subject that has none yet, and let those go that are over."""
    mine = (LoginWindow.subject == one.digest, LoginWindow.opened_at == opened)
    if LoginWindow.select().where(*mine).exists():
        return False
    # Not the window before: another process's clock may be a little behind.
    LoginWindow.delete().where(LoginWindow.opened_at < opened - WINDOW).execute()
    LoginWindow.insert(
        subject=one.digest, opened_at=opened, attempts=0
    ).on_conflict_ignore().execute()
    return True
