"""The API keeps to its own description: schemathesis, by /openapi.json, against the application.

Every operation that is described is asked, those that come later too: what the schema allows has
to be accepted, but for what no schema can say (`UNSAYABLE`); what it forbids has to be refused;
answers have to be as described; without a token, or with a wrong one, there must be none.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.openapi import from_wsgi
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData
from schemathesis.transport.wsgi import WSGITransport

from dcron_app.api.app import all_routes
from dcron_app.api.fields import READ_ONLY
from dcron_app.api.text import MAX_TEXT_BYTES
from tests.unit.app.api_client import COMMAND, Api, open_api

EXAMPLES = 40  # drawn for each operation; as a sequence of operations, as many
# Valid by the schema, refused with 422 all the same: the field, and why no schema can say it.
UNSAYABLE = {
    r"schedule|expression": "the grammar of cron, what February has, an @at that is over",
    r"timezone": "an IANA name: one of some six hundred",
    r"executable": "a command's length is counted in bytes of UTF-8; a file's without its BASE64",
    r"arguments|filename": "only for scripts and binaries, which the stored job's type may say",
    r"type": "changes only together with executable",
    r"secrets.*|user": "has to exist",
    r"secret|secrets.*": "is a variable's name, and may not be one that steers loaders",
    r"(name|owner|team|filename|worker|q)": "what is printable; no '..' as a part",
    "|".join(READ_ONLY): "may be given back only as it is",
    r"Idempotency-Key": "came with another request before",
    r"working_directory": "no '..' as a part",
    r"(after|from|to|expires_at)": "a time after 1970, no leap second; a cursor of the API's own",
    r"environment.*|arguments.*": "a job as a whole fits a node of ZooKeeper",
}
# What refuses invalid data beside schemathesis's own list: no length, too much of it.
REFUSALS = [400, 401, 403, 404, 405, 406, 409, 411, 412, 413, 415, 422, 428, 429]
# What valid data may meet: rights, what is there already, and a bound that others have used up.
ACCEPTED = ["2xx", 401, 403, 404, 409, 412, 429]
SOCKETS = ("max_redirects", "verify", "cert", "proxies")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """schemathesis hands what is meant for sockets to WSGI when it asks again without a token."""
    send = WSGITransport.send

    def sent(transport: Any, case: Any, **options: Any) -> Any:
        return send(transport, case, **{k: v for k, v in options.items() if k not in SOCKETS})

    monkeypatch.setattr(WSGITransport, "send", sent)


@pytest.fixture
def api(tmp_path: Path, in_process: None) -> Iterator[Api]:
    with open_api(tmp_path, max_executable_bytes=MAX_TEXT_BYTES) as opened:
        opened.post("/jobs", COMMAND)
        yield opened


class Run:
    """One run of the engine. `failures`: in words; `answered`: statuses of each operation."""

    def __init__(self, api: Api, stateful: bool) -> None:
        self.failures: list[str] = []
        self.answered: Counter[tuple[str, int]] = Counter()
        headers = {"Authorization": f"Bearer {api.tokens['admin']}"}
        settings = {
            "seed": 1,
            "headers": headers,
            "generation": {"deterministic": True, "max-examples": EXAMPLES},
            "checks": {
                "negative_data_rejection": {"expected-statuses": REFUSALS},
                # A job that was removed stays readable until retention takes it.
                "use_after_free": {"enabled": False},
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
            },
            "phases": {
                name: {"enabled": (name == "stateful") is stateful}
                for name in ("examples", "coverage", "fuzzing", "stateful")
            },
        }
        config = SchemathesisConfig.from_dict(settings)
        schema = from_wsgi("/openapi.json", api.app, config=config, headers=headers)
        schema.hook("filter_failure")(_filter)
        for event in from_schema(schema).execute():
            self._note(event)

    def _note(self, event: Any) -> None:
        if isinstance(event, events.FatalError):
            self.failures.append(repr(event.exception))
        elif isinstance(event, events.NonFatalError):
            self.failures.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.ScenarioFinished):
            recorder = event.recorder
            for number, checks in recorder.checks.items():
                for check in checks:
                    if check.failure_info is not None:
                        asked = recorder.interactions.get(number)
                        self.failures.append(_told(event.label, check, asked))
            for number, asked in recorder.interactions.items():
                if asked.response is not None:
                    label = recorder.cases[number].value.operation.label
                    self.answered[label, asked.response.status_code] += 1

    def fine(self) -> set[str]:
        """The operations that succeeded at least once."""
        return {label for label, status in self.answered if status < 300}


def _filter(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure counts: not where the schema could not say what is wrong."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return not _is_a_commands_file(failure, case)
    named = [error["field"] for error in json.loads(response.content)["errors"]]
    return not named or not all(
        any(re.fullmatch(pattern, field) for pattern in UNSAYABLE) for field in named
    )


def _is_a_commands_file(failure: Any, case: Any) -> bool:
    """A job that was made has no file where it is a command; schemathesis expects one."""
    missing = isinstance(failure, EnsureResourceAvailability)
    return missing and case.path.endswith("/executable")


def _told(label: str, check: Any, asked: Any) -> str:
    failure = check.failure_info.failure
    lines = [f"{label}: {check.name}: {failure.title}: {failure.message}"]
    if asked is not None:
        request, response = asked.request, asked.response
        lines.append(f"  {request.method} {request.uri[:300]} {request.body or b''!r:.500}")
        lines.append(f"  {response.status_code} {response.content!r:.500}" if response else "  -")
    return "\n".join(lines)


def described(api: Api) -> set[str]:
    """Every operation but that by which the description is read to begin with."""
    routes = [one for one in all_routes(api.services) if not one.path.startswith("/static/")]
    return {f"{one.method} {one.path}" for one in routes} - {"GET /openapi.json"}


def test_every_operation_does_as_it_is_described(api: Api) -> None:
    run = Run(api, stateful=False)
    assert run.failures == [], "\n" + "\n".join(run.failures)
    asked = {label for label, _ in run.answered}
    assert asked == described(api)
    assert len(run.fine()) > len(asked) / 2, sorted(asked - run.fine())


def test_operations_one_after_the_other_do_as_they_are_described(api: Api) -> None:
    run = Run(api, stateful=True)
    assert run.failures == [], "\n" + "\n".join(run.failures)
    assert "GET /jobs" in run.fine()
    assert [label for label in run.fine() if not label.startswith("GET ")], "nothing was changed"
