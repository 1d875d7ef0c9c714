"""/static: the page that shows /openapi.json, for people.

The files come with the package and are read once, at start. What a request names is looked up
among their names: no path from outside ever reaches the file system.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from bottle import HTTPResponse, request

from dcron_app.api.errors import Problem
from dcron_app.api.routes import Access, Route

FILES: Mapping[str, str] = {
    "api.html": "text/html; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "api.css": "text/css; charset=utf-8",
}
# The page runs its own script and nothing else, talks to its own server only, makes no markup of
# text, and is shown in no frame. `data:` is for an empty icon: without one browsers ask for
# /favicon.ico, which is a 401 in the log for each reader.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    media: str
    etag: str


class Static:
    """The resource."""

    def __init__(self) -> None:
        folder = resources.files("dcron_app") / "static"
        self._files = {
            name: _file((folder / name).read_bytes(), media) for name, media in FILES.items()
        }

    def routes(self) -> list[Route]:
        """What it answers."""
        summary, page = "The page that shows this description", {200: "text/html"}
        return [Route("GET", "/static/{file}", self.show, Access.PUBLIC, summary, page)]

    def show(self, file: str) -> HTTPResponse:
        """A file; 304 for who has it. A browser asks each time: after an upgrade page and script
        belong together at once."""
        found = self._files.get(file)
        if found is None:
            raise Problem(404, "there is no such file; the page is /static/api.html")
        headers = {
            "Cache-Control": "public, no-cache",
            "Content-Security-Policy": POLICY,
            "ETag": found.etag,
        }
        if found.etag in request.environ.get("HTTP_IF_NONE_MATCH", ""):
            return HTTPResponse(b"", 304, headers)
        return HTTPResponse(found.data, 200, {**headers, "Content-Type": found.media})


def _file(data: bytes, media: str) -> _File:
    return _File(data, media, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
