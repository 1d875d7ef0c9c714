"""schemathesis, by /openapi.json, against the application: what it asks, and what it may forgive.

What the schema allows has to be accepted, but for what no schema can say (`UNSAYABLE`); what it
forbids has to be refused; answers have to be as described; without a token, or with a wrong one,
there must be none.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.openapi import from_dict
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData
from schemathesis.transport.wsgi import WSGITransport

from dcron_app.api.app import all_routes
from dcron_app.api.fields import READ_ONLY
from dcron_app.api.text import MAX_TEXT_BYTES
from tests.unit.app.api_client import COMMAND, Api, open_api

PHASES = ("examples", "coverage", "fuzzing", "stateful")
FIRST_TOKENS = {"1", "2", "3", "4"}
ENDING_OWN = ("/logout", "/me/password")
LONGEST = 8192  # characters of a text that hypothesis can be made to draw
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
# What schemathesis, asking again without a token, hands to WSGI although it is meant for sockets.
SOCKETS = ("max_redirects", "verify", "cert", "proxies")
_send = WSGITransport.send


class Run:
    """The engine's run of some of its phases, on an API of its own below `folder`. `failures`: in
    words; `answered`: how often each operation gave each status; `described`: all operations but
    that by which the description is read to begin with."""

    def __init__(self, folder: Path, *phases: str) -> None:
        self.failures: list[str] = []
        self.answered: Counter[tuple[str, int]] = Counter()
        with _opened(folder) as api:
            self.described = _operations(api)
            for event in from_schema(_schema(api, phases)).execute():
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


def _schema(api: Api, phases: tuple[str, ...]) -> Any:
    headers = _bearer(api, "admin")
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
        "phases": {name: {"enabled": name in phases} for name in PHASES},
        # How long it takes to draw a job, which is large, says nothing about the API.
        "suppress-health-check": ["too_slow"],
        # What ends the asker's own token is asked by another: what follows would be 401 alone.
        "operations": [
            {"include-path": path, "headers": _bearer(api, "viewer")} for path in ENDING_OWN
        ],
    }
    config = SchemathesisConfig.from_dict(settings)
    schema = from_dict(_drawable(api.get("/openapi.json").json), config=config)
    schema.app = api.app
    schema.location = "/openapi.json"
    schema.hook("filter_failure")(_filter)
    schema.hook("filter_case")(_lets_go_on)
    return schema


def _drawable(schema: Any) -> Any:
    """Without bounds on texts that are longer than hypothesis draws, so that it cannot be asked to
    break one: an operation for which it is is not drawn any further."""
    if isinstance(schema, list):
        return [_drawable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _drawable(value) for key, value in schema.items()}
    if isinstance(kept.get("maxLength"), int) and kept["maxLength"] >= LONGEST:
        del kept["maxLength"]
    return kept


def _bearer(api: Api, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.tokens[user]}"}


def _lets_go_on(context: Any, case: Any) -> bool:
    """Whether who asks can go on asking: not if the tokens or the user go that were there first."""
    named = {key: str(value) for key, value in (case.path_parameters or {}).items()}
    ends_token = named.get("token_id") in FIRST_TOKENS
    return case.method == "GET" or not (ends_token or named.get("user") == "admin")


def _operations(api: Api) -> set[str]:
    routes = [one for one in all_routes(api.services) if not one.path.startswith("/static/")]
    return {f"{one.method} {one.path}" for one in routes} - {"GET /openapi.json"}


@contextmanager
def _opened(folder: Path) -> Iterator[Api]:
    """An API with one job, which schemathesis can ask within the process."""
    with (
        patch.object(WSGITransport, "send", _in_process),
        open_api(folder, max_executable_bytes=MAX_TEXT_BYTES) as api,
    ):
        api.post("/jobs", COMMAND)
        yield api


def _in_process(transport: Any, case: Any, **options: Any) -> Any:
    return _send(transport, case, **{k: v for k, v in options.items() if k not in SOCKETS})


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
