"""/openapi.json: all routes, in a form that programs read."""

from __future__ import annotations

from collections.abc import Sequence

from bottle import HTTPResponse

from dcron_app.api.openapi import describe
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.shapes import Document


class Description:
    """`others`: all routes but its own."""

    def __init__(self, others: Sequence[Route]) -> None:
        self._document = describe([*others, *self.routes()])

    def routes(self) -> list[Route]:
        """What it answers."""
        summary = "This description (OpenAPI 3.1)"
        return [
            Route("GET", "/openapi.json", self.show, Access.READ, summary, {200: Document}),
        ]

    def show(self) -> HTTPResponse:
        """The document."""
        return reply(self._document)
