"""Names that are built are read back, whatever dots a worker's name holds."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dcron_common import config, ids, paths
from dcron_common.errors import CoordinatorError
from dcron_common.paths import Slot
from dcron_common.run import cron_key

ULID = "01MCC5RM00121TVZXRTH1KSA90"

workers = st.from_regex(config._NAME, fullmatch=True)
jobs = st.integers(min_value=1, max_value=2**63 - 1)
slots = st.builds(Slot, jobs, st.just("") | workers)
instants = st.integers(min_value=0, max_value=2**33)
minutes = instants.map(lambda second: cron_key(second // 60 * 60))
digests = st.just("") | st.from_regex(r"[0-9a-f]{8}", fullmatch=True)
editions = st.builds(paths.Edition, st.integers(min_value=1, max_value=2**31 - 1), digests)
manual = st.builds(lambda second: f"m.{ids.ulid(second)}", instants)


@given(workers, slots, minutes | manual)
@example("w", Slot(7, "n.ex.org"), "1800000060")
@example("w", Slot(7, "n.1800000000"), "1800000060")
@example("w", Slot(7, f"n.m.{ULID}"), "1800000060")
@example("w", Slot(7, f"n.m.{ULID}"), f"m.{ULID}")
@example("w", Slot(7, "n.m"), f"m.{ULID}")
@example("w", Slot(7, "m"), "60")
def test_the_name_of_a_claim_or_a_task_is_read_back(worker: str, slot: Slot, key: str) -> None:
    for path in (paths.claim(worker, slot, key), paths.task(worker, slot, key)):
        parent, _, name = path.rpartition("/")
        assert parent in (paths.runs(worker), paths.tasks(worker))
        assert paths.run_parts(name) == (slot, key)


@given(workers, slots, editions)
@example("w", Slot(7, "n.7"), paths.Edition(7))
@example("w", Slot(7, "n.7-00000007"), paths.Edition(7))
def test_the_name_of_an_assignment_is_read_back(
    worker: str, slot: Slot, edition: paths.Edition
) -> None:
    name = paths.assignment(worker, slot, edition).rpartition("/")[2]
    assert paths.assignment_parts(name) == (slot, edition)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "7",
        "7.",
        ".60",
        "7.x",
        "7.-60",
        "7.60\n",
        "7@.60",
        "x.60",
        "-7.60",
        "7_0.60",
        "7.m.short",
        f"7.m.{ULID.lower()}",
        f"7.m.{ULID}0",
        f"7.M.{ULID}",
        f"7.{ULID}",
        "7.٣",
        "7.1234567890123",
    ],
)
def test_a_name_that_nobody_of_ours_made_is_refused(name: str) -> None:
    with pytest.raises(CoordinatorError):
        paths.run_parts(name)
