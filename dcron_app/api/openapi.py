"""The API described by itself: OpenAPI 3.1 from the routes and the models that validate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from dcron_app.api.routes import HEADERS, PARAMETERS, Access, Route
from dcron_app.api.shapes import TAGGED, ProblemShape
from dcron_common.version import VERSION

Mode = Literal["validation", "serialization"]

_INTRODUCTION = (
    "Every route but those without `security` needs a token: `Authorization: Bearer …`. Errors are "
    "`application/problem+json` (RFC 9457) with `errors`, a list of fields and what is wrong with "
    "them. Instants are ISO 8601; where one is asked for, epoch seconds are taken too."
)
_ETAG = {
    "ETag": {"description": "what `If-Match` of a change may name", "schema": {"type": "string"}}
}
_REF = "#/components/schemas/{model}"
# What a status of success means to people; the shape says the rest.
_MEANING = {200: "done", 201: "made", 202: "asked for", 204: "done; there is nothing to say"}


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document, as JSON has it."""
    schemas: dict[str, Any] = {}
    problem = _content(ProblemShape, schemas, media="application/problem+json")
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "dcron", "version": VERSION, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Problem": {"description": "refused, with the reason", **problem}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    public = route.access is Access.PUBLIC
    known: dict[str, Any] = {
        "operationId": _operation_id(route),
        "tags": [route.path.split("/")[1]],
        "summary": route.summary,
        "description": f"For {route.access.value}." if not public else "Needs no token.",
        "security": [] if public else [{"token": []}],
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        known["requestBody"] = {
            "required": not route.body_optional,
            **_content(route.body, schemas, mode="validation"),
        }
    return known


def _operation_id(route: Route) -> str:
    words = [part.strip("{}").replace(".", "_") for part in route.path.split("/") if part]
    return "_".join([route.method.lower(), *words])


def _parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^({PARAMETERS[name]})$"},
        }
        for name in route.parameters
    ]
    if route.query is not None:
        schema = _schema(route.query, schemas, "validation", inline=True)
        required = schema.get("required", [])
        for name, one in schema["properties"].items():
            one = _without_null(one)
            text = one.pop("description", None)
            each = {"name": name, "in": "query", "required": name in required, "schema": one}
            found.append(each if text is None else {**each, "description": text})
    for name, text in route.headers.items():
        schema = {"type": "string", **HEADERS.get(name, {})}
        found.append({"name": name, "in": "header", "description": text, "schema": schema})
    return found


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A query string's key as described: it may be left out, but there is no way to write null."""
    found = dict(schema)
    if found.get("default", "") is None:
        del found["default"]
    choices = [one for one in found.pop("anyOf", []) if one != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **found}
    return {**found, "anyOf": choices} if choices else found


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, shape in route.answers.items():
        content: Mapping[str, Any] = {}
        if isinstance(shape, str):
            content = {"content": {shape: {}}}
        elif shape is not None:
            content = _content(shape, schemas)
            if getattr(shape, "__name__", "") in TAGGED:
                content = {**content, "headers": _ETAG}
        found[str(status)] = {"description": _MEANING.get(status, "an answer"), **content}
    problem = {"$ref": "#/components/responses/Problem"}
    return {**found, "4XX": problem, "5XX": problem}


def _content(
    shape: Any,
    schemas: dict[str, Any],
    *,
    media: str = "application/json",
    mode: Mode = "serialization",
) -> dict[str, Any]:
    return {"content": {media: {"schema": _schema(shape, schemas, mode)}}}


def _schema(
    shape: Any, schemas: dict[str, Any], mode: Mode, *, inline: bool = False
) -> dict[str, Any]:
    """The shape's schema; those that it names go into `schemas`, itself too unless `inline`."""
    schema = TypeAdapter(shape).json_schema(ref_template=_REF, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    if inline or not (isinstance(shape, type) and issubclass(shape, BaseModel)):
        return schema
    schemas[shape.__name__] = schema
    return {"$ref": _REF.format(model=shape.__name__)}
