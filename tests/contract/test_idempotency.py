"""Keys of repeated requests, asked of SQLite and of a real MariaDB."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from dcron_common.db import idempotency, jobs, users
from dcron_common.db.connection import Database
from dcron_common.db.idempotency import Claim, Kept, Outcome, claim, keep, release, renew, settle
from dcron_common.db.models import Idempotency
from dcron_common.errors import Conflict
from tests.contract.records import NOW, count_jobs, spec

FIRST = Claim("ann", "k", "d" * 64, "A" * 26)
SECOND = Claim("ann", "k", "d" * 64, "B" * 26)


def make(database: Database, claimed: Claim) -> jobs.JobRow:
    new = jobs.NewJob(spec(claimed.incarnation), "ann", {})

    def along(row: jobs.JobRow) -> None:
        settle(claimed, Kept(job_id=row.id))

    return jobs.insert_job(database, new, NOW, "ann", along=along)


def test_a_key_is_claimed_then_in_hand_then_made(database: Database) -> None:
    assert claim(database, FIRST, NOW) == (Outcome.CLAIMED, None)
    assert claim(database, FIRST, NOW) == (Outcome.CLAIMED, None)  # the answer had been lost
    assert claim(database, SECOND, NOW) == (Outcome.IN_HAND, None)
    row = make(database, FIRST)
    assert claim(database, SECOND, NOW) == (Outcome.MADE, Kept(row.id))
    other = Claim("ann", "k", "e" * 64, "C" * 26)
    assert claim(database, other, NOW) == (Outcome.ANOTHER, None)
    assert claim(database, Claim("bob", "k", "e" * 64, "D" * 26), NOW) == (Outcome.CLAIMED, None)


def test_a_key_that_is_released_can_be_claimed_one_that_is_settled_cannot(
    database: Database,
) -> None:
    claim(database, FIRST, NOW)
    release(database, SECOND)
    assert claim(database, SECOND, NOW) == (Outcome.IN_HAND, None)
    release(database, FIRST)
    assert claim(database, SECOND, NOW) == (Outcome.CLAIMED, None)
    row = make(database, SECOND)
    release(database, SECOND)
    assert claim(database, FIRST, NOW) == (Outcome.MADE, Kept(row.id))


def test_a_job_whose_key_was_taken_over_is_undone(database: Database) -> None:
    claim(database, FIRST, NOW)
    later = NOW + idempotency.IN_HAND + 1
    assert claim(database, SECOND, later) == (Outcome.CLAIMED, None)
    with pytest.raises(Conflict):
        make(database, FIRST)
    assert count_jobs(database) == 0
    assert make(database, SECOND).id > 0


def test_what_was_answered_is_kept_with_the_key(database: Database) -> None:
    claim(database, FIRST, NOW)
    keep(database, FIRST, '{"a": "ä\U0001f600"}\n')
    keep(database, FIRST, '{"a": "ä\U0001f600"}\n')  # the answer to the commit had been lost
    release(database, FIRST)
    kept = Kept(answer='{"a": "ä\U0001f600"}\n')
    assert claim(database, SECOND, NOW) == (Outcome.MADE, kept)
    with pytest.raises(Conflict):
        keep(database, SECOND, "")


def test_a_claim_that_is_renewed_is_in_hand_for_longer(database: Database) -> None:
    claim(database, FIRST, NOW)
    late = NOW + idempotency.IN_HAND
    assert renew(database, FIRST, late)
    assert renew(database, FIRST, late)  # the answer had been lost
    assert claim(database, SECOND, late + idempotency.IN_HAND) == (Outcome.IN_HAND, None)
    assert claim(database, SECOND, late + idempotency.IN_HAND + 1) == (Outcome.CLAIMED, None)
    assert not renew(database, FIRST, late + idempotency.IN_HAND + 2)
    assert renew(database, SECOND, late + idempotency.IN_HAND + 2)


@pytest.mark.parametrize("settles", [False, True])
def test_a_claim_that_is_renewed_or_settled_meanwhile_is_not_taken_over(
    database: Database, monkeypatch, settles: bool
) -> None:
    claim(database, FIRST, NOW)
    late = NOW + idempotency.IN_HAND + 1
    values = idempotency._values

    def meanwhile(wanted: Claim, now: float) -> dict[str, Any]:
        if wanted is SECOND and seen.pop():
            settle(FIRST, Kept(answer="done")) if settles else renew(database, FIRST, late)
        return values(wanted, now)

    seen = [True, False]  # the first time it is for the insert that finds the key taken
    monkeypatch.setattr(idempotency, "_values", meanwhile)
    assert claim(database, SECOND, late) == (Outcome.IN_HAND, None)
    assert renew(database, FIRST, late)


def test_what_must_not_be_done_twice_is_in_doubt_once_its_time_is_over(database: Database) -> None:
    once, again = replace(FIRST, repeatable=False), replace(SECOND, repeatable=False)
    claim(database, once, NOW)
    later = NOW + idempotency.IN_HAND + 1
    assert claim(database, again, later) == (Outcome.IN_DOUBT, None)
    keep(database, once, "late, but true")
    assert claim(database, again, later) == (Outcome.MADE, Kept(answer="late, but true"))
    assert claim(database, again, NOW + idempotency.KEPT + 1) == (Outcome.CLAIMED, None)
    assert claim(database, SECOND, NOW + idempotency.KEPT + 1)[0] is Outcome.CLAIMED


def test_a_user_whose_key_was_taken_over_is_undone(database: Database) -> None:
    claim(database, FIRST, NOW)
    assert claim(database, SECOND, NOW + idempotency.IN_HAND + 1)[0] is Outcome.CLAIMED

    def make(claimed: Claim) -> None:
        kept = Kept(answer="")
        users.add_user(
            *(database, "ann", users.Role.VIEWER, [], [], NOW, "root"),
            along=lambda: settle(claimed, kept),
        )

    with pytest.raises(Conflict):
        make(FIRST)
    assert users.get_user(database, "ann") is None
    make(SECOND)
    assert claim(database, FIRST, NOW) == (Outcome.MADE, Kept(answer=""))


def test_old_keys_go_a_few_at_a_time(database: Database, monkeypatch) -> None:
    monkeypatch.setattr(idempotency, "_BATCH", 2)
    for number in range(5):
        claim(database, Claim("ann", f"k{number}", "d" * 64, f"{number:026d}"), NOW)
    counts = []
    for number in range(3):
        late = Claim("ann", f"late{number}", "d" * 64, f"{number:026x}x"[-26:])
        claim(database, late, NOW + idempotency.KEPT + 1)
        counts.append(database.read(lambda: Idempotency.select().count()))
    assert counts == [4, 3, 3]


def test_of_many_at_once_one_makes_the_job(mariadb: Database) -> None:
    found: list[Outcome] = []
    barrier = threading.Barrier(6)

    def run(number: int) -> None:
        mine = Claim("ann", "k", "d" * 64, f"{number:026d}")
        barrier.wait(60)
        outcome, _ = claim(mariadb, mine, NOW)
        if outcome is Outcome.CLAIMED:
            make(mariadb, mine)
        found.append(outcome)
        mariadb.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(Outcome.CLAIMED) == 1
    assert set(found) <= {Outcome.CLAIMED, Outcome.IN_HAND, Outcome.MADE}
    assert count_jobs(mariadb) == 1
