"""Requests that are refused, with the status and the fields; and unusual ones that are taken."""

import base64
import json

import pytest

from tests.unit.app.api_client import COMMAND, Api

SCRIPT = {
    "executable": base64.b64encode(b"#!/bin/sh\n").decode(),
    "schedule": "* * * * *",
    "type": "script",
}
LABELS = {f"l{n}": "x" for n in range(33)}


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in COMMAND.items() if name != key}


# (what, the raw body, status); no field is at fault: the body as a whole is
UNREADABLE = [
    ("nothing", b"", 400),
    ("a brace", b"{", 400),
    ("text", b"executable=ls", 400),
    ("single quotes", b"{'executable': 'ls'}", 400),
    ("a trailing comma", b'{"executable": "ls",}', 400),
    ("two documents", b"{}{}", 400),
    ("bytes that are no UTF-8", b'{"executable": "\xff"}', 400),
    ("a raw newline in a text", b'{"executable": "l\ns"}', 400),
    ("a raw NUL", b'{"executable": "l\x00s"}', 400),
    ("a key twice", b'{"type": "command", "type": "script"}', 400),
    ("a key twice below", b'{"labels": {"a": "1", "a": "2"}}', 400),
    ("NaN", b'{"retries": NaN}', 400),
    ("infinity", b'{"retries": -Infinity}', 400),
    ("a number of 5,000 digits", b'{"retries": ' + b"9" * 5000 + b"}", 400),
    ("100,000 brackets", b"[" * 100_000, 400),
    ("a byte order mark", b"\xef\xbb\xbf{}", 400),
    ("a list", b"[]", 422),
    ("a text in JSON", b'"ls"', 422),
    ("null", b"null", 422),
    ("300,000 lists", b'{"arguments": [' + b"[]," * 300_000 + b"[]]}", 422),
]

# (what, the body, status, the field at fault)
REFUSED = [
    ("no executable", without("executable"), 422, "executable"),
    ("no schedule", without("schedule"), 422, "schedule"),
    ("no type", without("type"), 422, "type"),
    ("an unknown key", {**COMMAND, "shedule": "x"}, 422, "shedule"),
    ("a read-only key", {**COMMAND, "id": "7"}, 422, "id"),
    ("a status", {**COMMAND, "status": "finished"}, 422, "status"),
    ("an empty key", {**COMMAND, "": 1}, 422, '""'),
    ("a key like a mark", {**COMMAND, "[key]": 1}, 422, "[key]"),
    ("a key like a mark below", {**COMMAND, "limits": {"[key]": 1}}, 422, "limits.[key]"),
    ("an empty key below", {**COMMAND, "limits": {"": 1}}, 422, 'limits.""'),
    ("an unknown key below", {**COMMAND, "limits": {"disk": 1}}, 422, "limits.disk"),
    ("an unknown type", {**COMMAND, "type": "Command"}, 422, "type"),
    ("a type of null", {**COMMAND, "type": None}, 422, "type"),
    ("an executable that is a number", {**COMMAND, "executable": 5}, 422, "executable"),
    ("an executable that is a list", {**COMMAND, "executable": ["ls"]}, 422, "executable"),
    ("an empty command", {**COMMAND, "executable": ""}, 422, "executable"),
    ("a command of blanks", {**COMMAND, "executable": " \t "}, 422, "executable"),
    ("NUL in a command", {**COMMAND, "executable": "ls\0"}, 422, "executable"),
    ("a newline in a command", {**COMMAND, "executable": "ls\nrm"}, 422, "executable"),
    ("a return in a command", {**COMMAND, "executable": "ls\rrm"}, 422, "executable"),
    ("escape in a command", {**COMMAND, "executable": "\x1b[2J"}, 422, "executable"),
    ("half a character", {**COMMAND, "executable": "\ud800"}, 422, "executable"),
    ("a command of 65 KiB", {**COMMAND, "executable": "x" * 65_537}, 422, "executable"),
    ("arguments that fill the znode", {**SCRIPT, "arguments": ["é" * 9000] * 5}, 422, "arguments"),
    ("an empty schedule", {**COMMAND, "schedule": ""}, 422, "schedule"),
    ("four fields", {**COMMAND, "schedule": "* * * *"}, 422, "schedule"),
    ("six fields", {**COMMAND, "schedule": "0 * * * * *"}, 422, "schedule"),
    ("minute 60", {**COMMAND, "schedule": "60 * * * *"}, 422, "schedule"),
    ("hour 24", {**COMMAND, "schedule": "0 24 * * *"}, 422, "schedule"),
    ("day 0", {**COMMAND, "schedule": "0 0 0 * *"}, 422, "schedule"),
    ("month 13", {**COMMAND, "schedule": "0 0 1 13 *"}, 422, "schedule"),
    ("weekday 8", {**COMMAND, "schedule": "0 0 * * 8"}, 422, "schedule"),
    ("a step of 0", {**COMMAND, "schedule": "*/0 * * * *"}, 422, "schedule"),
    ("a range backwards", {**COMMAND, "schedule": "5-1 * * * *"}, 422, "schedule"),
    ("the 30th of February", {**COMMAND, "schedule": "0 0 30 2 *"}, 422, "schedule"),
    ("a hash", {**COMMAND, "schedule": "0 0 * * 1#2"}, 422, "schedule"),
    ("a star with a number", {**COMMAND, "schedule": "*5 * * * *"}, 422, "schedule"),
    ("a question mark", {**COMMAND, "schedule": "0 0 ? * *"}, 422, "schedule"),
    ("L", {**COMMAND, "schedule": "0 0 L * *"}, 422, "schedule"),
    ("a negative minute", {**COMMAND, "schedule": "-5 * * * *"}, 422, "schedule"),
    ("a number that overflows", {**COMMAND, "schedule": "4294967296 * * * *"}, 422, "schedule"),
    ("@reboot", {**COMMAND, "schedule": "@reboot"}, 422, "schedule"),
    ("@every", {**COMMAND, "schedule": "@every 5m"}, 422, "schedule"),
    ("@at in the past", {**COMMAND, "schedule": "@at 2020-01-01T00:00:00Z"}, 422, "schedule"),
    ("@at without a time", {**COMMAND, "schedule": "@at"}, 422, "schedule"),
    ("a newline in a schedule", {**COMMAND, "schedule": "* * * * *\n"}, 422, "schedule"),
    ("NUL in a schedule", {**COMMAND, "schedule": "* * * * *\0"}, 422, "schedule"),
    ("a schedule of 300 characters", {**COMMAND, "schedule": "1," * 150}, 422, "schedule"),
    ("a schedule that is a number", {**COMMAND, "schedule": 5}, 422, "schedule"),
    ("an unknown zone", {**COMMAND, "timezone": "Mars/Olympus"}, 422, "timezone"),
    ("a zone that is a path", {**COMMAND, "timezone": "../../etc/passwd"}, 422, "timezone"),
    ("a newline in a zone", {**COMMAND, "timezone": "UTC\n"}, 422, "timezone"),
    ("NUL in a zone", {**COMMAND, "timezone": "UTC\0"}, 422, "timezone"),
    ("bad BASE64", {**SCRIPT, "executable": "!!!"}, 422, "executable"),
    ("BASE64 without padding", {**SCRIPT, "executable": "YQ"}, 422, "executable"),
    ("BASE64 and more", {**SCRIPT, "executable": "YQ==YQ=="}, 422, "executable"),
    ("BASE64 of URLs", {**SCRIPT, "executable": "_-__"}, 422, "executable"),
    ("a newline in BASE64", {**SCRIPT, "executable": "YWJj\nYWJj"}, 422, "executable"),
    ("BASE64 that is not ASCII", {**SCRIPT, "executable": "YWJé"}, 422, "executable"),
    ("an empty file", {**SCRIPT, "executable": ""}, 422, "executable"),
    ("a file above the limit", {**SCRIPT, "executable": "AAAA" * 1366}, 413, "executable"),
    ("a file name with a path", {**SCRIPT, "filename": "../x"}, 422, "filename"),
    ("an absolute file name", {**SCRIPT, "filename": "/etc/passwd"}, 422, "filename"),
    ("a file name with backslashes", {**SCRIPT, "filename": "..\\x"}, 422, "filename"),
    ("a file name of dots", {**SCRIPT, "filename": ".."}, 422, "filename"),
    ("an empty file name", {**SCRIPT, "filename": ""}, 422, "filename"),
    ("a long file name", {**SCRIPT, "filename": "x" * 129}, 422, "filename"),
    ("NUL in a file name", {**SCRIPT, "filename": "a\0b"}, 422, "filename"),
    ("a newline in a file name", {**SCRIPT, "filename": "a\nb"}, 422, "filename"),
    ("a file name for a command", {**COMMAND, "filename": "x.sh"}, 422, "filename"),
    ("arguments for a command", {**COMMAND, "arguments": ["x"]}, 422, "arguments"),
    ("arguments in a text", {**SCRIPT, "arguments": "a b"}, 422, "arguments"),
    ("an argument that is a number", {**SCRIPT, "arguments": ["a", 1]}, 422, "arguments[1]"),
    ("NUL in an argument", {**SCRIPT, "arguments": ["a\0"]}, 422, "arguments[0]"),
    ("a newline in an argument", {**SCRIPT, "arguments": ["a\n"]}, 422, "arguments[0]"),
    ("300 arguments", {**SCRIPT, "arguments": ["x"] * 300}, 422, "arguments"),
    ("an empty name", {**COMMAND, "name": ""}, 422, "name"),
    ("a name that is a path", {**COMMAND, "name": "../../etc/cron.d/x"}, 422, "name"),
    ("NUL in a name", {**COMMAND, "name": "a\0b"}, 422, "name"),
    ("a newline in a name", {**COMMAND, "name": "a\nb"}, 422, "name"),
    ("a name with blanks around", {**COMMAND, "name": " a"}, 422, "name"),
    ("a name written backwards", {**COMMAND, "name": "a\u202eb"}, 422, "name"),
    ("a name of 129 characters", {**COMMAND, "name": "n" * 129}, 422, "name"),
    ("a newline in a team", {**COMMAND, "team": "a\nb"}, 422, "team"),
    ("NUL in an owner", {**COMMAND, "owner": "a\0b"}, 422, "owner"),
    ("labels in a list", {**COMMAND, "labels": ["a"]}, 422, "labels"),
    ("33 labels", {**COMMAND, "labels": LABELS}, 422, "labels"),
    ("a label that is a number", {**COMMAND, "labels": {"a": 1}}, 422, "labels.a"),
    ("a label without a name", {**COMMAND, "labels": {"": "x"}}, 422, 'labels.""'),
    ("a label like a mark", {**COMMAND, "labels": {"[key]": "x"}}, 422, "labels.[key]"),
    ("a newline in a label", {**COMMAND, "labels": {"a": "x\n"}}, 422, "labels.a"),
    ("NUL in a label's name", {**COMMAND, "labels": {"a\0": "x"}}, 422, "labels.a\\x00"),
    ("a variable with a blank", {**COMMAND, "environment": {"A B": ""}}, 422, "environment.A B"),
    ("a variable with =", {**COMMAND, "environment": {"A=": ""}}, 422, "environment.A="),
    ("a variable of ours", {**COMMAND, "environment": {"DCRON_X": ""}}, 422, "environment.DCRON_X"),
    ("NUL in a variable", {**COMMAND, "environment": {"A": "\0"}}, 422, "environment.A"),
    ("a newline in a variable", {**COMMAND, "environment": {"A": "\n"}}, 422, "environment.A"),
    ("a variable that is null", {**COMMAND, "environment": {"A": None}}, 422, "environment.A"),
    ("a relative folder", {**COMMAND, "working_directory": "tmp"}, 422, "working_directory"),
    ("a folder above", {**COMMAND, "working_directory": "/tmp/../etc"}, 422, "working_directory"),
    ("NUL in a folder", {**COMMAND, "working_directory": "/a\0"}, 422, "working_directory"),
    ("a newline in a folder", {**COMMAND, "working_directory": "/a\n"}, 422, "working_directory"),
    ("a secret that is not there", {**COMMAND, "secrets": ["s3"]}, 422, "secrets[0]"),
    ("a newline in a secret", {**COMMAND, "secrets": ["a\nb"]}, 422, "secrets[0]"),
    ("an OS user with a newline", {**COMMAND, "run_as": "root\n"}, 422, "run_as"),
    ("an OS user with NUL", {**COMMAND, "run_as": "root\0"}, 422, "run_as"),
    ("an OS user's number", {**COMMAND, "run_as": "0"}, 422, "run_as"),
    ("an OS user of null", {**COMMAND, "run_as": None}, 422, "run_as"),
    ("an unknown concurrency", {**COMMAND, "concurrency": "maybe"}, 422, "concurrency"),
    ("a timeout of 0", {**COMMAND, "timeout_seconds": 0}, 422, "timeout_seconds"),
    ("a timeout in a text", {**COMMAND, "timeout_seconds": "60"}, 422, "timeout_seconds"),
    ("a timeout with a fraction", {**COMMAND, "timeout_seconds": 1.5}, 422, "timeout_seconds"),
    ("a timeout of true", {**COMMAND, "timeout_seconds": True}, 422, "timeout_seconds"),
    ("fewer than no retries", {**COMMAND, "retries": -1}, 422, "retries"),
    ("a million retries", {**COMMAND, "retries": 1_000_000}, 422, "retries"),
    ("retries beyond any float", {**COMMAND, "retries": 10**400}, 422, "retries"),
    ("paused in a text", {**COMMAND, "paused": "yes"}, 422, "paused"),
    ("paused by a number", {**COMMAND, "paused": 1}, 422, "paused"),
    ("placement in a text", {**COMMAND, "placement": "node1"}, 422, "placement"),
    ("placement on some", {**COMMAND, "placement": {"on": "some"}}, 422, "placement.on"),
    ("memory of nothing", {**COMMAND, "limits": {"memory_bytes": 0}}, 422, "limits.memory_bytes"),
    ("output of nothing", {**COMMAND, "limits": {"output_bytes": 0}}, 422, "limits.output_bytes"),
    ("limits of null", {**COMMAND, "limits": None}, 422, "limits"),
    ("an unknown policy", {**COMMAND, "catch_up": "some"}, 422, "catch_up"),
]

# (what, method, path, headers, body, status)
J = "application/json"
FRAMES = [
    ("no length", "POST", "/jobs", {"CONTENT_LENGTH": None}, b"{}", 411),
    ("chunked", "POST", "/jobs", {"HTTP_TRANSFER_ENCODING": "chunked"}, b"{}", 411),
    ("an impossible length", "POST", "/jobs", {"CONTENT_LENGTH": "-5"}, b"{}", 400),
    ("a body that is too long", "POST", "/jobs", {"CONTENT_LENGTH": "99999999"}, b"{}", 413),
    ("a body that ends early", "POST", "/jobs", {"CONTENT_LENGTH": "10"}, b"{}", 400),
    ("a form", "POST", "/jobs", {"CONTENT_TYPE": "application/x-www-form-urlencoded"}, b"{}", 415),
    ("no type", "POST", "/jobs", {"CONTENT_TYPE": None}, b"{}", 415),
    ("text", "POST", "/jobs", {"CONTENT_TYPE": "text/plain"}, b"{}", 415),
    ("an unknown path", "GET", "/job", {}, None, 404),
    ("a slash too many", "GET", "/jobs/", {}, None, 404),
    ("an id that is a word", "GET", "/jobs/abc", {}, None, 404),
    ("a negative id", "GET", "/jobs/-1", {}, None, 404),
    ("an id with zeros before", "GET", "/jobs/01", {}, None, 404),
    ("a huge id", "GET", "/jobs/" + "9" * 40, {}, None, 404),
    ("a newline after an id", "GET", "/jobs/1%0A", {}, None, 404),
    ("a newline after a route", "GET", "/jobs%0A", {}, None, 404),
    ("a tab in a path", "GET", "/jobs/1%09/runs", {}, None, 404),
    ("a byte that is no UTF-8", "GET", "/jobs/1%FF", {}, None, 404),
    ("NUL in a path", "DELETE", "/jobs/1%00", {}, None, 404),
    ("a newline after health", "GET", "/health/live%0A", {}, None, 404),
    ("a path upwards", "GET", "/jobs/../workers", {}, None, 404),
    ("a job that is not there", "GET", "/jobs/1", {}, None, 404),
    ("PUT", "PUT", "/workers", {}, b"{}", 405),
    ("PATCH of all", "PATCH", "/jobs", {}, b"{}", 405),
    ("DELETE of all", "DELETE", "/jobs", {}, None, 405),
    ("POST to health", "POST", "/health/live", {}, b"{}", 405),
]

TAKEN = [
    ("a pipe, quotes and a percent sign", {**COMMAND, "executable": 'date +%F | tee "$HOME/a\'b"'}),
    ("a tab in a command", {**COMMAND, "executable": "printf 'a\tb'"}),
    ("a command of 64 KiB", {**COMMAND, "executable": "x" * 65_536}),
    ("a command in Cyrillic", {**COMMAND, "executable": "echo Привет 🎉"}),
    ("a comment alone", {**COMMAND, "executable": "# nothing"}),
    ("names of days and months", {**COMMAND, "schedule": "0 0 * jan,JUL mon-FRI"}),
    ("Sunday as 7", {**COMMAND, "schedule": "0 0 * * 7"}),
    ("blanks and tabs between fields", {**COMMAND, "schedule": " 5\t*  * * * "}),
    ("a list of ranges with steps", {**COMMAND, "schedule": "0-10/2,30-40/5,59 * * * *"}),
    ("the 29th of February", {**COMMAND, "schedule": "0 0 29 2 *"}),
    ("an alias", {**COMMAND, "schedule": "@midnight"}),
    ("a one-shot in ten years", {**COMMAND, "schedule": "@at 2036-12-01T03:00:00Z"}),
    ("a zone of three quarters", {**COMMAND, "timezone": "Asia/Kathmandu"}),
    ("a zone by an old name", {**COMMAND, "timezone": "US/Eastern"}),
    ("a name in Japanese", {**COMMAND, "name": "夜間バックアップ"}),
    ("a name with slashes", {**COMMAND, "name": "team-a/backup: nightly (full)"}),
    ("a name that is a number", {**COMMAND, "name": "42"}),
    ("a file of one byte", {**SCRIPT, "executable": "AA=="}),
    ("a script without #!", {**SCRIPT, "executable": "ZWNobyBoaQo="}),
    ("a file at the limit", {**SCRIPT, "executable": base64.b64encode(b"x" * 4096).decode()}),
    ("a file name with blanks and dots", {**SCRIPT, "filename": "..my script.v2.sh"}),
    ("empty and odd arguments", {**SCRIPT, "arguments": ["", " ", "--", "-rf", "*", "$(id)"]}),
    ("an empty variable", {**COMMAND, "environment": {"_": "", "a1": "x=y"}}),
    ("PATH by an admin", {**COMMAND, "environment": {"PATH": "/opt/bin:/usr/bin"}}),
    ("root by an admin", {**COMMAND, "run_as": "root"}),
    ("the root folder", {**COMMAND, "working_directory": "/"}),
    ("a folder with blanks", {**COMMAND, "working_directory": "/srv/my data"}),
    ("a timeout of a year", {**COMMAND, "timeout_seconds": 31_536_000}),
    ("labels with slashes, an empty value", {**COMMAND, "labels": {"dcron.io/tier": ""}}),
    ("nulls where null is the default", {**COMMAND, "name": None, "team": None, "timezone": None}),
    ("on all of some workers", {**COMMAND, "placement": {"labels": {"rack": "a1"}, "on": "all"}}),
    ("limits in part", {**COMMAND, "limits": {"memory_bytes": None, "processes": 1}}),
    ("a whole number with a point", {**COMMAND, "timeout_seconds": 60.0}),
    ("paused from the start", {**COMMAND, "paused": True}),
]


def ids(table: list) -> list[str]:
    return [row[0] for row in table]


@pytest.mark.parametrize(("what", "body", "status"), UNREADABLE, ids=ids(UNREADABLE))
def test_a_body_that_cannot_be_read_is_refused(api: Api, what, body, status) -> None:
    before = api.stored()
    answer = api.call("POST", "/jobs", body)
    assert (answer.status, answer.fields) == (status, ["body"])
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert api.stored() == before


@pytest.mark.parametrize(("what", "body", "status", "field"), REFUSED, ids=ids(REFUSED))
def test_a_bad_field_is_named_and_nothing_is_stored(api: Api, what, body, status, field) -> None:
    before = api.stored()
    answer = api.post("/jobs", body)
    assert (answer.status, answer.fields) == (status, [field])
    message = answer.json["errors"][0]["message"]
    assert message.isprintable()
    assert "Value error" not in message
    assert api.stored() == before


@pytest.mark.parametrize(
    ("what", "method", "path", "headers", "body", "status"), FRAMES, ids=ids(FRAMES)
)
def test_a_bad_frame_is_refused(api: Api, what, method, path, headers, body, status) -> None:
    before = api.stored()
    answer = api.call(method, path, body, headers=headers)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert (answer.headers["Allow"] is not None) == (status == 405)
    assert api.stored() == before


@pytest.mark.parametrize(("what", "body"), TAKEN, ids=ids(TAKEN))
def test_an_unusual_but_valid_job_is_taken_and_shown_as_given(api: Api, what, body) -> None:
    answer = api.post("/jobs", body)
    assert answer.status == 201, answer.body
    job = api.get("/jobs/1").json
    for key in set(body) - {"executable", "placement", "limits", "timezone"}:
        assert job[key] == body[key]
    if body["type"] == "command":
        assert job["executable"] == body["executable"]


def test_several_bad_fields_are_all_named(api: Api) -> None:
    answer = api.post("/jobs", {**COMMAND, "retries": -1, "name": "", "x": 1})
    assert sorted(answer.fields) == ["name", "retries", "x"]


def test_json_with_a_charset_is_json(api: Api) -> None:
    header = {"CONTENT_TYPE": "application/json; charset=utf-8"}
    assert api.call("POST", "/jobs", json.dumps(COMMAND).encode(), headers=header).status == 201


def test_the_tables_are_as_long_as_promised() -> None:
    assert len(UNREADABLE) + len(REFUSED) + len(FRAMES) >= 50
    assert len(TAKEN) >= 20
