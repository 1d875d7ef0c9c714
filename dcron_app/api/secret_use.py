"""Who may have a job get which secrets: whoever decides what a job runs can have it tell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dcron_app.api.errors import forbidden, invalid
from dcron_common.db.secrets import SecretRow
from dcron_common.db.users import Principal

Known = Callable[[Sequence[str]], Mapping[str, SecretRow]]  # the secrets of these names


def check_secrets(names: Sequence[str], user: Principal, known: Known) -> None:
    """Whether they are there, and this user may have a job get them. Problem 422 or 403."""
    found = known(names)
    for number, name in enumerate(names):
        if name not in found:
            message = f"there is no secret {name}; make it first: PUT /secrets/{name}"
            raise invalid((f"secrets[{number}]", message))
    for number, name in enumerate(names):
        if not user.may_change(found[name].owner, found[name].team):
            message = f"secret {name} belongs to {found[name].owner}: only its owner, its team and "
            raise forbidden(f"{message}admins may give it to a job", f"secrets[{number}]")
