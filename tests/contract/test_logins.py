"""Users, tokens, logins and the audit in the record: conditional writes, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dcron_common.db import audit, login_limits, login_places, logins, migrations, tokens, users
from dcron_common.db.connection import Database
from dcron_common.db.login_limits import WINDOW, subject
from dcron_common.db.login_places import KEPT
from dcron_common.db.models import Audit, LoginBucket, SchemaVersion, Token, User
from dcron_common.db.tokens import Made
from dcron_common.db.users import Principal, Role, Scope
from dcron_common.errors import Conflict

NOW = 1_800_000_030.5


def add(database: Database, name: str, role: Role = Role.OPERATOR, **more: Any) -> None:
    users.add_user(database, name, role, more.pop("teams", []), ["*"], NOW, "test", **more)


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Run `work` in as many threads, all together."""
    ready = threading.Barrier(count)

    def run(number: int) -> None:
        ready.wait(60)
        work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


# Schema


def test_a_team_of_before_is_one_of_the_teams(empty: Database) -> None:
    migrations.migrate(empty)
    empty.transaction(lambda: SchemaVersion.delete().where(SchemaVersion.version >= 3).execute())
    rows = [("ann", 'say "hi"'), ("bob", None)]
    for name, team in rows:
        columns = {"name": name, "role": "viewer", "team": team, "os_users": "[]", "created_at": 1}
        empty.transaction(lambda columns=columns: User.insert(**columns).execute())
    migrations.migrate(empty)
    assert [row.teams for row in users.list_users(empty)] == [('say "hi"',), ()]
    assert empty.read(lambda: User.get(User.name == "ann").teams) is not None


def test_a_user_that_the_release_before_made_has_its_team(database: Database) -> None:
    columns = {"name": "ann", "role": "operator", "team": "ops", "os_users": "[]", "created_at": 1}
    database.transaction(lambda: User.insert(**columns).execute())
    text = tokens.add_token(database, "ann", "t", None, NOW, "test").text
    login = tokens.authenticate(database, text, NOW)
    assert login is not None and login.principal.may_change("somebody", "ops")


def test_the_release_before_reads_the_first_team(database: Database) -> None:
    add(database, "ann", teams=["ops", "web"])
    assert database.read(lambda: User.get(User.name == "ann").team) == "ops"
    users.change_user(database, "ann", NOW, "test", teams=["web"])
    assert database.read(lambda: User.get(User.name == "ann").team) == "web"


# The last admin


def test_the_last_admin_is_neither_disabled_nor_demoted(database: Database) -> None:
    add(database, "ann", Role.ADMIN)
    add(database, "old", Role.ADMIN)
    users.change_user(database, "old", NOW, "test", disabled=True)
    for change in ({"disabled": True}, {"role": Role.OPERATOR}):
        with pytest.raises(Conflict, match="last admin"):
            users.change_user(database, "ann", NOW, "test", **change)
    add(database, "bob", Role.ADMIN)
    assert users.change_user(database, "ann", NOW, "test", disabled=True)


def test_two_admins_cannot_demote_each_other_at_once(database: Database) -> None:
    names = ["ann", "bob", "cid", "dot"]
    for name in names:
        add(database, name, Role.ADMIN)
    refused = []

    def demote(number: int) -> None:
        try:
            users.change_user(database, names[number], NOW, "test", role=Role.VIEWER)
        except Conflict:
            refused.append(names[number])
        finally:
            database.close()

    at_once(len(names), demote)
    left = [row.name for row in users.list_users(database) if row.role is Role.ADMIN]
    assert left == refused
    assert len(left) == 1


# Sessions


def log_in(database: Database, name: str, checked: str, **more: Any) -> Made | None:
    return logins.begin_session(
        database, name, checked, more.get("renewed"), more.get("expires", NOW + 60), NOW
    )


def opens(database: Database, made: Made | None) -> bool:
    assert made is not None
    return tokens.authenticate(database, made.text, NOW) is not None


def test_a_session_begins_by_the_hash_that_is_stored_now(database: Database) -> None:
    add(database, "ann", password="hash")
    assert logins.password_of(database, "ann") == "hash"
    assert opens(database, log_in(database, "ann", "hash", renewed="newer"))
    assert logins.password_of(database, "ann") == "newer"
    assert log_in(database, "ann", "hash") is None
    row = users.get_user(database, "ann")
    assert row is not None and row.last_login_at == NOW


def test_nobody_who_is_disabled_begins_a_session(database: Database) -> None:
    add(database, "ann", password="hash")
    users.change_user(database, "ann", NOW, "test", disabled=True)
    assert logins.password_of(database, "ann") is None
    assert log_in(database, "ann", "hash") is None


def test_another_password_ends_the_logins_and_no_other_token(database: Database) -> None:
    add(database, "ann", password="hash")
    add(database, "bob", password="hash-of-bob")
    session, others = log_in(database, "ann", "hash"), log_in(database, "bob", "hash-of-bob")
    token = tokens.add_token(database, "ann", "t", None, NOW, "test")
    assert not logins.set_password(database, "ann", "new", NOW, "ann", checked="stale")
    assert opens(database, session)
    assert logins.set_password(database, "ann", "new", NOW, "ann", checked="hash")
    assert not opens(database, session)
    assert opens(database, others)
    assert opens(database, token)


def test_disabling_ends_the_logins_for_good(database: Database) -> None:
    add(database, "ann", password="hash")
    session = log_in(database, "ann", "hash")
    token = tokens.add_token(database, "ann", "t", None, NOW, "test")
    users.change_user(database, "ann", NOW, "test", disabled=True)
    assert not opens(database, token)
    users.change_user(database, "ann", NOW, "test", disabled=False)
    assert not opens(database, session)
    assert opens(database, token)


def test_a_password_that_changes_at_the_same_time_lets_no_login_by(database: Database) -> None:
    add(database, "ann", password="hash")
    begun: list[Made | None] = []

    def work(number: int) -> None:
        if number == 0:
            logins.set_password(database, "ann", "new", NOW, "ann")
        else:
            begun.append(log_in(database, "ann", "hash"))
        database.close()

    at_once(6, work)
    assert len(begun) == 5
    assert not any(opens(database, made) for made in begun if made is not None)


def test_sessions_that_are_over_do_not_pile_up(database: Database) -> None:
    add(database, "ann", password="hash")
    for _ in range(3):
        log_in(database, "ann", "hash", expires=NOW - 1)
    kept = tokens.add_token(database, "ann", "t", NOW - 1, NOW, "test")
    log_in(database, "ann", "hash")
    assert [row.kind for row in tokens.list_tokens(database)] == ["token", "login"]
    assert tokens.list_tokens(database)[0].id == kept.row.id


# Tokens


def test_a_token_is_rotated_once_and_lives_as_long_as_before(database: Database) -> None:
    add(database, "ann")
    old = tokens.add_token(database, "ann", "t", NOW + 100, NOW, "test", scope=Scope.READ)
    new = tokens.rotate_token(database, old.row, 0, NOW + 50, "ann")
    assert new is not None
    assert (new.row.expires_at, new.row.scope, new.row.name) == (NOW + 150, "read", "t")
    assert not opens(database, old)
    assert opens(database, new)
    assert tokens.rotate_token(database, old.row, 0, NOW + 50, "ann") is None
    assert [row.replaced_by for row in tokens.list_tokens(database)] == [new.row.id, None]


def test_in_its_grace_the_old_token_opens_but_is_not_rotated_again(database: Database) -> None:
    add(database, "ann")
    old = tokens.add_token(database, "ann", "t", None, NOW, "test")
    assert tokens.rotate_token(database, old.row, 60, NOW, "ann") is not None
    assert tokens.authenticate(database, old.text, NOW + 59) is not None
    assert tokens.authenticate(database, old.text, NOW + 60) is None
    row = tokens.get_token(database, old.row.id)
    assert row is not None
    assert tokens.rotate_token(database, row, 3600, NOW + 1, "ann") is None


def test_a_grace_never_lets_a_token_live_longer(database: Database) -> None:
    add(database, "ann")
    old = tokens.add_token(database, "ann", "t", NOW + 10, NOW, "test")
    tokens.rotate_token(database, old.row, 3600, NOW, "ann")
    assert tokens.authenticate(database, old.text, NOW + 10) is None


def test_rotated_at_once_by_many_there_is_one_new_token(database: Database) -> None:
    add(database, "ann")
    old = tokens.add_token(database, "ann", "t", None, NOW, "test")
    made: list[Made | None] = []

    def rotate(_number: int) -> None:
        made.append(tokens.rotate_token(database, old.row, 30, NOW, "ann"))
        database.close()

    at_once(4, rotate)
    assert sum(one is not None for one in made) == 1
    assert database.read(lambda: Token.select().count()) == 2


@pytest.mark.parametrize(
    ("role", "scope", "comes_to"),
    [
        (Role.ADMIN, Scope.ADMIN, Role.ADMIN),
        (Role.ADMIN, Scope.OPERATE, Role.OPERATOR),
        (Role.ADMIN, Scope.READ, Role.VIEWER),
        (Role.OPERATOR, Scope.ADMIN, Role.OPERATOR),
        (Role.OPERATOR, Scope.READ, Role.VIEWER),
        (Role.VIEWER, Scope.ADMIN, Role.VIEWER),
    ],
)
def test_a_scope_only_takes_away(
    database: Database, role: Role, scope: Scope, comes_to: Role
) -> None:
    add(database, "ann", role, teams=["ops"])
    made = tokens.add_token(database, "ann", "t", None, NOW, "test", scope=scope)
    login = tokens.authenticate(database, made.text, NOW)
    assert login is not None
    assert login.principal == Principal("ann", comes_to, ("ops",), ("*",), scope)
    assert login.role is role


# How often


def test_only_so_many_may_fail_and_then_one_by_one(database: Database) -> None:
    who = [subject("user", "ann", 3)]
    assert [login_limits.take(database, who, NOW) for _ in range(3)] == [None] * 3
    assert login_limits.take(database, who, NOW) == 100
    assert login_limits.take(database, [subject("user", "bob", 3)], NOW) is None
    assert login_limits.take(database, who, NOW + 99) == 1
    assert login_limits.take(database, who, NOW + 100) is None
    assert login_limits.take(database, who, NOW + 100) == 100


def test_at_no_moment_all_is_forgotten(database: Database) -> None:
    """Whatever span of five minutes one looks at, no more than twice as many get through."""
    who = [subject("user", "ann", 10)]
    let_in = [at for at in range(0, 900, 2) if login_limits.take(database, who, NOW + at) is None]
    for start in range(0, 600, 2):
        assert sum(start <= at < start + WINDOW for at in let_in) < 20


def test_five_minutes_later_all_may_fail_again(database: Database) -> None:
    who = [subject("user", "ann", 7)]
    for at in (NOW, NOW + WINDOW):
        assert [login_limits.take(database, who, at) for _ in range(8)][:-1] == [None] * 7
        assert login_limits.take(database, who, at) == 43


def test_what_did_not_fail_does_not_count(database: Database) -> None:
    who = [subject("user", "ann", 1), subject("peer", "192.0.2.1", 2)]
    for _ in range(3):
        assert login_limits.take(database, who, NOW) is None
        login_limits.give_back(database, who)
    login_limits.give_back(database, who[:1])  # twice, where a commit was in doubt
    assert login_limits.take(database, who, NOW) is None
    assert login_limits.take(database, who, NOW) is not None


def test_a_subject_that_is_full_takes_nothing_of_the_others(database: Database) -> None:
    peer, user = subject("peer", "192.0.2.1", 10), subject("user", "ann", 1)
    login_limits.take(database, [peer, user], NOW)
    for _ in range(20):
        assert login_limits.take(database, [peer, user], NOW) is not None
    filled = {row.subject: row.empty_at - NOW for row in database.read(lambda: list(LoginBucket))}
    assert filled == {peer.digest: 30, user.digest: 300}


def test_attempts_at_once_do_not_pass_the_bound_together(database: Database) -> None:
    who = [subject("peer", "192.0.2.1", 50), subject("user", "ann", 3)]
    answers = []

    def attempt(_number: int) -> None:
        answers.append(login_limits.take(database, who, NOW))
        database.close()

    at_once(8, attempt)
    assert len(answers) == 8
    assert answers.count(None) == 3


def test_what_was_typed_as_a_name_is_not_kept(database: Database) -> None:
    login_limits.take(database, [subject("user", "my-password", 3)], NOW)
    (row,) = database.read(lambda: list(LoginBucket))
    assert "my-password" not in row.subject


# From where


def test_a_login_makes_its_network_known_to_its_user_for_a_while(database: Database) -> None:
    add(database, "ann", password="hash")
    for _ in range(2):
        logins.begin_session(database, "ann", "hash", None, NOW + 60, NOW, network="192.0.2.1")
    known = login_places.is_known
    assert known(database, "ann", "192.0.2.1", NOW + KEPT - 1)
    assert not known(database, "ann", "192.0.2.1", NOW + KEPT)
    assert not known(database, "bob", "192.0.2.1", NOW)
    assert not known(database, "ann", "192.0.2.2", NOW)


def test_a_wrong_password_makes_no_network_known(database: Database) -> None:
    add(database, "ann", password="hash")
    logins.begin_session(database, "ann", "other", None, NOW + 60, NOW, network="192.0.2.1")
    assert not login_places.is_known(database, "ann", "192.0.2.1", NOW)


def test_only_the_newest_networks_of_a_user_are_known(database: Database) -> None:
    add(database, "ann", password="hash")
    order = [*range(1, 12), 5]
    for at, number in enumerate(order):
        logins.begin_session(
            database, "ann", "hash", None, NOW + 60, NOW + at, network=f"192.0.2.{number}"
        )
    known = [n for n in range(12) if login_places.is_known(database, "ann", f"192.0.2.{n}", NOW)]
    assert known == [4, 5, 6, 7, 8, 9, 10, 11]
    assert len(known) == login_places.MOST


# The audit


def test_the_audit_is_read_by_pages_and_by_what_is_asked_for(database: Database) -> None:
    def write() -> None:
        for number in range(6):
            user = "ann" if number % 2 else "bob"
            audit.add(NOW + number, user, "run", "job", str(number), after={"n": number})

    database.transaction(write)
    first = audit.page(database, 2, {})
    assert [row.object_id for row in first] == ["5", "4"]
    rest = audit.page(database, 10, {"user": "ann", "action": "run"}, before=first[-1].id)
    assert [row.object_id for row in rest] == ["3", "1"]
    assert [row.after for row in rest] == [{"n": 3}, {"n": 1}]
    assert audit.page(database, 10, {"object_type": "job", "object_id": "9"}) == []
    between = audit.page(database, 10, {}, since=NOW + 1, until=NOW + 3)
    assert [row.object_id for row in between] == ["2", "1"]


def test_no_text_of_a_password_or_token_is_in_the_audit(database: Database) -> None:
    add(database, "ann", password="$argon2-first")
    logins.set_password(database, "ann", "$argon2-second", NOW, "ann")
    session = log_in(database, "ann", "$argon2-second")
    made = tokens.add_token(database, "ann", "t", None, NOW, "test")
    new = tokens.rotate_token(database, made.row, 0, NOW, "ann")
    assert session is not None and new is not None
    rows = database.read(lambda: list(Audit))
    assert len(rows) == 5
    told = " ".join(f"{row.object_id} {row.before} {row.after}" for row in rows)
    for secret in (session.text, made.text, new.text):
        assert secret not in told
        assert tokens.digest_of(secret) not in told
    assert "argon2" not in told
