"""The sentence that tells what a schedule does."""

from __future__ import annotations

import pytest

from dcron_common.schedule import parse

SENTENCES = {
    "* * * * *": "Every minute, by the clock of UTC.",
    "*/5 * * * *": "Every 5 minutes of every hour, by the clock of UTC.",
    "5 * * * *": "At minute 5 of every hour, by the clock of UTC.",
    "*/25 9-17 * * *": "At minute 0, 25 and 50 of hour 9 to 17, by the clock of UTC.",
    "* */2 * * *": "Every minute of every 2nd hour from 00:00, by the clock of UTC.",
    "15 4 * * *": "At 04:15 every day, by the clock of UTC.",
    "0,30 4,16 * * 1-5":
        "At 04:00, 04:30, 16:00 and 16:30 on Monday to Friday, by the clock of UTC.",
    "0 0 1 1 *": "At 00:00 on day 1 of the month in January, by the clock of UTC.",
    "0 0 13 * 5": "At 00:00 on day 13 of the month and also on Friday, by the clock of UTC.",
    "0 0 */2 * 5":
        "At 00:00 on every 2nd day of the month from day 1 if that is also on Friday, "
        "by the clock of UTC.",
    "@at 2026-12-01T03:00:00Z": "Once, at 2026-12-01T03:00:00Z.",
}  # fmt: skip


@pytest.mark.parametrize(("expression", "sentence"), SENTENCES.items())
def test_a_schedule_is_told_in_one_sentence(expression: str, sentence: str) -> None:
    assert parse(expression).describe() == sentence


def test_the_sentence_names_the_zone() -> None:
    assert parse("@daily", "Europe/Riga").describe().endswith("by the clock of Europe/Riga.")
