"""The fields of a job as a request may give them: types and bounds, nothing about who asks.

Unknown keys are refused. Numbers are numbers and texts are texts: nothing is converted.
"""

from __future__ import annotations

from copy import copy
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, create_model
from pydantic import ValidationError as PydanticError

from dcron_app.api import text
from dcron_app.api.errors import Problem, invalid


def described(pattern: str, **bounds: Any) -> Any:
    """What a type's own check demands, for the description; it checks nothing."""
    return Field(json_schema_extra={"pattern": pattern, **bounds})


def _map(names: dict[str, Any], values: int, entries: int) -> WithJsonSchema:
    """An object whose keys are the user's own, as described."""
    text_of_value = {"type": "string", "maxLength": values, "pattern": text.LINE}
    shape = {"additionalProperties": text_of_value, "propertyNames": names}
    return WithJsonSchema({"type": "object", "maxProperties": entries, **shape})


Line = Annotated[str, AfterValidator(text.line), described(text.LINE)]
_Shown = Annotated[str, AfterValidator(text.shown), described(text.SHOWN)]
Name = Annotated[_Shown, Field(min_length=1, max_length=128)]
FileName = Annotated[
    str,
    Field(min_length=1, max_length=128),
    AfterValidator(text.file_name),
    described(text.FILE_NAME),
]
Team = Annotated[_Shown, Field(min_length=1, max_length=64)]
Folder = Annotated[
    str, Field(min_length=1, max_length=1024), AfterValidator(text.folder), described(text.FOLDER)
]
OsUser = Annotated[str, AfterValidator(text.os_user), described(text.OS_USER)]
Argument = Annotated[str, Field(max_length=16_384), AfterValidator(text.line), described(text.LINE)]
ScheduleText = Annotated[
    str,
    Field(max_length=256),
    AfterValidator(text.line),
    described(text.SCHEDULE, examples=["*/5 9-17 * * mon-fri", "@daily"]),
]
Variable = Annotated[str, AfterValidator(text.variable)]
Value = Annotated[str, Field(max_length=16_384), AfterValidator(text.line)]
SecretName = Annotated[str, AfterValidator(text.secret_name), described(text.SECRET)]
SecretValue = Annotated[str, AfterValidator(text.secret_value), described(text.NO_NUL, minLength=1)]
LabelName = Annotated[str, AfterValidator(text.label_name)]
LabelValue = Annotated[str, Field(max_length=255), AfterValidator(text.line)]
JobId = Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,17})$")]
Labels = Annotated[
    dict[LabelName, LabelValue],
    Field(max_length=32),
    _map({"pattern": text.LABEL}, 255, 32),
]
Environment = Annotated[
    dict[Variable, Value], Field(max_length=128), _map({"pattern": text.VARIABLE}, 16_384, 128)
]

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
    output_bytes: int | None = Field(default=None, ge=1, le=2**30)


# What depends on the type, for the description; `validation` checks it.
_BY_TYPE: dict[str, Any] = {
    "if": {"properties": {"type": {"const": "command"}}},
    "then": {
        "properties": {
            "executable": {"maxLength": text.MAX_TEXT_BYTES, "pattern": text.SOME_LINE},
            "filename": {"type": "null"},
            "arguments": {"maxItems": 0},
        }
    },
    "else": {"properties": {"executable": {"pattern": text.BASE64}}},
}


class JobFields(_Strict):
    """The body of POST /jobs. `executable` is bounded by its type's own rules."""

    model_config = ConfigDict(json_schema_extra={"allOf": [_BY_TYPE]})

    executable: Annotated[str, described(text.SOME)]
    schedule: ScheduleText
    type: Literal["command", "script", "binary"]
    name: Name | None = None
    labels: Labels = Field(default_factory=dict)
    owner: Team | None = None
    team: Team | None = None
    timezone: Annotated[Line, Field(max_length=64)] | None = None
    filename: FileName | None = None
    arguments: Annotated[list[Argument], Field(max_length=256)] = Field(default_factory=list)
    environment: Environment = Field(default_factory=dict)
    working_directory: Folder | None = None
    secrets: Annotated[list[SecretName], Field(max_length=32)] = Field(default_factory=list)
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


def _optional(model: type[BaseModel], name: str, doc: str) -> type[BaseModel]:
    """The same fields, none of them needed; an owner cannot be taken away."""
    fields: dict[str, Any] = {}
    for key, one in model.model_fields.items():
        kept = copy(one)
        if kept.is_required():
            kept.default = None
        fields[key] = (one.annotation if key != "owner" else Team, kept)
    return create_model(name, __base__=_Strict, __doc__=doc, **fields)


JobChange = _optional(JobFields, "JobChange", "The body of PATCH /jobs/{id}: what shall change.")


class SecretFields(_Strict):
    """The body of PUT /secrets/{secret}. What is left out stays; of a new secret the owner is who
    makes it, and the team that user's."""

    # It may span lines. The length of characters is for readers; that of bytes is what counts.
    value: Annotated[SecretValue, Field(max_length=text.MAX_SECRET_BYTES, repr=False)]
    owner: Team | None = None
    team: Team | None = None


class LabelFields(_Strict):
    """The body of PUT /workers/{worker}/labels: all that shall lie over the node's own."""

    labels: Labels


READ_ONLY = frozenset(
    {
        *("id", "status", "revision", "worker", "created_at", "updated_at"),
        *("next_run_at", "last_run", "sha256"),
    }
)

_GIVEN_BACK: dict[str, Any] = {
    name: (Any, Field(None, description="read-only, as GET shows it")) for name in sorted(READ_ONLY)
}
_GIVEN_BACK["revision"] = (
    Annotated[Any, WithJsonSchema({"type": "integer"})],
    Field(1, description="as GET shows it: only if the job is at this one"),
)
JobReplacement = create_model(
    "JobReplacement",
    __base__=JobFields,
    __doc__="The body of PUT: a whole job. What GET shows beside its fields may be given back.",
    **_GIVEN_BACK,
)


_NULL: dict[str, Any] = {"type": "null"}
_ONE_OF_THREE: list[Any] = [
    {
        "required": [name],
        "properties": {"labels": _NULL, "ids": _NULL, "all": {"const": False}, name: given},
    }
    for name, given in (
        ("labels", {"type": "object", "minProperties": 1}),
        ("ids", {"type": "array"}),
        ("all", {"const": True}),
    )
]


class BulkFields(_Strict):
    """The body of POST /jobs/pause and /jobs/resume: just one of the three. `labels`: jobs that
    have all of these."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _ONE_OF_THREE})

    labels: Labels | None = None
    ids: Annotated[list[JobId], Field(max_length=10_000)] | None = None
    all: bool = False


class RunFields(_Strict):
    """The body of POST /jobs/{id}/runs. `arguments` None: the job's own."""

    arguments: Annotated[list[Argument], Field(max_length=256)] | None = None


_MAX_ERRORS = 20


def problem_with(error: PydanticError) -> Problem:
    """422: what pydantic found, field by field."""
    found = error.errors(include_url=False, include_input=False)
    return invalid(*((field_of(x["loc"]), message_of(dict(x))) for x in found[:_MAX_ERRORS]))


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
    "string_pattern_mismatch": "has another form than asked for: {pattern}",
    "literal_error": "must be {expected}",
}
