"""One request at a time finds out whether the database is back."""

from __future__ import annotations

import pytest

from dcron_app.api.outage import HOLD, Outage
from dcron_common.clock import Clock
from dcron_common.errors import DatabaseError, DatabaseUnavailable


class Asked:
    """An outage, its time, and a database that answers or not; `tries` counts the questions."""

    def __init__(self) -> None:
        self.now = 100.0
        self.well = True
        self.tries = 0
        self.outage = Outage(Clock(wall=lambda: self.now, boot=lambda: self.now))

    def ask(self) -> bool:
        try:
            with self.outage.asking():
                self.tries += 1
                if not self.well:
                    raise DatabaseUnavailable("gone")
        except DatabaseUnavailable:
            return False
        return True


@pytest.fixture
def away() -> Asked:
    asked = Asked()
    asked.well = False
    asked.ask()
    return asked


def test_a_database_that_answers_is_asked_each_time() -> None:
    asked = Asked()
    assert [asked.ask() for _ in range(3)] == [True] * 3
    assert asked.tries == 3


def test_after_one_has_waited_in_vain_the_others_do_not(away: Asked) -> None:
    assert [away.ask() for _ in range(3)] == [False] * 3
    assert away.tries == 1


def test_after_a_while_one_tries_again(away: Asked) -> None:
    away.now += HOLD
    assert not away.ask()
    assert not away.ask()
    assert away.tries == 2


def test_while_one_tries_the_others_do_not(away: Asked) -> None:
    away.now += HOLD
    with away.outage.asking():
        assert not away.ask()
    assert away.tries == 1


def test_the_first_answer_ends_it(away: Asked) -> None:
    away.well = True
    assert not away.ask()
    away.now += HOLD
    assert away.ask()
    assert away.ask()


def test_other_errors_say_that_the_database_answers(away: Asked) -> None:
    away.now += HOLD
    with pytest.raises(DatabaseError), away.outage.asking():
        raise DatabaseError("refused")
    away.well = True
    assert away.ask()
