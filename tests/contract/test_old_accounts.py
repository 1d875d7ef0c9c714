"""What retention removes of tokens, counts and networks, on SQLite and on a real MariaDB."""

from __future__ import annotations

import pytest

from dcron_common.db import login_limits, login_places, logins, old_accounts, tokens
from dcron_common.db.connection import Database
from dcron_common.db.login_limits import WINDOW, subject
from dcron_common.db.models import LoginBucket, LoginPlace, LoginWindow, Token
from dcron_common.db.old_accounts import COUNT_KEPT, TOKEN_KEPT
from tests.contract.plans import explained, statements
from tests.contract.test_lineage import make, revoke, rotate
from tests.contract.test_logins import NOW, add

MANY = 100


def left(database: Database) -> list[int]:
    return [row.id for row in tokens.list_tokens(database)]


def drop(database: Database, after: float, most: int = MANY) -> int:
    return old_accounts.drop_tokens(database, NOW + after, most)


def test_a_token_goes_a_month_after_its_end_and_not_before(database: Database) -> None:
    add(database, "ann")
    lives, revoked, expired = make(database), make(database), make(database, expires=NOW + 60)
    revoke(database, revoked)
    assert drop(database, TOKEN_KEPT - 1) == 0
    assert left(database) == [lives.row.id, revoked.row.id, expired.row.id]
    assert drop(database, TOKEN_KEPT + 1) == 1
    assert left(database) == [lives.row.id, expired.row.id]
    assert drop(database, TOKEN_KEPT + 61) == 1
    assert drop(database, 10 * TOKEN_KEPT) == 0
    assert left(database) == [lives.row.id]


def test_what_another_hangs_on_stays_as_long_as_that(database: Database) -> None:
    add(database, "ann")
    first = make(database, expires=NOW + 60)
    second = make(database, first)
    assert drop(database, 10 * TOKEN_KEPT) == 0
    assert revoke(database, first) == [first.row.id, second.row.id]
    assert [drop(database, 10 * TOKEN_KEPT) for _ in range(3)] == [1, 1, 0]
    assert left(database) == []


def test_what_was_rotated_goes_and_leaves_its_successor(database: Database) -> None:
    add(database, "ann")
    first = make(database)
    below = make(database, first)
    new = rotate(database, first)
    assert drop(database, 2 * TOKEN_KEPT) == 1
    assert left(database) == [below.row.id, new.row.id]
    assert revoke(database, new) == [new.row.id, below.row.id]


def test_only_so_many_go_at_once_and_the_others_later(database: Database) -> None:
    add(database, "ann")
    parent = make(database, expires=NOW)  # the oldest of all, and it stays
    for _ in range(5):
        revoke(database, make(database))
    kept = make(database)
    database.transaction(
        lambda: Token.update(parent=parent.row.id).where(Token.id == kept.row.id).execute()
    )
    assert [drop(database, 2 * TOKEN_KEPT, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert left(database) == [parent.row.id, kept.row.id]


def test_counts_go_when_they_have_drained(database: Database) -> None:
    full, other = subject("user", "ann", 3), subject("user", "bob", 3)
    for _ in range(3):
        login_limits.take(database, [full], NOW)
    login_limits.take(database, [other], NOW)
    old = {"subject": "x", "opened_at": int(NOW) - 1, "attempts": 1}
    database.transaction(lambda: LoginWindow.insert(**old).execute())

    def dropped(after: float) -> list[int]:
        return [old_accounts.drop_counts(database, NOW + after, MANY) for _ in range(3)]

    assert dropped(COUNT_KEPT) == [1, 0, 0]  # of the release before, at its window's begin
    assert dropped(COUNT_KEPT + 101) == [1, 0, 0]
    assert login_limits.take(database, [full], NOW) is not None
    assert dropped(COUNT_KEPT + WINDOW + 1) == [1, 0, 0]
    assert database.read(lambda: LoginBucket.select().count()) == 0


def test_networks_go_when_nobody_has_logged_in_from_there_for_long(database: Database) -> None:
    add(database, "ann", password="hash")
    for at, network in enumerate(["192.0.2.1", "192.0.2.2"]):
        logins.begin_session(database, "ann", "hash", None, NOW + 60, NOW + at, network=network)
    assert old_accounts.drop_places(database, NOW + login_places.KEPT, MANY) == 0
    assert old_accounts.drop_places(database, NOW + login_places.KEPT + 0.5, MANY) == 1
    assert [row.network for row in database.read(lambda: list(LoginPlace))] == ["192.0.2.2"]


@pytest.mark.parametrize("drops", ["drop_tokens", "drop_counts", "drop_places"])
def test_what_is_old_is_found_by_an_index(mariadb: Database, drops: str) -> None:
    def fill() -> None:
        for number in range(3000):
            at, who = NOW + number, str(number)
            row = {"digest": who, "user": "ann", "name": "t", "created_at": at}
            Token.insert(**row, expires_at=at, revoked_at=at).execute()
            LoginBucket.insert(subject=who, empty_at=at).execute()
            LoginPlace.insert(user=who, network="n", at=at).execute()

    mariadb.transaction(fill)
    mariadb.read(lambda: mariadb.execute("ANALYZE TABLE token, login_bucket, login_place"))
    call = getattr(old_accounts, drops)
    asked = statements(mariadb, lambda: call(mariadb, NOW + TOKEN_KEPT, 10))
    steps = [step for one in asked for step in explained(mariadb, one)]
    assert steps
    for step in steps:
        assert step["key"] not in (None, "PRIMARY"), step
        assert "filesort" not in (step["Extra"] or ""), step
