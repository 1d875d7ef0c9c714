"""How test_rights.py asks each route: a Right says who may, and asks about an object made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dcron_app.passwords import Passwords
from dcron_common.db import logins, workers
from dcron_common.db.tokens import LOGIN
from dcron_common.db.users import Scope
from dcron_common.protocol import Registration
from tests.unit.app.api_client import COMMAND, NOW, QUICK, Answer, Api
from tests.unit.app.rights_world import ANOTHER, Asker, Person, World, may

PASSWORD = "correct horse battery"
DONE = (200, 201, 202, 204)
NOTHING: Mapping[str, Any] = MappingProxyType({})
AS_ANOTHER: Mapping[str, Any] = MappingProxyType({"run_as": ANOTHER})
STEERED: Mapping[str, Any] = MappingProxyType({"environment": {"LD_PRELOAD": "/x"}})


@dataclass(frozen=True)
class Right:
    """`who` of GROUPS gets one of `allowed`; everybody else gets `refused`, and nothing is done."""

    method: str
    path: str
    who: str
    ask: Callable[[World, Asker], Answer]
    what: str = ""
    allowed: tuple[int, ...] = DONE
    refused: int = 403

    def expected(self, asker: Asker) -> tuple[int, ...]:
        if asker.person.disabled:
            return (401,)
        return self.allowed if may(self.who, asker) else (self.refused,)

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    def __str__(self) -> str:
        return f"{self.route} {self.what}".strip()


def fixed(method: str, path: str, who: str, body: Any = None, query: str = "") -> Right:
    """A route without objects."""
    return Right(
        method, path, who, lambda world, asker: world.ask(asker, method, path + query, body)
    )


def of_job(
    method: str,
    below: str,
    who: str,
    body: Any = None,
    *allowed: int,
    what: str = "",
    job: Mapping[str, Any] = NOTHING,
) -> Right:
    """A route of a job, which has what `job` says."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, world.job(**job) + below, body)

    return Right(method, f"/jobs/{{job_id}}{below}", who, ask, what, allowed or DONE)


def of_run(
    method: str,
    below: str,
    who: str,
    *allowed: int,
    what: str = "",
    job: Mapping[str, Any] = NOTHING,
) -> Right:
    """A route of a run of such a job."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, world.run(**job) + below)

    path = f"/jobs/{{job_id}}/runs/{{run_id}}{below}"
    return Right(method, path, who, ask, what, allowed or DONE)


def see_worker(api: Api, name: str) -> None:
    seen = Registration(name, "b", "s", "192.0.2.1", {}, 10, "0.1.0", 0)
    workers.save_seen(api.services.database, {name: seen}, NOW)


def forget_worker(world: World, asker: Asker) -> Answer:
    name = world.name()
    see_worker(world.api, name)
    return world.ask(asker, "DELETE", f"/workers/{name}")


def of_worker(method: str, below: str, who: str, body: Any = None) -> Right:
    """A route of a worker."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, f"/workers/node1{below}", body)

    return Right(method, f"/workers/{{worker}}{below}", who, ask)


def post_job(who: str, what: str, **more: Any) -> Right:
    """A job with something that not everybody may ask for."""
    body = {**COMMAND, "run_as": "dcron-job", **more}
    return Right(
        "POST", "/jobs", who, lambda world, asker: world.ask(asker, "POST", "/jobs", body), what
    )


def patch_job(who: str, what: str, job: Mapping[str, Any] = NOTHING, **change: Any) -> Right:
    return of_job("PATCH", "", who, change, what=what, job=job)


def put_job(who: str, what: str, job: Mapping[str, Any] = NOTHING, **change: Any) -> Right:
    """What GET gave, with something else."""

    def ask(world: World, asker: Asker) -> Answer:
        path = world.job(**job)
        return world.ask(asker, "PUT", path, {**world.api.get(path).json, **change})

    return Right("PUT", "/jobs/{job_id}", who, ask, what)


def put_named(who: str, what: str, job: Mapping[str, Any] | None = None, **more: Any) -> Right:
    """By a name that no job has, or one of olga's that has what `job` says."""

    def ask(world: World, asker: Asker) -> Answer:
        name = world.name()
        whose = {}
        if job is not None:
            world.job(name=name, **job)
            whose = {"owner": "olga", "team": "ops"}
        body = {**COMMAND, "run_as": "dcron-job", **whose, **(job or {}), **more}
        return world.ask(asker, "PUT", f"/jobs?name={name}", body)

    return Right("PUT", "/jobs", who, ask, what)


def run_with_secret(who: str, what: str, body: Any) -> Right:
    """Of a job that has a secret of the team web."""

    def ask(world: World, asker: Asker) -> Answer:
        path = world.job(secrets=[world.secret("otto", "web")])
        return world.ask(asker, "POST", f"{path}/runs", body)

    return Right("POST", "/jobs/{job_id}/runs", who, ask, what, (409,))  # no worker has it


def patch_with_secret(world: World, asker: Asker) -> Answer:
    path = world.job(secrets=[world.secret("otto", "web")])
    return world.ask(asker, "PATCH", path, {"retries": 3})


def of_many(what: str) -> list[Right]:
    """Many jobs at once: nobody's, or one of olga's by each way to name it, which is done to those
    who may change it and to nobody else, whatever the status says of all together."""

    def none(world: World, asker: Asker) -> Answer:
        return world.ask(asker, "POST", f"/jobs/{what}", {"labels": {"of": "nobody"}})

    def one(way: str, job: Mapping[str, Any] = NOTHING) -> Callable[[World, Asker], Answer]:
        def ask(world: World, asker: Asker) -> Answer:
            labels = {"of": world.name()}
            path = world.sole_job() if way == "all" else world.job(labels=labels, **job)
            number = path.removeprefix("/jobs/")
            body = {"labels": labels, "ids": [number], "all": True}
            answer = world.ask(asker, "POST", f"/jobs/{what}", {way: body[way]})
            if answer.status != 200 or number in [
                *answer.json["changed"],
                *answer.json["unchanged"],
            ]:
                return answer
            failed = answer.json["failed"]
            assert way != "ids" or "belongs to olga" in failed[0]["reason"]
            return Answer(403, answer.headers, answer.body)

        return ask

    def right(who: str, ask: Callable[[World, Asker], Answer], which: str = "") -> Right:
        return Right("POST", f"/jobs/{what}", who, ask, which)

    return [
        right("operators", none),
        right("owner, team", one("ids"), "of others"),
        right("owner, team", one("labels"), "of others by labels"),
        right("owner, team", one("all"), "of others by all"),
        right("owner, team", one("ids", AS_ANOTHER), "as another OS user"),
    ]


def of_user(method: str, below: str, body: Any = None) -> Right:
    """A route of a user, who is nobody of those who ask."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, f"/users/target{below}", body)

    return Right(method, f"/users/{{user}}{below}", "admins", ask)


def make_user(world: World, asker: Asker) -> Answer:
    return world.ask(asker, "POST", "/users", {"name": world.name(), "role": "admin"})


def log_out(world: World, asker: Asker) -> Answer:
    return world.ask_with(world.token(asker, LOGIN)[0], "POST", "/logout")


def own_password(world: World, asker: Asker) -> Answer:
    stored = Passwords(QUICK).hash(PASSWORD)
    logins.set_password(world.api.services.database, asker.name, stored, NOW, "test")
    return world.ask(asker, "PUT", "/me/password", {"old": PASSWORD, "new": PASSWORD + "2"})


def of_token(method: str, below: str, who: str, whose: Person | None, scope: Scope) -> Right:
    """A route of a token: olga's, or one's own that may do so much. Tokens of others are not there
    for those who may not end them."""

    def ask(world: World, asker: Asker) -> Answer:
        owner = Asker(whose or asker.person, scope)
        number = world.token(owner)[1]
        return world.ask(asker, method, f"/tokens/{number}{below}")

    path, what = f"/tokens/{{token_id}}{below}", "" if whose else "of a wider scope"
    return Right(method, path, who, ask, what, refused=404 if whose else 403)


def wide_token(world: World, asker: Asker) -> Answer:
    return world.ask(asker, "POST", "/tokens", {"name": "t", "scope": "operate"})


def new_secret(who: str, what: str = "", **more: Any) -> Right:
    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, "PUT", f"/secrets/{world.name()}", {"value": "v", **more})

    return Right("PUT", "/secrets/{secret}", who, ask, what)


def of_secret(method: str, who: str, what: str = "", body: Any = None) -> Right:
    """A route of a secret of olga's."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, f"/secrets/{world.secret()}", body)

    return Right(method, "/secrets/{secret}", who, ask, what)


def use_secret(world: World, asker: Asker) -> Answer:
    body = {**COMMAND, "run_as": "dcron-job", "secrets": [world.secret()]}
    return world.ask(asker, "POST", "/jobs", body)
