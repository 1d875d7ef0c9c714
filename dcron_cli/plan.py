"""What `dcron apply` would do: a function of what is wanted and what is there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dcron_cli.jobfields import WRITABLE
from dcron_cli.jobfile import Wanted

_SHOWN = 60  # characters of a value


class Kind(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    UNCHANGED = "unchanged"
    FORBIDDEN = "forbidden"  # to this user; the others are done


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a plan. `body`: what is sent; `present`: the job as it was read; `changes`: field,
    before, after; `reason`: why it is forbidden."""

    kind: Kind
    name: str
    body: Mapping[str, Any] | None = None
    present: Mapping[str, Any] | None = None
    changes: tuple[tuple[str, Any, Any], ...] = ()
    reason: str | None = None

    def json(self) -> dict[str, Any]:
        """For programs. `result` and `reason` are filled in when it is done or failed."""
        return {
            "action": self.kind.value,
            "name": self.name,
            "id": None if self.present is None else self.present["id"],
            "changes": [
                {"field": field, "before": before, "after": after}
                for field, before, after in self.changes
            ],
            "result": None,
            "reason": self.reason,
        }


def compared(
    wanted: Wanted, body: Mapping[str, Any], present: Mapping[str, Any] | None, after: Any
) -> Step:
    """The step for a job: `after` is what the cluster says it would be (a dry run)."""
    if present is None:
        made = tuple((name, None, after[name]) for name in WRITABLE if name in wanted.fields)
        return Step(Kind.CREATE, wanted.name, body, None, made)
    changes = tuple(
        (name, present[name], after[name])
        for name in (*WRITABLE, "sha256")
        if present[name] != after[name] and not (name == "executable" and after["sha256"])
    )
    kind = Kind.CHANGE if changes else Kind.UNCHANGED
    return Step(kind, wanted.name, body, present, changes)


def prunable(
    present: Iterable[dict[str, Any]], labels: Mapping[str, str], wanted: Iterable[Wanted]
) -> list[dict[str, Any]]:
    """The jobs that carry the labels and are not in the file. One without a name is never meant:
    no file could have it."""
    names = {one.name for one in wanted}
    return [
        job
        for job in present
        if labels.items() <= job["labels"].items()
        and job["name"] is not None
        and job["name"] not in names
    ]


def pending(steps: Iterable[Step]) -> list[Step]:
    """Those that do something."""
    return [step for step in steps if step.kind not in (Kind.UNCHANGED, Kind.FORBIDDEN)]


def lines(steps: Sequence[Step]) -> Iterator[str]:
    """The plan for people."""
    for step in steps:
        yield f"{_MARKS[step.kind]} {step.kind.value:9} {step.name}"
        if step.reason is not None:
            yield f"      {step.reason}"
        for field, before, after in step.changes:
            if step.kind is Kind.CREATE:
                yield f"      {field}: {shown(after)}"
            else:
                yield f"      {field}: {shown(before)} -> {shown(after)}"
    counted = Counter(step.kind for step in steps)
    yield ", ".join(f"{counted[kind]} to {kind.value}" for kind in list(Kind)[:3]) + (
        f", {counted[Kind.UNCHANGED]} unchanged"
        + (f", {counted[Kind.FORBIDDEN]} forbidden" if counted[Kind.FORBIDDEN] else "")
    )


_MARKS = {
    Kind.CREATE: "+",
    Kind.CHANGE: "~",
    Kind.REMOVE: "-",
    Kind.UNCHANGED: " ",
    Kind.FORBIDDEN: "!",
}


def shown(value: Any) -> str:
    """A field's value in a line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
