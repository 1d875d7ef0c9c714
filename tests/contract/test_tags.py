"""Writes under a tag, asked of SQLite and of a real MariaDB: of many at once one is done."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dcron_common.db import logins, users, workers
from dcron_common.db.connection import Database
from dcron_common.db.models import Audit
from dcron_common.db.users import Role
from dcron_common.errors import Outdated
from dcron_common.protocol import Registration
from tests.contract.records import NOW

EDITORS = 6

Edit = Callable[[Database, int, list[str]], object]


def label(database: Database, number: int, known: list[str]) -> object:
    return workers.set_labels(database, "n1", {"by": str(number)}, NOW, "test", known=known)


def drain_or_label(database: Database, number: int, known: list[str]) -> object:
    if number == 1:  # just one: what is drained already is no change
        return workers.set_drained(database, "n1", True, NOW, "test", known=known)
    return label(database, number, known)


def change(database: Database, number: int, known: list[str]) -> object:
    teams = [f"team{number}"]
    return users.change_user(database, "ann", NOW, "test", teams=teams, known=known)


def word_or_change(database: Database, number: int, known: list[str]) -> object:
    if number % 2:
        return logins.set_password(database, "ann", f"hash{number}", NOW, "test", known=known)
    return change(database, number, known)


def prepare(database: Database) -> dict[str, str]:
    node = Registration("n1", "boot", "s", "10.0.0.1", {}, 10, "0.1.0", 0)
    workers.save_seen(database, {"n1": node}, NOW)
    users.add_user(database, "ann", Role.OPERATOR, [], [], NOW, "test")
    return tags(database)


def tags(database: Database) -> dict[str, str]:
    worker, user = workers.get_worker(database, "n1"), users.get_user(database, "ann")
    assert worker is not None and user is not None
    return {"worker": worker.tag, "user": user.tag}


def audited(database: Database) -> int:
    return database.read(lambda: Audit.select().count())


@pytest.mark.parametrize(
    ("what", "edit"),
    [
        ("worker", label),
        ("worker", drain_or_label),
        ("user", change),
        ("user", word_or_change),
    ],
)
def test_of_many_editors_of_one_state_one_writes(database: Database, what: str, edit: Edit) -> None:
    known, before, told = [prepare(database)[what]], audited(database), []
    barrier = threading.Barrier(EDITORS)

    def run(number: int) -> None:
        barrier.wait(10)
        try:
            edit(database, number, known)
            told.append("done")
        except Outdated:
            told.append("outdated")
        database.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(EDITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["done"] + ["outdated"] * (EDITORS - 1)
    assert audited(database) == before + 1
    assert tags(database)[what] != known[0]


def test_a_worker_is_forgotten_only_as_it_is_known(database: Database) -> None:
    known = prepare(database)["worker"]
    label(database, 1, [known])
    with pytest.raises(Outdated) as caught:
        workers.forget(database, "n1", NOW, "test", known=[known])
    assert caught.value.tag == tags(database)["worker"]
    assert workers.forget(database, "n1", NOW, "test", known=[str(caught.value.tag)])
    assert not workers.forget(database, "n1", NOW, "test", known=[known])
