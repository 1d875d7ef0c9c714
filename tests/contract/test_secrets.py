"""Secrets in the record, on both databases: conditional writes, and what refers to them."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dcron_common.db import editing, jobs, sealed, secrets
from dcron_common.db.connection import Database
from dcron_common.db.sealed import Seal, Sealed
from dcron_common.db.secrets import NewSecret, SecretRow
from dcron_common.errors import Conflict
from dcron_common.job import JobType, Spec

NOW = 1_800_000_030.5


def put(database: Database, name: str, version: str, before: SecretRow | None = None) -> SecretRow:
    new = NewSecret(name, "ann", None, version, f"k:{version}")
    made = secrets.put_secret(database, before, new, NOW, "ann")
    assert made is not None
    return made


def post(database: Database, incarnation: str, *names: str) -> jobs.JobRow:
    values = (JobType.COMMAND, "ls", "5 * * * *", "UTC", 0)
    spec = Spec(0, incarnation * 26, 1, *values, secrets=names)
    return jobs.insert_job(database, jobs.NewJob(spec, "ann", {}), NOW, "ann")


def used(database: Database) -> dict[str, int]:
    return {row.name: count for row, count in secrets.list_secrets(database)}


def test_p16_a_value_is_written_over_the_one_that_was_read_only(database: Database) -> None:
    first = put(database, "KEY", "1")
    second = put(database, "KEY", "2", first)
    assert (second.revision, second.created_at) == (2, first.created_at)
    late = NewSecret("KEY", "bob", None, "3", "k:3")
    assert secrets.put_secret(database, first, late, NOW, "bob") is None
    assert secrets.put_secret(database, None, late, NOW, "bob") is None
    assert not secrets.remove_secret(database, first, NOW, "bob")
    assert secrets.encrypted(database, ["KEY", "OTHER"]) == {"KEY": ("2", "k:2")}
    assert put(database, "KEY", "2", first) == second  # said again: it is its own


def test_p16_of_many_who_make_a_secret_at_once_one_does(database: Database) -> None:
    made: list[SecretRow | None] = []

    def make(number: int) -> None:
        new = NewSecret("KEY", f"user{number}", None, str(number), "k:v")
        made.append(secrets.put_secret(database, None, new, NOW, "test"))
        database.close()

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    [winner] = [one for one in made if one is not None]
    assert secrets.get_secrets(database, ["KEY"]) == {"KEY": winner}


def test_names_differ_when_their_letters_do(database: Database) -> None:
    put(database, "KEY", "1")
    put(database, "key", "2")
    assert list(used(database)) == ["KEY", "key"]


def test_a_secret_that_a_live_job_names_stays(database: Database) -> None:
    row = put(database, "KEY", "1")
    made = post(database, "A", "KEY")
    assert used(database) == {"KEY": 1}
    with pytest.raises(Conflict, match=f"in use by jobs {made.id}:"):
        secrets.remove_secret(database, row, NOW, "ann")
    jobs.remove_job(database, made.id, NOW, "ann")
    assert secrets.remove_secret(database, row, NOW, "ann")


def test_a_job_that_names_a_secret_that_is_gone_is_not_written(database: Database) -> None:
    with pytest.raises(Conflict, match="see GET /secrets"):
        post(database, "A", "KEY")
    assert jobs.jobs_after(database, 0) == []


def test_a_change_of_a_job_says_which_secrets_it_names_now(database: Database) -> None:
    for name in ("A", "B", "C"):
        put(database, name, name)
    row = post(database, "A", "A", "B")
    spec = replace(jobs.spec_of(row), secrets=("B", "C"))
    changed = editing.update_job(database, row, jobs.NewJob(spec, "ann", {}), NOW, "ann")
    assert changed is not None and used(database) == {"A": 0, "B": 1, "C": 1}
    gone = jobs.NewJob(replace(spec, secrets=("D",)), "ann", {})
    with pytest.raises(Conflict, match="see GET /secrets"):
        editing.update_job(database, changed, gone, NOW, "ann")
    assert used(database) == {"A": 0, "B": 1, "C": 1}


def test_what_is_sealed_is_replaced_and_dropped_pair_by_pair(database: Database) -> None:
    rows = [Sealed(worker, "KEY", "1", "p", "s" * 30_000) for worker in ("a", "b")]
    sealed.save(database, rows)
    sealed.save(database, [replace(rows[0], version="2", sealed="new")])
    assert sealed.seals(database) == {("a", "KEY"): Seal("2", "p"), ("b", "KEY"): Seal("1", "p")}
    assert sealed.fetch(database, "a", ["KEY", "X"], deadline=5)["KEY"].sealed == "new"
    sealed.drop(database, [("a", "KEY"), ("c", "KEY")])
    assert list(sealed.seals(database)) == [("b", "KEY")]


def test_reencrypting_writes_over_the_same_version_only(database: Database) -> None:
    row = put(database, "KEY", "1")
    assert secrets.reencrypt(database, "KEY", "1", "new:1")
    put(database, "KEY", "2", row)
    assert not secrets.reencrypt(database, "KEY", "1", "new:1")
    assert secrets.encrypted(database, ["KEY"]) == {"KEY": ("2", "k:2")}
