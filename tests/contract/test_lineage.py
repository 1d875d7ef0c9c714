"""Which tokens end with which, and how many there may be: on both databases, threads included."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from dcron_common.db import audit, lineage, logins, tokens, users
from dcron_common.db.connection import Database
from dcron_common.db.logins import MOST_LOGINS
from dcron_common.db.models import Token
from dcron_common.db.tokens import MOST, Made
from dcron_common.db.users import Role
from dcron_common.errors import Conflict
from tests.contract.plans import explained, statements
from tests.contract.test_logins import NOW, add, at_once, log_in, opens

LATER = NOW + 1000


def make(database: Database, by: Made | None = None, user: str = "ann", **more: Any) -> Made:
    present = None if by is None else by.row.id
    expires = more.get("expires")
    return tokens.add_token(database, user, "t", expires, NOW, "test", present=present)


def rotate(database: Database, old: Made, by: Made | None = None, grace: float = 0) -> Made:
    row = tokens.get_token(database, old.row.id)
    assert row is not None
    present = by or old
    made = tokens.rotate_token(database, row, grace, NOW, "ann", present=present.row.id)
    if made is None:
        raise Conflict("it is over or was replaced")
    return made


def revoke(database: Database, made: Made) -> list[int]:
    return tokens.revoke_token(database, made.row.id, NOW, "ann")


def which_open(database: Database, *made: Made) -> list[bool]:
    return [opens(database, one) for one in made]


@pytest.fixture
def record(database: Database) -> Database:
    add(database, "ann", Role.ADMIN, password="hash")
    add(database, "bob")
    return database


def test_what_was_made_with_a_token_ends_with_it_in_every_generation(record: Database) -> None:
    first = make(record)
    second = make(record, first)
    third, others = make(record, second), make(record, second, "bob")
    beside = make(record)
    assert revoke(record, second) == [second.row.id, third.row.id, others.row.id]
    assert which_open(record, first, beside) == [True, True]
    assert not any(which_open(record, second, third, others))
    last = audit.page(record, 1, {"object_id": str(others.row.id), "action": "revoke"})
    assert last[0].after == {"with": second.row.id}


def test_what_hangs_on_an_expired_token_ends_too(record: Database) -> None:
    first = make(record, expires=LATER)
    below = rotate(record, make(record, first))
    row = tokens.get_token(record, first.row.id)
    assert row is not None and not row.holds(LATER)
    tokens.revoke_token(record, first.row.id, LATER, "ann")
    assert not opens(record, below)


def test_a_token_that_is_over_makes_and_replaces_none(record: Database) -> None:
    revoked, expired, other = make(record), make(record, expires=NOW), make(record)
    revoke(record, revoked)
    for one in (revoked, expired):
        with pytest.raises(Conflict, match="is over"):
            make(record, one)
        with pytest.raises(Conflict, match="is over"):
            rotate(record, other, one)
    assert opens(record, other)


def test_a_rotation_ends_nothing_and_what_was_made_hangs_on_the_new_one(record: Database) -> None:
    first = make(record)
    below = make(record, first)
    new = rotate(record, first)
    assert which_open(record, first, below, new) == [False, True, True]
    revoke(record, first)
    assert which_open(record, below, new) == [True, True]
    revoke(record, new)
    assert not any(which_open(record, below, new))


def test_in_its_grace_the_old_one_and_what_it_makes_end_with_the_new_one(record: Database) -> None:
    first = make(record)
    new = rotate(record, first, grace=60)
    late = make(record, first)
    assert which_open(record, first, late) == [True, True]
    revoke(record, new)
    assert not any(which_open(record, first, late, new))


def test_the_old_one_ends_in_its_grace_without_the_new_one(record: Database) -> None:
    first = make(record)
    before = make(record, first)
    new = rotate(record, first, grace=60)
    late = make(record, first)
    revoke(record, first)
    assert which_open(record, first, late) == [False, False]
    assert which_open(record, new, before) == [True, True]


def test_whoever_rotates_another_token_has_the_new_one_end_with_the_own(record: Database) -> None:
    other, stolen = make(record), make(record)
    new = rotate(record, other, stolen)
    revoke(record, stolen)
    assert not opens(record, new)


@pytest.mark.parametrize("by", ["itself", "a child"])
def test_nobody_escapes_by_rotation(record: Database, by: str) -> None:
    stolen = make(record)
    second = make(record, stolen)
    third = make(record, second)
    new = rotate(record, second, second if by == "itself" else third)
    newer = rotate(record, new, third)
    fourth = make(record, third)
    revoke(record, stolen)
    assert not any(which_open(record, second, third, fourth, new, newer))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_thief_does_the_revocation_of_the_token_in_force_ends_it(
    record: Database, seed: int
) -> None:
    """A thief has one token, makes and rotates; the owner's own tokens that stay untouched stay."""
    draw = random.Random(seed)  # noqa: S311
    stolen, quiet = make(record), make(record)
    mine, owners = [stolen], [make(record) for _ in range(3)]
    for _ in range(12):
        by = draw.choice(mine)
        victim = draw.choice(mine + owners)
        try:
            if draw.random() < 0.5:
                mine.append(make(record, by))
            else:
                mine.append(rotate(record, victim, by, grace=draw.choice([0, 60])))
        except Conflict:
            continue  # it was rotated before
    in_force = tokens.get_token(record, stolen.row.id)
    while in_force is not None and in_force.replaced_by:
        in_force = tokens.get_token(record, in_force.replaced_by)
    assert in_force is not None
    tokens.revoke_token(record, in_force.id, NOW, "ann")
    assert not any(which_open(record, *mine))
    assert opens(record, quiet)


def test_what_was_made_in_a_login_outlives_it_until_it_is_revoked(record: Database) -> None:
    session, other = log_in(record, "ann", "hash"), log_in(record, "ann", "hash")
    assert session is not None and other is not None
    kept, ended = make(record, session), make(record, other)
    for one in (session, other):
        tokens.log_out(record, one.row.id, NOW, "ann")
    assert which_open(record, session, kept, ended) == [False, True, True]
    assert revoke(record, other) == [ended.row.id]
    assert which_open(record, kept, ended) == [True, False]


def end_alone(database: Database, made: Made) -> None:
    """As a logout, too many logins and older releases do: what hangs on it stands."""
    tokens.log_out(database, made.row.id, NOW, "ann")


def test_a_revocation_goes_on_through_what_is_over_and_leaves_its_end_as_it_was(
    record: Database,
) -> None:
    root = make(record)
    hidden = make(record, root)
    below = make(record, hidden)
    last = make(record, below, "bob")
    end_alone(record, hidden)
    end_alone(record, below)
    assert opens(record, last)
    assert tokens.revoke_token(record, root.row.id, LATER, "ann") == [root.row.id, last.row.id]
    ends = [tokens.get_token(record, one.row.id) for one in (hidden, below, last)]
    assert [one and one.revoked_at for one in ends] == [NOW, NOW, LATER]


def test_what_hangs_on_a_token_that_is_over_goes_with_a_rotation_above_it(
    record: Database,
) -> None:
    root = make(record)
    hidden = make(record, root)
    last = make(record, hidden)
    end_alone(record, hidden)
    new = rotate(record, root)
    revoke(record, root)
    assert opens(record, last)
    revoke(record, new)
    assert not opens(record, last)


def test_a_circle_of_tokens_ends_too(record: Database) -> None:
    """None is ever made; a row that somebody wrote by hand shall not keep a revocation from its
    end."""
    first = make(record)
    second = make(record, first)
    circle = Token.update(parent=second.row.id).where(Token.id == first.row.id)
    record.transaction(lambda: circle.clone().execute())
    assert revoke(record, first) == [first.row.id, second.row.id]


def test_another_password_ends_what_was_made_with_a_token_that_is_over(record: Database) -> None:
    over = make(record)
    mine, others = make(record, over), make(record, over, "bob")
    end_alone(record, over)
    assert which_open(record, mine, others) == [True, True]
    assert logins.set_password(record, "ann", "second", NOW, "ann", end_tokens=True)
    assert which_open(record, mine, others) == [False, False]


def test_another_password_ends_tokens_of_which_nobody_noted_what_they_were_made_with(
    record: Database,
) -> None:
    """As those of before schema version 10."""
    stolen = make(record)
    made, bobs = make(record, stolen), make(record, stolen, "bob")
    older = Token.update(parent=None)
    record.transaction(lambda: older.clone().execute())
    revoke(record, stolen)
    assert which_open(record, made, bobs) == [True, True]
    assert logins.set_password(record, "ann", "second", NOW, "ann", end_tokens=True)
    assert which_open(record, made, bobs) == [False, True]


def test_another_password_ends_all_tokens_if_that_is_asked_for(record: Database) -> None:
    session, loose = log_in(record, "ann", "hash"), make(record)
    assert session is not None
    mine, others, bobs = (
        make(record, session),
        make(record, session, "bob"),
        make(record, None, "bob"),
    )
    tokens.log_out(record, session.row.id, NOW, "ann")
    assert logins.set_password(record, "ann", "second", NOW, "ann")
    assert which_open(record, loose, mine, others) == [True, True, True]
    assert logins.set_password(record, "ann", "third", NOW, "ann", end_tokens=True)
    assert not any(which_open(record, loose, mine, others))
    assert opens(record, bobs)


def test_a_login_in_which_something_was_made_is_remembered(record: Database) -> None:
    session = log_in(record, "ann", "hash", expires=NOW)
    assert session is not None
    below = record.transaction(
        lambda: tokens.insert(
            "text", "ann", "t", "token", users.Scope.READ, None, NOW, parent=session.row.id
        )
    )
    log_in(record, "ann", "hash", expires=NOW)
    log_in(record, "ann", "hash")
    left = [row.id for row in tokens.list_tokens(record)]
    assert left[:2] == [session.row.id, below.id] and len(left) == 3
    assert revoke(record, session) == [session.row.id, below.id]


def raced(record: Database, work: list[Callable[[], object]]) -> None:
    def one(number: int) -> None:
        try:
            work[number]()
        except Conflict:
            pass  # it came too late
        finally:
            record.close()

    at_once(len(work), one)


@pytest.mark.parametrize("attempt", range(3))
def test_no_token_made_at_the_moment_of_a_revocation_is_left(
    record: Database, attempt: int
) -> None:
    stolen = make(record)
    below = make(record, stolen)
    made: list[Made] = []
    work: list[Callable[[], object]] = [
        lambda: made.append(make(record, stolen)),
        lambda: made.append(make(record, below)),
        lambda: made.append(make(record, below, "bob")),
        lambda: made.append(rotate(record, below)),
    ]
    work.insert(attempt, lambda: revoke(record, stolen))
    raced(record, work)
    assert not any(which_open(record, stolen, below, *made))


@pytest.mark.parametrize("attempt", range(3))
def test_nor_is_one_below_a_token_that_was_over(record: Database, attempt: int) -> None:
    root = make(record)
    hidden = make(record, root)
    below = [make(record, hidden) for _ in range(2)]
    end_alone(record, hidden)
    made: list[Made] = []
    work: list[Callable[[], object]] = [
        lambda: made.append(rotate(record, below[0])),
        lambda: made.append(make(record, below[1])),
    ]
    work.insert(attempt, lambda: revoke(record, root))
    raced(record, work)
    assert not any(which_open(record, *below, *made))


def test_a_revocation_takes_many_tokens_a_few_at_a_time(
    record: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "_BATCH", 2)
    root = make(record)
    level = [make(record, root) for _ in range(5)]
    below = [make(record, one) for one in level]
    for one in level[::2]:
        end_alone(record, one)
    ended = [one.row.id for one in (root, *level[1::2], *below)]
    assert revoke(record, root) == ended


def test_a_user_has_only_so_many_tokens_that_hold(record: Database) -> None:
    gone = make(record)
    revoke(record, gone)
    make(record, expires=NOW)
    made = [make(record) for _ in range(MOST)]
    with pytest.raises(Conflict, match=r"revoke those that nobody needs"):
        make(record)
    with pytest.raises(Conflict):
        rotate(record, made[0], grace=60)
    rotate(record, made[0])
    assert opens(record, log_in(record, "ann", "hash"))
    assert opens(record, make(record, user="bob"))
    revoke(record, made[1])
    assert opens(record, make(record))


def test_tokens_made_at_once_do_not_pass_the_bound_together(record: Database) -> None:
    for _ in range(MOST - 2):
        make(record)
    made: list[Made] = []
    raced(record, [lambda: made.append(make(record))] * 5)
    assert len(made) == 2


def test_of_too_many_logins_the_oldest_are_over(record: Database) -> None:
    sessions = [log_in(record, "ann", "hash") for _ in range(MOST_LOGINS + 2)]
    assert [opens(record, one) for one in sessions] == [False] * 2 + [True] * MOST_LOGINS


def test_what_hangs_on_a_token_and_how_many_there_are_is_found_by_an_index(
    mariadb: Database,
) -> None:
    add(mariadb, "ann")
    rows = [
        {"digest": f"{number}", "user": f"u{number % 50}", "name": "t", "created_at": NOW}
        | {"parent": number % 400 or None, "revoked_at": NOW if number % 3 else None}
        for number in range(4000)
    ]
    mariadb.transaction(lambda: Token.insert_many(rows).execute())
    mariadb.read(lambda: mariadb.execute("ANALYZE TABLE `token`"))
    asked = statements(mariadb, lambda: mariadb.transaction(lambda: lineage.end_below(7, NOW)))
    asked += statements(mariadb, lambda: make(mariadb))
    keys = {row["key"]: row["rows"] for one in asked for row in explained(mariadb, one)}
    assert {"token_parent", "token_live"} <= set(keys)
    assert all(int(count or 0) <= 100 for count in keys.values())
