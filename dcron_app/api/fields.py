"""The fields of a job as a request may give them: types and bounds, nothing about who asks.

Unknown keys are refused. Numbers are numbers and texts are texts: nothing is converted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dcron_app.api import text

Line = Annotated[str, AfterValidator(text.line)]
Name = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(text.shown)]
FileName = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(text.file_name)]
Team = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(text.shown)]
Folder = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(text.folder)]
OsUser = Annotated[str, AfterValidator(text.os_user)]
Argument = Annotated[str, Field(max_length=16_384), AfterValidator(text.line)]
Variable = Annotated[str, AfterValidator(text.variable)]
Value = Annotated[str, Field(max_length=16_384), AfterValidator(text.line)]
LabelName = Annotated[str, AfterValidator(text.label_name)]
LabelValue = Annotated[str, Field(max_length=255), AfterValidator(text.line)]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=32)]

_DAY = 86_400


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class PlacementFields(_Strict):
    labels: Labels = Field(default_factory=dict)
    on: Literal["one", "all"] = "one"


class LimitFields(_Strict):
    memory_bytes: int | None = Field(default=None, ge=2**20, le=2**50)
    cpu_percent: int | None = Field(default=None, ge=1, le=102_400)
    processes: int | None = Field(default=None, ge=1, le=1_000_000)
    output_bytes: int | None = Field(default=None, ge=1, le=2**40)


class JobFields(_Strict):
    """The body of POST /jobs. `executable` is bounded by its type's own rules."""

    executable: str
    schedule: Annotated[Line, Field(max_length=256)]
    type: Literal["command", "script", "binary"]
    name: Name | None = None
    labels: Labels = Field(default_factory=dict)
    owner: Team | None = None
    team: Team | None = None
    timezone: Annotated[Line, Field(max_length=64)] | None = None
    filename: FileName | None = None
    arguments: Annotated[list[Argument], Field(max_length=256)] = Field(default_factory=list)
    environment: Annotated[dict[Variable, Value], Field(max_length=128)] = Field(
        default_factory=dict
    )
    working_directory: Folder | None = None
    secrets: Annotated[list[Name], Field(max_length=64)] = Field(default_factory=list)
    run_as: OsUser = "dcron-job"
    concurrency: Literal["allow", "forbid", "replace"] = "forbid"
    timeout_seconds: int = Field(3600, ge=1, le=366 * _DAY)
    retries: int = Field(0, ge=0, le=100)
    retry_delay_seconds: int = Field(60, ge=1, le=_DAY)
    starting_deadline_seconds: int = Field(600, ge=1, le=366 * _DAY)
    catch_up: Literal["all", "latest", "none"] = "latest"
    on_worker_loss: Literal["rerun", "fail"] = "rerun"
    on_isolation: Literal["skip", "run"] = "skip"
    placement: PlacementFields = PlacementFields()
    limits: LimitFields = LimitFields()
    paused: bool = False


READ_ONLY = frozenset(
    {
        *("id", "status", "revision", "worker", "created_at", "updated_at"),
        *("next_run_at", "last_run", "sha256"),
    }
)

_MAPS = ("labels", "environment")  # the objects whose keys are the user's own


def field_of(location: tuple[int | str, ...]) -> str:
    """A place in the request as people write it: `arguments[2]`, `limits.memory_bytes`; a key
    that is empty shows as `""`."""
    if len(location) > 2 and location[-1] == "[key]" and location[-3] in _MAPS:
        location = location[:-1]  # pydantic's mark: it is the name, not the value, that is at fault
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            # A key is the user's own text: shown in a form that no log or terminal acts upon.
            plain = part if part.isascii() and part.isprintable() else ascii(part)[1:-1]
            shown = plain[:64] or '""'
            path += f".{shown}" if path else shown
    return path


def message_of(error: dict[str, Any]) -> str:
    """A pydantic error as a short sentence that says what to write."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        name = error["loc"][-1]
        top = len(error["loc"]) == 1 and name in READ_ONLY
        return "is read-only; leave it out" if top else "is unknown; leave it out"
    if kind == "value_error":
        return str(context["error"])
    sentence = _SENTENCES.get(kind)
    if sentence is None:
        return str(error["msg"])
    return sentence.format(**context)


_SENTENCES = {
    "missing": "is missing; it must be given",
    "string_type": "must be a text",
    "string_unicode": "holds half of a character (a lone surrogate)",
    "string_too_short": "is empty; write something or leave it out",
    "string_too_long": "is too long; {max_length} characters are the most",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false, without quotes",
    "list_type": 'must be a list such as ["a", "b"]',
    "dict_type": 'must be an object such as {{"name": "value"}}',
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_long": "has too many entries; {max_length} are the most",
    "greater_than_equal": "is too small; {ge} is the least",
    "less_than_equal": "is too large; {le} is the most",
    "literal_error": "must be {expected}",
}
