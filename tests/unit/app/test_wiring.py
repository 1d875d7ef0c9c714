"""What an API does when it starts."""

from __future__ import annotations

import pytest

from dcron_app import wiring
from dcron_common.db import lookups
from dcron_common.db.models import JobText
from dcron_common.errors import DatabaseUnavailable
from tests.unit.app.api_client import COMMAND, Api


def test_a_start_describes_what_an_older_api_has_written(api: Api) -> None:
    api.post("/jobs", COMMAND)
    database = api.services.database
    database.transaction(JobText.delete().execute)
    assert api.get("/jobs?q=ls").json == []
    wiring._catch_up(database)
    assert [job["id"] for job in api.get("/jobs?q=ls").json] == ["1"]


def test_a_start_goes_on_while_the_database_is_away(api: Api, caplog) -> None:
    def away(database: object) -> int:
        raise DatabaseUnavailable("made up")

    with pytest.MonkeyPatch.context() as ill:
        ill.setattr(lookups, "catch_up", away)
        wiring._catch_up(api.services.database)
    assert "the next start does it" in caplog.text
