"""What requests say about users, passwords and tokens, and how these are shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic import ValidationError as PydanticError

from dcron_app import passwords
from dcron_app.api import text
from dcron_app.api.fields import described, problem_with
from dcron_app.api.serialize import instant
from dcron_app.api.shapes import Instant, Shape
from dcron_common.db.tokens import TokenRow
from dcron_common.db.users import ANY_OS_USER, DEFAULT_OS_USER, UserRow

BODY = 16 * 1024  # bytes: a user with all lists full
MAX_GRACE = 86_400
_DAYS = 36_500


def _os_user(name: str) -> str:
    return name if name == ANY_OS_USER else text.os_user(name)


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("names something twice")
    return names


RoleName = Literal["viewer", "operator", "admin"]
ScopeName = Literal["read", "operate", "admin"]
Account = Annotated[
    str, Field(max_length=64), AfterValidator(text.account), described(text.ACCOUNT)
]
# What somebody logs in with: no rule beside its length, for it is compared and nothing else.
Password = Annotated[
    str,
    described(text.LINE, format="password", maxLength=passwords.MAX_BYTES),
    AfterValidator(passwords.bounded),
]
NewPassword = Annotated[
    str,
    described(
        text.LINE,
        format="password",
        minLength=passwords.MIN_CHARACTERS,
        maxLength=passwords.MAX_BYTES,
    ),
    AfterValidator(passwords.acceptable),
]
_UNIQUE: dict[str, Any] = {"uniqueItems": True}
Teams = Annotated[
    list[Account], Field(max_length=32, json_schema_extra=_UNIQUE), AfterValidator(_different)
]
OsUsers = Annotated[
    list[Annotated[str, AfterValidator(_os_user), described(rf"^\*$|{text.OS_USER}")]],
    Field(max_length=64, json_schema_extra=_UNIQUE),
    AfterValidator(_different),
]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class LoginFields(_Body):
    """The body of POST /login."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    password: Password


class OwnPasswordFields(_Body):
    """The body of PUT /me/password. All logins of the user end, this one too. `end_tokens`: so do
    all other tokens, and what was made with them; for who was robbed."""

    old: Password
    new: NewPassword
    end_tokens: bool = False


class PasswordFields(_Body):
    """The body of PUT /users/{user}/password. `end_tokens`: as that of one's own."""

    password: NewPassword
    end_tokens: bool = False


class UserFields(_Body):
    """The body of POST /users. The first team is that of new jobs which name none."""

    name: Account
    role: RoleName
    teams: Teams = Field(default_factory=list)
    os_users: OsUsers = Field(default_factory=lambda: [DEFAULT_OS_USER])
    password: NewPassword | None = None


class UserChange(_Body):
    """The body of PATCH /users/{user}: what shall change."""

    role: RoleName | None = None
    teams: Teams | None = None
    os_users: OsUsers | None = None
    disabled: bool | None = None


class TokenFields(_Body):
    """The body of POST /tokens. `user`: oneself if left out. `scope`: if left out, what the user's
    role needs, but never more than the token that this is asked with."""

    name: Account
    user: Account | None = None
    scope: ScopeName | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=_DAYS)] | None = None


class RotateFields(_Body):
    """The body of POST /tokens/{token_id}/rotate: how long the old token stays good."""

    grace_seconds: Annotated[int, Field(ge=0, le=MAX_GRACE)] = 0


M = TypeVar("M", bound=_Body)


def checked(model: type[M], body: dict[str, Any]) -> M:
    """The body as its model. Problem 422."""
    try:
        return model.model_validate(body)
    except PydanticError as error:
        raise problem_with(error) from None  # its cause holds what was sent


class SessionShape(Shape):
    """A login: its token, shown this once."""

    token: str
    expires_at: Instant


class MeShape(Shape):
    """Who asks. `role`: the user's own; `scope`: what the token lets it do at most."""

    name: str
    role: RoleName
    teams: list[str]
    os_users: list[str]
    scope: ScopeName
    token_id: str
    token_kind: Literal["login", "token"]
    expires_at: Instant | None


class UserShape(Shape):
    """A user."""

    name: str
    role: RoleName
    teams: list[str]
    os_users: list[str]
    disabled: bool
    has_password: bool
    created_at: Instant
    last_login_at: Instant | None


class TokenShape(Shape):
    """A token, but not its text. `kind` login: a session. `replaced_by`: what it was rotated to.
    `parent`: the token whose revocation ends this one, too."""

    id: str
    user: str
    name: str
    kind: Literal["login", "token"]
    scope: ScopeName
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None
    replaced_by: str | None
    parent: str | None


class MadeTokenShape(TokenShape):
    """A new token; its text is shown this once."""

    token: str


class AuditShape(Shape):
    """Who did what to which object; what it was before and after, as far as it changed."""

    id: str
    at: Instant
    user: str
    action: str
    object_type: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def user_json(row: UserRow) -> dict[str, Any]:
    """A user."""
    return {
        "name": row.name,
        "role": row.role.value,
        "teams": row.teams,
        "os_users": row.os_users,
        "disabled": row.disabled,
        "has_password": row.has_password,
        "created_at": instant(row.created_at),
        "last_login_at": instant(row.last_login_at),
    }


def token_json(row: TokenRow) -> dict[str, Any]:
    """A token, but not its text."""
    return {
        "id": str(row.id),
        "user": row.user,
        "name": row.name,
        "kind": row.kind,
        "scope": row.scope,
        "created_at": instant(row.created_at),
        "expires_at": instant(row.expires_at),
        "revoked_at": instant(row.revoked_at),
        "last_used_at": instant(row.last_used_at),
        "replaced_by": None if row.replaced_by is None else str(row.replaced_by),
        "parent": None if row.parent is None else str(row.parent),
    }
