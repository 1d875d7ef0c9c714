"""No byte of a user's text reaches a crontab, whatever field it is in and however it is made."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcron_app.api.fields import JobFields
from dcron_common.db import jobs, users
from dcron_common.errors import Conflict
from dcron_common.schedule import parse
from dcron_worker.crontab import plan, render, render_user
from tests.unit.app.api_client import COMMAND, NOW, Api, open_api

FIFO = "/run/dcron/fire"
BREAKERS = "\n\r\0\x0b\x0c\x1b\x7f\x85\u2028\u2029%#\\'\"`$;|&<>*/- \t=()é夜"
# Text of a user, with what breaks lines, comments and shell words anywhere in it.
HOSTILE = st.builds(
    lambda parts: "".join(parts),
    st.lists(
        st.one_of(
            st.sampled_from(BREAKERS),
            st.sampled_from(["ZQ", "\n* * * * * root ZQ\n", "$(ZQ)", "%0aZQ", "dcron job 7"]),
        ),
        min_size=1,
        max_size=6,
    ),
)
LABELS = st.dictionaries(st.one_of(HOSTILE, st.just("ZQ")), HOSTILE, max_size=2)
TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "executable": HOSTILE,
    "schedule": st.one_of(
        st.sampled_from(["@daily", "5 * * * *", " 5\t* * jan mon "]),
        st.builds("5 * * * *{}".format, HOSTILE),
        st.builds("@at 2036-12-01T03:00:00Z{}".format, HOSTILE),
    ),
    "name": HOSTILE,
    "labels": LABELS,
    "owner": HOSTILE,
    "team": HOSTILE,
    "timezone": st.one_of(HOSTILE, st.sampled_from(["UTC", "Asia/Tokyo"])),
    "filename": HOSTILE,
    "arguments": st.lists(HOSTILE, max_size=2),
    "environment": st.dictionaries(st.one_of(HOSTILE, st.just("ZQ")), HOSTILE, max_size=2),
    "working_directory": st.builds("/{}".format, HOSTILE),
    "secrets": st.lists(HOSTILE, max_size=1),
    "run_as": st.one_of(HOSTILE, st.just("zq-user")),
    "placement": st.builds(lambda labels: {"labels": labels}, LABELS),
}  # fmt: skip
HOLD_NO_TEXT = {
    *("type", "concurrency", "timeout_seconds", "retries", "retry_delay_seconds", "catch_up"),
    *("starting_deadline_seconds", "on_worker_loss", "on_isolation", "limits", "paused"),
}
# All that a crontab of ours may be made of.
LINE = re.compile(
    r"(# Made by dcron; .*|# dcron sum [0-9a-f]{64}|SHELL=/bin/sh|MAILTO=\"\""
    r"|# dcron job [0-9]+(, dcron job [0-9]+)*( # dcron-[0-9a-f]{12})?"
    r"|[0-9*/,-]+( [0-9*/,-]+){4} (root |exec /bin/sh -c ')F=/run/dcron/fire; \[ -p \$F \] "
    r"&& \[ ! \$F -nt \$F\.seen \] && echo (tick|[0-9a-f]{8}) 1<>\$F('? # dcron-[0-9a-f]{12})?"
    r"(; exec sleep \$\(\(160019999999-1\$\(date \+\\%S\\%N\)\)\)e-9)?)"
)
SETTINGS = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with open_api(tmp_path_factory.mktemp("api")) as opened:
        yield opened


def crontab_of(api: Api, job_id: str) -> list[str]:
    """The lines of a worker with that job: of /etc/cron.d, and of a user's own crontab."""
    row = jobs.get_job(api.services.database, int(job_id))
    assert row is not None
    spec = jobs.spec_of(row)
    table = plan([(row.id, parse(spec.schedule, spec.timezone))], "UTC")
    texts = [*render(table, fifo=FIFO).values(), "\n".join(render_user(table, fifo=FIFO))]
    return [line for text in texts for line in text.split("\n") if line]


def let_be_known(api: Api, name: str) -> None:
    """A user of this name, whatever it is: an owner must be somebody."""
    with suppress(Conflict, UnicodeEncodeError):
        users.add_user(api.services.database, name, users.Role.VIEWER, [], [], NOW, "test")


def accepted(api: Api, body: dict[str, Any]) -> str | None:
    answer = api.post("/jobs", body)
    assert answer.status in (201, 403, 409, 413, 422), answer.body
    return answer.json["id"] if answer.status == 201 else None


def of(field: str, value: Any) -> dict[str, Any]:
    """A body that is sound but for this field, as a command or, where it needs one, a script."""
    if field in ("filename", "arguments"):
        file = base64.b64encode(b"#!/bin/sh\n").decode()
        return {**COMMAND, "type": "script", "executable": file, field: value}
    return {**COMMAND, field: value}


def test_every_field_that_holds_text_is_tried() -> None:
    assert set(TEXTS) == set(JobFields.model_fields) - HOLD_NO_TEXT


@pytest.mark.parametrize("field", TEXTS)
def test_no_byte_of_a_field_reaches_a_crontab(api: Api, field: str) -> None:
    taken = []

    @given(TEXTS[field])
    @SETTINGS
    def tried(value: Any) -> None:
        if field == "owner":
            let_be_known(api, value)
        job_id = accepted(api, of(field, value))
        if job_id is not None:
            taken.append(value)
            for line in crontab_of(api, job_id):
                assert LINE.fullmatch(line), (value, line)

    tried()
    assert taken or field == "secrets", "nothing was accepted: this would show nothing"


def test_a_crontab_with_a_users_text_would_be_found() -> None:
    own = f"* * * * * root F={FIFO}; [ -p $F ] && [ ! $F -nt $F.seen ] && echo tick 1<>$F"
    assert LINE.fullmatch(own)
    for line in (f"{own}; ZQ", "* * * * * root ZQ", "# dcron job 7, ZQ", "ZQ=1", "# ZQ"):
        assert not LINE.fullmatch(line)
