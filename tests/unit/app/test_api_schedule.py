"""GET /schedule: what an expression means, and when it fires next."""

from urllib.parse import urlencode

import pytest

from tests.unit.app.api_client import NOW, Api

RIGA = {"timezone": "Europe/Riga"}


def path(**query: str | int) -> str:
    return f"/schedule?{urlencode(query)}"


def test_an_expression_is_described_with_its_next_times(api: Api) -> None:
    answer = api.get(path(expression="30 3 * * mon", after="2026-12-01T00:00:00Z", count=2, **RIGA))
    assert answer.status == 200
    assert answer.json == {
        "description": "At 03:30 on Monday, by the clock of Europe/Riga.",
        "next": ["2026-12-07T03:30:00+02:00", "2026-12-14T03:30:00+02:00"],
    }


def test_times_carry_the_offset_of_their_day(api: Api) -> None:
    # The clocks of Riga go forward on 28 March 2027.
    answer = api.get(path(expression="0 12 * * *", after="2027-03-27T00:00:00Z", count=2, **RIGA))
    assert answer.json["next"] == ["2027-03-27T12:00:00+02:00", "2027-03-28T12:00:00+03:00"]


def test_without_more_it_is_utc_from_now_on_and_ten_times(api: Api) -> None:
    found = api.get(path(expression="@hourly")).json["next"]
    assert (found[0], len(found)) == ("2027-01-15T09:00:00+00:00", 10)


@pytest.mark.parametrize(
    "after",
    [int(NOW), NOW, "2027-01-15T08:00:30Z", "2027-01-15T10:00:30+02:00", "20270115T080030Z"],
)
def test_after_is_iso_8601_or_epoch_seconds(api: Api, after: str | int) -> None:
    answer = api.get(path(expression="* * * * *", after=after, count=1))
    assert answer.json["next"] == ["2027-01-15T08:01:00+00:00"]


def test_an_offset_whose_plus_was_not_escaped_is_understood(api: Api) -> None:
    answer = api.get("/schedule?expression=@daily&count=1&after=2027-01-15T10:00:30+02:00")
    assert answer.json["next"] == ["2027-01-16T00:00:00+00:00"]


def test_a_rare_schedule_fires_as_often_as_asked(api: Api) -> None:
    found = api.get(path(expression="0 0 29 2 *", count=1000, **RIGA)).json["next"]
    assert len(found) == 1000
    assert found[-1] == "6148-02-29T00:00:00+02:00"


def test_one_that_has_fired_for_the_last_time_is_described_and_has_no_next(api: Api) -> None:
    answer = api.get(path(expression="@at 2020-01-01T00:00:00Z"))
    assert answer.json == {"description": "Once, at 2020-01-01T00:00:00Z.", "next": []}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "expression"),
        ({"expression": ""}, "expression"),
        ({"expression": "1#2 * * * *"}, "expression"),
        ({"expression": "@reboot"}, "expression"),
        ({"expression": "* * * * *", "timezone": "Mars/Olympus"}, "timezone"),
        ({"expression": "* * * * *", "timezone": ""}, "timezone"),
        ({"expression": "* * * * *", "after": "tomorrow"}, "after"),
        ({"expression": "* * * * *", "after": "2027-01-15T08:00:30"}, "after"),
        ({"expression": "* * * * *", "after": "1900-01-01T00:00:00Z"}, "after"),
        ({"expression": "* * * * *", "after": "0001-01-01T00:00:00+23:59"}, "after"),
        ({"expression": "* * * * *", "count": "0"}, "count"),
        ({"expression": "* * * * *", "count": "1001"}, "count"),
        ({"expression": "* * * * *", "zone": "UTC"}, "zone"),
    ],
)
def test_a_wrong_question_is_refused_by_name(api: Api, query: dict[str, str], field: str) -> None:
    answer = api.get(path(**query))
    assert (answer.status, answer.fields) == (422, [field])


def test_it_needs_a_token(api: Api) -> None:
    assert api.get(path(expression="@daily"), user=None).status == 401
