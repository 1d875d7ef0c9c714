"""/openapi.json: all routes, in a form that programs read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from bottle import HTTPResponse

from dcron_app.api.openapi import describe
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.shapes import Document


class Description:
    """`others`: all routes but its own."""

    def __init__(self, others: Sequence[Route]) -> None:
        self._others = others

    def routes(self) -> list[Route]:
        """What it answers."""
        summary = "This description (OpenAPI 3.1)"
        return [
            Route("GET", "/openapi.json", self.show, Access.READ, summary, {200: Document}),
        ]

    def show(self) -> HTTPResponse:
        """The document."""
        return reply(self._document)

    @cached_property
    def _document(self) -> dict[str, Any]:
        """Made when it is first asked for: it takes longer than all else that a start does."""
        return describe([*self._others, *self.routes()])
