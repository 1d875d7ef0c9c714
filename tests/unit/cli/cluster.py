"""`dcron` as its user types it, against the API in this process or against answers that a test
writes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit
from wsgiref.util import setup_testing_defaults

import requests
from click.testing import CliRunner, Result
from requests.adapters import BaseAdapter

from dcron_cli.main import cli
from dcron_cli.session import Session
from dcron_common.clock import Clock

URL = "http://127.0.0.1:30000"
TOKEN = "dcron_kept-Quiet-4711-always-and-ever"
NOW = 1_800_000_030.0  # 2027-01-15T08:00:30Z


@dataclass(frozen=True)
class Asked:
    """A request as the cluster got it."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]


@dataclass
class Reply:
    """What the cluster answers; bytes are sent as they are."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def problem(status: int, detail: str, *fields: tuple[str, str], **headers: str) -> Reply:
    """An error as the API has it."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [{"field": name, "message": message} for name, message in fields],
    }
    return Reply(body, status, headers)


class _Adapter(BaseAdapter):
    def close(self) -> None:
        pass


def _response(request: requests.PreparedRequest, reply: Reply) -> requests.Response:
    made = requests.Response()
    made.status_code = reply.status
    made.reason = HTTPStatus(reply.status).phrase
    made.headers.update(reply.headers)
    made.url = request.url or ""
    made.request = request
    data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    made.raw = io.BytesIO(b"" if reply.body is None else data)
    return made


def _sent(request: requests.PreparedRequest) -> bytes:
    body = request.body
    if body is None:
        return b""
    return body if isinstance(body, bytes) else body.read()  # type: ignore[union-attr]


Answer = Reply | Callable[[Asked], Reply] | list[Any] | dict[str, Any]


class Script(_Adapter):
    """Answers by method and path; a list of replies is given one after the other. `asked`: all
    that came in. What is not in the script is 404."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[Asked] = []

    def send(self, request: requests.PreparedRequest, **_more: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        data = _sent(request)
        asked = Asked(
            request.method or "",
            unquote(parts.path),
            parse_qs(parts.query),
            json.loads(data) if data else None,
            dict(request.headers),
        )
        self.asked.append(asked)
        return _response(request, self._reply(asked))

    def _reply(self, asked: Asked) -> Reply:
        found = self.answers.get(f"{asked.method} {asked.path}", problem(404, "there is no such"))
        if isinstance(found, Exception):
            raise found
        if isinstance(found, list) and found and isinstance(found[0], Reply):
            found = found.pop(0) if len(found) > 1 else found[0]
        if callable(found):
            found = found(asked)
        return found if isinstance(found, Reply) else Reply(found)

    def sent(self, method: str, path: str) -> list[Asked]:
        """What was asked of one route."""
        return [one for one in self.asked if (one.method, one.path) == (method, path)]


class Wsgi(_Adapter):
    """The API itself, without a network."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self.app = app

    def send(self, request: requests.PreparedRequest, **_more: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": unquote(parts.path),
            "QUERY_STRING": parts.query,
            "wsgi.input": io.BytesIO(_sent(request)),
        }
        for name, value in request.headers.items():
            text = value.decode() if isinstance(value, bytes) else value
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"] = text
        setup_testing_defaults(environ)
        seen: list[Any] = []
        data = b"".join(
            self.app(environ, lambda status, headers, *_: seen.append((status, headers)))
        )
        status, headers = seen[0]
        return _response(request, Reply(data, int(status.split()[0]), dict(headers)))


@dataclass
class Terminal:
    """`terminal("job", "list")`: what comes of it. Whoever types a text is there to be asked."""

    adapter: BaseAdapter
    folder: Path
    token: str | None = TOKEN
    url: str | None = URL
    slept: list[float] = field(default_factory=list)

    def __call__(self, *arguments: str, typed: str | bytes | None = None) -> Result:
        http = requests.Session()
        http.mount("http://", self.adapter)
        http.mount("https://", self.adapter)
        clock = Clock(wall=lambda: NOW + sum(self.slept), boot=lambda: sum(self.slept))
        session = Session(http=http, clock=clock, sleep=self.slept.append)
        environment = {
            "XDG_CONFIG_HOME": str(self.folder),
            "DCRON_URL": self.url,
            "DCRON_TOKEN": self.token,
            "DCRON_CA": None,
        }
        attended = patch("dcron_cli.params.is_attended", lambda: isinstance(typed, str))
        with attended:
            return CliRunner().invoke(cli, arguments, input=typed, env=environment, obj=session)


def job(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A job as the API shows it."""
    return {
        "id": str(number),
        "status": "scheduled",
        "executable": "ls -la",
        "schedule": "5 * * * *",
        "type": "command",
        "name": None,
        "labels": {},
        "owner": "ann",
        "team": None,
        "timezone": "UTC",
        "filename": None,
        "sha256": None,
        "arguments": [],
        "environment": {},
        "working_directory": None,
        "secrets": [],
        "run_as": "dcron-job",
        "concurrency": "forbid",
        "timeout_seconds": 3600,
        "retries": 0,
        "retry_delay_seconds": 60,
        "starting_deadline_seconds": 600,
        "catch_up": "latest",
        "on_worker_loss": "rerun",
        "on_isolation": "skip",
        "placement": {"labels": {}, "on": "one"},
        "limits": {},
        "paused": False,
        "revision": 3,
        "worker": "node1",
        "created_at": "2027-01-15T07:00:00Z",
        "updated_at": "2027-01-15T07:00:00Z",
        "next_run_at": "2027-01-15T08:05:00Z",
        "last_run": None,
        **fields,
    }


RUN = "01MCC5RXRG2V2AXWJNEKD7QKCY"


def run(state: str = "succeeded", **fields: Any) -> dict[str, Any]:
    """A run as the API shows it."""
    return {
        "id": RUN,
        "job_id": "1",
        "scheduled_at": "2027-01-15T08:00:00Z",
        "attempt": 1,
        "trigger": "cron",
        "state": state,
        "worker": "node1",
        "started_at": "2027-01-15T08:00:01.250Z",
        "finished_at": None if state == "running" else "2027-01-15T08:00:03.750Z",
        "exit_code": 0 if state == "succeeded" else None,
        "signal": None,
        "reason": None,
        "isolated": False,
        "output_tail": None,
        "output_url": None,
        **fields,
    }
