"""No body takes true for 1, or 1 for true: every field of every route is tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic import ValidationError as PydanticError

from dcron_app.api.app import all_routes
from tests.unit.app.api_client import Api

WRONG: dict[type, tuple[Any, ...]] = {int: (True, False, "1", 1.5), bool: (0, 1, "true")}


def inside(annotation: Any) -> set[Any]:
    """All types that an annotation is made of."""
    return {annotation}.union(*(inside(one) for one in get_args(annotation)))


def fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Path and type of each field that is a whole number or a truth value."""
    for name, field in model.model_fields.items():
        found = inside(field.annotation)
        yield from (((*path, name), kind) for kind in WRONG if kind in found)
        for kind in found:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from fields(kind, (*path, name))


def refused(model: type[BaseModel], path: tuple[str, ...], value: Any) -> bool:
    body: Any = value
    for name in reversed(path):
        body = {name: body}
    with pytest.raises(PydanticError) as caught:  # others are missing, at least
        model.model_validate({**body, "unknown": None})
    return path in {error["loc"] for error in caught.value.errors()}


def test_whole_numbers_and_truth_values_are_taken_for_nothing_else(api: Api) -> None:
    bodies = {route.body for route in all_routes(api.services) if route.body is not None}
    tried = 0
    for model in bodies:
        for path, kind in fields(model):
            for value in WRONG[kind]:
                tried += 1
                assert refused(model, path, value), (model.__name__, path, value)
    assert tried > 100
