"""When ends are on disk, and when the daemon hears of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcron_worker.runner.model import Ended, Launch, Started
from dcron_worker.runner.news import GATHER, HOLD, HOLD_LAST, News
from dcron_worker.runner.register import Register


def launch(run_id: str) -> Launch:
    return Launch(run_id, 7, "60", 1, 1, ("true",), {}, None, None, 60.0)


def end(run_id: str) -> Ended:
    return Ended(run_id, "succeeded", 1.0, 2.0, 0, None, None, "", "/nowhere", 0, truncated=False)


@pytest.fixture
def register(tmp_path: Path) -> Register:
    made = Register(tmp_path)
    made.add([launch("a"), launch("b")])
    return made


def on_disk(register: Register) -> list[str]:
    return [one["run"]["run_id"] for one in register.journal.read() if one["t"] == "ended"]


def test_news_that_come_together_are_told_together(register: Register) -> None:
    news = News(register)
    assert news.next_step(GATHER) is None
    begun = Started("a", 7, 1.0)
    news.begun(begun, 100.0)
    news.ended(end("a"), 100.01)
    assert news.next_step(GATHER) == 100.0 + GATHER
    assert news.step(100.01, GATHER) == []
    assert news.step(100.03, GATHER) == [begun, end("a")]
    assert on_disk(register) == ["a"]
    assert news.next_step(GATHER) is None
    assert news.step(200.0, GATHER) == []


def test_while_many_wait_for_their_start_an_end_is_on_disk_long_before_it_is_told(
    register: Register,
) -> None:
    news = News(register)
    news.ended(end("a"), 100.0)
    assert news.step(101.9, HOLD) == []
    assert (on_disk(register), news.unwritten) == ([], True)
    assert news.next_step(HOLD) == 102.0
    assert news.step(102.0, HOLD) == []
    assert (on_disk(register), news.unwritten) == (["a"], False)
    news.ended(end("b"), 103.0)
    assert news.next_step(HOLD) == 105.0, "the second is written two seconds after it came"
    assert news.step(129.9, HOLD) == []
    assert news.step(130.0, HOLD) == [end("a"), end("b")]


def test_when_the_last_was_begun_with_it_is_told_at_once(register: Register) -> None:
    news = News(register)
    news.ended(end("a"), 100.0)
    assert news.step(110.0, HOLD) == []
    assert news.step(110.0, HOLD_LAST) == [end("a")]


def test_a_new_client_hears_of_each_end_once_and_of_no_beginning_after_it(
    register: Register,
) -> None:
    news = News(register)
    news.begun(Started("a", 7, 1.0), 100.0)
    news.ended(end("a"), 100.0)
    news.begun(Started("b", 8, 1.0), 100.0)
    news.step(103.0, HOLD)
    assert news.for_a_new_client() == [end("a")]
    news.ended(end("b"), 104.0)
    assert news.for_a_new_client() == [end("a")], "b's is to come"
    assert news.step(200.0, HOLD) == [Started("b", 8, 1.0), end("b")]


def test_to_the_daemon_a_run_goes_on_until_its_end_is_told(register: Register) -> None:
    news = News(register)
    news.ended(end("a"), 100.0)
    assert not news.withholds("a"), "it is not on disk"
    news.step(102.0, HOLD)
    assert news.withholds("a")
    assert not news.withholds("b")
    news.step(130.0, HOLD)
    assert not news.withholds("a")
    news.ended(end("b"), 131.0)
    news.step(133.0, HOLD)
    news.for_a_new_client()
    assert not news.withholds("b"), "it was told just now"


def test_where_the_disk_is_full_the_daemon_hears_at_once(
    register: Register, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(register.journal, "append", full)
    news = News(register)
    news.ended(end("a"), 100.0)
    assert news.step(102.0, HOLD) == [end("a")]
    assert "1 results could not be written down" in caplog.text
    news.ended(end("b"), 103.0)
    assert news.next_step(HOLD) == 105.0
