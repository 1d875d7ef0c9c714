"""Ids that are derived from a run's."""

from dcron_common.ids import derived, ulid, ulid_time

MINUTE = 1_800_000_000


def test_a_derived_id_is_the_same_from_whoever_derives_it() -> None:
    run = ulid(MINUTE + 0.25)
    assert derived(run, MINUTE) == derived(run, MINUTE)


def test_derived_ids_are_ulids_of_their_runs_time_and_differ() -> None:
    runs = [ulid(MINUTE + 0.25) for _ in range(3)]
    ids = [derived(run, MINUTE + 60 * number) for run in runs for number in range(100)]
    assert {ulid_time(one) for one in ids} == {MINUTE + 0.25}
    assert len({*ids, *runs}) == len(ids) + len(runs)
