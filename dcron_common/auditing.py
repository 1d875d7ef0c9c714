"""The words of the audit: what is done, and to what. mypy holds who writes a row to them."""

from __future__ import annotations

from typing import Literal, get_args

Action = Literal[
    "create",
    "change",
    "update",
    "delete",
    "run",
    "kill",
    "drain",
    "resume",
    "label",
    "forget",
    "login",
    "password",
    "rotate",
    "revoke",
]
ObjectType = Literal["job", "worker", "secret", "user", "token"]

ACTIONS: tuple[Action, ...] = get_args(Action)
OBJECT_TYPES: tuple[ObjectType, ...] = get_args(ObjectType)
