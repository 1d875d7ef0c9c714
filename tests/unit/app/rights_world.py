"""What test_rights.py asks with and about: people, their tokens, and objects made anew."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from dcron_common.db import audit, runs, tokens
from dcron_common.db.models import Job
from dcron_common.db.users import Role, Scope
from dcron_common.ids import ulid
from dcron_common.run import RunRecord, RunState, Trigger
from tests.unit.app.api_client import COMMAND, NOW, Answer, Api

SCRIPT = {
    **COMMAND,
    "type": "script",
    "executable": base64.b64encode(b"#!/bin/sh\n").decode(),
    "run_as": "dcron-job",
}
ANOTHER = "backup"  # an OS user that not everybody may have jobs run as


@dataclass(frozen=True)
class Person:
    name: str
    role: Role
    teams: tuple[str, ...] = ()
    os_users: tuple[str, ...] = ("dcron-job",)
    disabled: bool = False

    def runs_as(self, os_user: str) -> bool:
        return os_user in self.os_users or ("*" in self.os_users and os_user != "root")


OLGA = Person("olga", Role.OPERATOR, ("ops",))  # what is asked about is hers
TONI = Person("toni", Role.OPERATOR, ("web", "ops"))
TESS = Person("tess", Role.OPERATOR, ("ops",), ("*",))
OTTO = Person("otto", Role.OPERATOR, ("web",), ("*",))
VERA = Person("vera", Role.VIEWER, ("ops",), ("*",))  # a team makes no viewer an operator
ADA = Person("ada", Role.ADMIN)
ARNO = Person("arno", Role.ADMIN, (), ("*", "root"))
DORA = Person("dora", Role.ADMIN, ("ops",), ("*", "root"), disabled=True)
PEOPLE = (VERA, OLGA, TONI, TESS, OTTO, ADA, ARNO, DORA)


@dataclass(frozen=True)
class Asker:
    """A person with a token. `role`: what the scope leaves of the person's."""

    person: Person
    scope: Scope

    @property
    def name(self) -> str:
        return self.person.name

    @property
    def role(self) -> Role:
        left = {Scope.READ: 0, Scope.OPERATE: 1, Scope.ADMIN: 2}[self.scope]
        return list(Role)[min(left, list(Role).index(self.person.role))]

    @property
    def admin(self) -> bool:
        return self.role is Role.ADMIN

    def operator_of(self, *teams: str) -> bool:
        """Whether it may do what operators of each of these teams may."""
        member = self.role is Role.OPERATOR and set(teams) <= set(self.person.teams)
        return self.admin or member

    def __str__(self) -> str:
        return f"{self.name} with a token to {self.scope}"


ASKERS = [
    Asker(person, scope)
    for person, scope in product(PEOPLE, Scope)
    if scope is Scope.ADMIN or not person.disabled
]

# Who may, by the words of docs/rights.md.
GROUPS: dict[str, Callable[[Asker], bool]] = {
    "everybody": lambda asker: True,
    "operators": lambda asker: asker.operator_of(),
    "operators, run_as": lambda asker: asker.operator_of() and asker.person.runs_as(ANOTHER),
    "operators, root": lambda asker: asker.operator_of() and asker.person.runs_as("root"),
    "owner, team": lambda asker: asker.operator_of("ops"),
    "owner, team, run_as": lambda asker: asker.operator_of("ops") and asker.person.runs_as(ANOTHER),
    "owner, team, secret": lambda asker: asker.operator_of("ops", "web"),
    "owner, no team": lambda asker: asker.admin or (asker.operator_of() and asker.person is OLGA),
    "owner": lambda asker: asker.admin or asker.person is OLGA,
    "admins": lambda asker: asker.admin,
    "scope": lambda asker: asker.scope is not Scope.READ,
}


def may(who: str, asker: Asker) -> bool:
    """Whether the asker is of this group; who is disabled is of none."""
    return not asker.person.disabled and GROUPS[who](asker)


@dataclass
class World:
    """Makes objects anew for each question."""

    api: Api
    sessions: dict[Asker, str] = field(default_factory=dict)
    made: int = 0

    def token(self, asker: Asker, kind: str = tokens.PLAIN) -> tuple[str, int]:
        """Its text and its id."""
        text, database = tokens.new_text(), self.api.services.database
        row = database.transaction(
            lambda: tokens.insert(text, asker.name, "test", kind, asker.scope, None, NOW)
        )
        return text, row.id

    def ask(self, asker: Asker, method: str, path: str, body: Any = None) -> Answer:
        if asker not in self.sessions:
            self.sessions[asker] = self.token(asker)[0]
        return self.ask_with(self.sessions[asker], method, path, body)

    def ask_with(self, text: str, method: str, path: str, body: Any = None) -> Answer:
        if body is None:
            return self.api.call(method, path, user=text)
        return getattr(self.api, method.lower())(path, body, user=text)

    def job(self, **more: Any) -> str:
        """The path of a job of olga's. An admin has made it, who asks for nothing else."""
        made = self.api.post("/jobs", {**SCRIPT, "owner": "olga", "team": "ops", **more})
        assert made.status == 201, made.body
        return f"/jobs/{made.json['id']}"

    def sole_job(self) -> str:
        """The path of such a job, when there is no other."""
        removed = Job.update(removed_at=NOW).where(Job.removed_at.is_null())
        self.api.services.database.transaction(removed.execute)
        return self.job()

    def run(self, **more: Any) -> str:
        """The path of a run of such a job, which has ended."""
        path = self.job(**more)
        self.made += 1
        run = ulid(NOW + self.made)
        record = RunRecord(
            run,
            int(path.removeprefix("/jobs/")),
            int(NOW) // 60 * 60,
            1,
            Trigger.CRON,
            RunState.SUCCEEDED,
            output_tail="said\n",
        )
        runs.record_runs(self.api.services.database, [record], NOW)
        return f"{path}/runs/{run}"

    def secret(self, owner: str = "olga", team: str = "ops") -> str:
        """The name of a secret."""
        name, body = self.name(), {"value": "planted", "owner": owner, "team": team}
        made = self.api.put(f"/secrets/{name}", body)
        assert made.status == 201, made.body
        return name

    def done_by(self, asker: Asker) -> int:
        """How much the audit says of somebody."""
        return len(audit.page(self.api.services.database, 10_000, {"user": asker.name}))

    def name(self) -> str:
        """A new one."""
        self.made += 1
        return f"name{self.made}"
