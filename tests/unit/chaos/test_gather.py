"""From a host's file to launches."""

import pytest

from chaos.gather import launches

LINES = """\
S 7 2027-01-15T08:01:00Z 1 3 R1 0 1800000061.5
B R1 1800000062.5
S 8 2027-01-15T08:01:00Z 2 1 R2 0 1800000061.9
E R1 1800000063.5
"""


def test_lines_become_launches() -> None:
    first, second = launches("node1", LINES.splitlines())
    assert (first.job, first.minute, first.attempt, first.epoch) == ("7", 1_800_000_060, 1, 3)
    assert (first.start, first.seen, first.end) == (1800000061.5, 1800000063.5, 1800000063.5)
    assert (second.host, second.end, second.seen) == ("node1", None, second.start)


def test_a_run_that_started_twice_is_two_launches() -> None:
    line = LINES.splitlines()[0]
    assert len(launches("a", [line, line])) == 2


def test_a_foreign_line_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="no job of the load"):
        launches("a", ["what is this"])
