from pathlib import Path

from lab import mounts

TABLE = """\
dcron-lab /var/lib/dcron-lab/t/ctl1/root overlay rw 0 0
proc /var/lib/dcron-lab/t/ctl1/root/proc proc rw 0 0
dcron-lab /var/lib/dcron-lab/t2/ctl1/root overlay rw 0 0
tmpfs /var/lib/dcron-lab/t/with\\040space tmpfs rw 0 0
"""


def test_inner_mounts_come_first_and_another_labs_are_left_alone() -> None:
    assert mounts.below(Path("/var/lib/dcron-lab/t"), TABLE) == [
        "/var/lib/dcron-lab/t/with space",
        "/var/lib/dcron-lab/t/ctl1/root/proc",
        "/var/lib/dcron-lab/t/ctl1/root",
    ]
