"""The REST API as commands use it. What goes wrong becomes a CliError with its exit code.

The token is only ever in the Authorization header of a request to the target: redirects are not
followed, and neither a netrc file nor a proxy in front of this machine's own addresses is asked.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from dcron_cli.config import LOGIN, Target, is_loopback
from dcron_cli.errors import (
    CliError,
    LoggedOut,
    Lost,
    Misused,
    NotAllowed,
    NotFound,
    Outdated,
    Refused,
    Unreachable,
)
from dcron_cli.progress import Advance, Upload, working
from dcron_cli.wording import IN_DOUBT, missing, plain
from dcron_common.version import VERSION

Params = Mapping[str, Any]
KEY = "Idempotency-Key"
PAGE = 1000  # the most that a page may have
_CONNECT, _READ = 5.0, 60.0  # seconds; a database that fails over may take 30
_PIECE = 65_536
LONGEST = 255  # characters of a name; nothing is called by more
_LONG = 2000  # characters of an address, from which on servers may refuse it for that
_KINDS: Mapping[int, type[CliError]] = {
    **dict.fromkeys((400, 408, 413, 422), Refused),
    401: LoggedOut,
    403: NotAllowed,
    404: NotFound,
    412: Outdated,
}


class _Bearer(AuthBase):
    """The token's header; as `auth`, so that no netrc entry takes its place."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Watched(HTTPAdapter):
    """Connections that end if the other side is gone: an output is waited for without a limit."""

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        options = [
            *HTTPConnection.default_socket_options,
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        ]
        super().init_poolmanager(*arguments, **more, socket_options=options)


def _session() -> requests.Session:
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Watched())
    return made


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `next`: path and query of the page after this, if there is one."""

    status: int
    headers: Mapping[str, str]
    json: Any
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A part of a list; `more`: there is more of it."""

    items: list[dict[str, Any]]
    more: bool


def path(*parts: str) -> str:
    """`path("jobs", "1", "runs")` is `/jobs/1/runs`, each part quoted. NotFound for a part that
    nothing can be called: one of dots would lead elsewhere."""
    for part in parts:
        if part in ("", ".", "..") or len(part) > LONGEST or not _is_text(part):
            raise NotFound(f"nothing is called {part[:LONGEST]!a}")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _is_text(part: str) -> bool:
    """Whether it is no bytes of an argument that are no UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in part)


def once() -> dict[str, str]:
    """A header by which a POST is done once, however often it is sent with it."""
    return {KEY: secrets.token_hex(16)}


class Client:
    """One cluster, one token. Every method raises CliError; a body is sent as JSON."""

    def __init__(self, target: Target, http: requests.Session | None = None) -> None:
        self._target = target
        self._http = _session() if http is None else http
        self._http.trust_env = not is_loopback(urlsplit(target.url).hostname or "")
        # By request: what the environment says of authorities must not replace it.
        self._verify: bool | str = True if target.ca is None else str(target.ca)

    def get(self, path: str, params: Params | None = None) -> Any:
        """The JSON of an answer."""
        return self.ask("GET", path, params=params).json

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> Answer:
        """`repeatable`: asked once more if the answer was lost. Lost if it was, else."""
        data = None if body is None else json.dumps(body).encode()
        send = partial(self._send, method, path, data, params, headers)
        found = _again_if_lost(send) if repeatable else send()
        with closing(found):
            try:
                value = found.json() if found.content else None
            except requests.RequestException as error:
                raise self._unreadable() from error
            return Answer(found.status_code, found.headers, value, _next(found))

    def post_once(self, path: str, body: Any = None) -> Any:
        """The JSON of an answer to a POST that is done once, though its answer may be lost."""
        return self.ask("POST", path, body, headers=once(), repeatable=True).json

    def ask_about_many(self, path: str, body: Any, advance: Advance) -> Any:
        """The JSON of an answer to a POST that is long in coming; it has a blank before it for each
        that is done, of which `advance` is told."""
        sent = json.dumps(body).encode()
        found = _again_if_lost(partial(self._send, "POST", path, sent, None, once(), stream=True))
        data = b""
        for piece in self._pieces(found):
            if not data:
                advance(len(piece) - len(piece.lstrip(b" ")))
            data = (data + piece).lstrip(b" ")
        try:
            return json.loads(data)
        except ValueError as error:
            raise Unreachable(
                "the answer broke off; do it again, what is done already stays as it is"
            ) from error

    def listed(self, path: str, params: Params, most: int | None) -> Listed:
        """The first `most` elements of a list (None: all), from as many pages as it takes."""
        found: list[dict[str, Any]] = []
        size = PAGE if most is None else min(PAGE, most)
        answer = self.ask("GET", path, params={**params, "limit": size})
        found += answer.json
        with working("reading", most) as advance:
            while answer.next is not None and (most is None or len(found) < most):
                advance(len(answer.json))
                answer = self.ask("GET", answer.next)
                found += answer.json
        more = answer.next is not None or (most is not None and len(found) > most)
        return Listed(found[:most], more)

    def stream(
        self, path: str, params: Params | None = None, *, patient: bool = False
    ) -> tuple[Mapping[str, str], Iterator[bytes]]:
        """Headers and the bytes of an answer as they come; `patient`: however long none does."""
        read = None if patient else _READ
        found = self._send("GET", path, None, params, None, stream=True, read=read)
        return found.headers, self._pieces(found)

    def _pieces(self, found: requests.Response) -> Iterator[bytes]:
        with closing(found):
            try:
                # Not iter_content: where the answer is not chunked, it waits for a whole piece.
                while piece := found.raw.read1(_PIECE):
                    yield piece
            except (HTTPError, OSError) as error:
                raise Unreachable(f"the connection to {self._target.url} was lost") from error

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | None,
        params: Params | None,
        headers: Mapping[str, str] | None,
        *,
        stream: bool = False,
        read: float | None = _READ,
    ) -> requests.Response:
        sent = {"User-Agent": f"dcron/{VERSION}", "Accept-Encoding": "identity", **(headers or {})}
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            found = self._http.request(
                method,
                self._target.url + path,
                params=params,
                data=None if data is None else Upload.of(data),
                headers=sent,
                auth=_Bearer(self._target.token),
                timeout=(_CONNECT, read),
                allow_redirects=False,
                stream=stream,
                verify=self._verify,
            )
        except requests.RequestException as error:
            raise self._unreachable(error, method) from error
        except UnicodeError as error:
            raise Misused("what is given holds bytes that are no UTF-8; write it again") from error
        if found.ok and not found.is_redirect:
            return found
        with closing(found):
            raise self._problem(found, path)

    def _unreachable(self, error: requests.RequestException, method: str) -> CliError:
        url, where = self._target.url, self._target.where
        if isinstance(error, requests.exceptions.SSLError):
            return Unreachable(
                f"{url} is not trusted: its certificate is not of an authority that is known here; "
                "name the cluster's ca.crt by DCRON_CA or dcron login --ca"
            )
        if isinstance(error, requests.Timeout):
            again = "; try again" if method == "GET" else ""
            return Lost(f"{url} did not answer in time{again}")
        return Lost(f"{url} cannot be reached ({where}): is the address right, is dcron up?")

    def _unreadable(self) -> CliError:
        return CliError(
            f"{self._target.url} ({self._target.where}) does not answer as dcron does; is it the "
            "address of a cluster?"
        )

    def _problem(self, found: requests.Response, path: str) -> CliError:
        """What an answer that is no success means."""
        status = found.status_code
        if found.is_redirect:
            return CliError(f"{self._target.url} answers from elsewhere; give that address instead")
        try:
            told = found.json()
            detail = plain(str(told["detail"]), path)
            fields = list(_telling(told, path))
        except (requests.RequestException, ValueError, KeyError, TypeError):
            told, detail, fields = None, "", []
        if status == 401:
            return self._logged_out(detail)
        if status in (502, 503, 504) or (status == 429 and told is not None):
            return _later(detail, found.headers.get("Retry-After"))
        if told is None:
            if len(found.request.url or "") > _LONG:
                return Misused("what is given is longer than any name or text that can be found")
            return self._unreadable()
        if status == 404:
            detail = missing(path) or detail
        kind = _KINDS.get(status, CliError)
        return kind(detail, fields, of_request=True)

    def _logged_out(self, detail: str) -> CliError:
        target = self._target
        if target.where == LOGIN and detail:
            return LoggedOut(detail)
        if target.token is None:
            return LoggedOut(f"no token for {target.url}: dcron login, or set DCRON_TOKEN")
        return LoggedOut(f"{detail} ({target.where}); log in again: dcron login")


def _again_if_lost(send: Callable[[], requests.Response]) -> requests.Response:
    """What is answered, to the same request again if the first answer was lost. Lost where there is
    none then, either, or one that says: not now; the first may be done."""
    try:
        return send()
    except Lost:
        with suppress(Unreachable):
            return send()
        raise


def _later(detail: str, after: str | None) -> CliError:
    wait = f" (try again in {after} s)" if after is not None and after.isdigit() else ""
    if not detail:  # of something between here and the cluster, which may have been asked
        return Lost(f"the cluster cannot do this now{wait}")
    return Unreachable(detail if IN_DOUBT in detail else f"{detail}{wait}")


def _telling(told: Any, path: str) -> Iterator[tuple[str, str]]:
    """Fields that say more than the detail does."""
    for one in told["errors"]:
        field, message = str(one["field"]), str(one["message"])
        if told["detail"] not in (message, f"{field}: {message}"):
            yield field, plain(message, path)


def _next(found: requests.Response) -> str | None:
    """The next page's path and query, whatever host the link names: the token is for ours."""
    link = found.links.get("next", {}).get("url")
    if link is None:
        return None
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"
