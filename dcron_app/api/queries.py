"""Query strings: each route's own model, read strictly. An unknown key and one that is given twice
are refused (Problem 422), so that a typing error never widens what is asked for."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from bottle import request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic import ValidationError as PydanticError

from dcron_app.api.errors import invalid
from dcron_app.api.fields import problem_with
from dcron_app.api.instants import parse_instant

MAX_PAGE = 1000


def _whole(text: Any) -> Any:
    if isinstance(text, str):
        if not (text.isascii() and text.isdigit() and len(text) <= 19):
            raise ValueError("must be a whole number")
        return int(text)
    return text


def _flag(text: Any) -> Any:
    if isinstance(text, str):
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return text == "true"
    return text


def _instant(text: Any) -> Any:
    return parse_instant(text) if isinstance(text, str) else text


# Reads a whole number that is not negative. Bounds stand before it, or the description would not
# have them: `Annotated[int, Field(ge=1, le=10), AS_WHOLE]`.
AS_WHOLE = BeforeValidator(_whole)
Flag = Annotated[bool, BeforeValidator(_flag)]
# Epoch seconds within; ISO 8601 with an offset is taken too.
Instant = Annotated[
    int,
    BeforeValidator(_instant),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": 10**12},
            ]
        }
    ),
]
Limit = Annotated[int, Field(ge=1, le=MAX_PAGE), AS_WHOLE]
# What a BIGINT of the database holds, such as a job's id.
Whole = Annotated[int, Field(ge=0, le=2**63 - 1), AS_WHOLE]


class Query(BaseModel):
    """A query string's keys. Fields that are lists may be repeated."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DryRun(Query):
    """Whether a request is only tried."""

    dry_run: Flag = Field(
        False, description="check all of it and answer the job as it would be; store nothing"
    )


Q = TypeVar("Q", bound=Query)


def read_query(model: type[Q]) -> Q:
    """The present request's query string. Problem 422."""
    try:
        decoded = request.query.decode()
    except UnicodeError as error:
        raise invalid(("query", "is not UTF-8")) from error
    values: dict[str, Any] = {}
    for key in decoded:
        texts = decoded.getall(key)
        field = model.model_fields.get(key)
        many = field is not None and _is_list(field.annotation)
        if len(texts) > 1 and not many:
            raise invalid((key, "is given more than once; give it once"))
        values[key] = texts if many else texts[0]
    try:
        return model.model_validate(values)
    except PydanticError as error:
        raise problem_with(error) from error


def _is_list(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", annotation) is list
