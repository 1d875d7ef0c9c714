"""The API while the database is away, hangs, or only reads; and while ZooKeeper or the store is.

The application is the real one, on a real MariaDB behind a relay that loses or swallows what it
should pass on.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dcron_app.api.health import PATIENCE
from dcron_app.api.outage import HOLD
from dcron_app.api.services import Services
from dcron_common import paths
from dcron_common.clock import SYSTEM
from dcron_common.coordinator.local import LocalEnsemble
from dcron_common.db import migrations, tokens, users
from dcron_common.db.connection import DEADLINE, Database
from dcron_common.db.dialect import CONNECT
from dcron_common.object_store import open_object_store
from dcron_common.object_store.directory import DirectoryStore
from dcron_common.sealing.ring import Ring
from dcron_common.settings import ObjectStoreConfig
from tests.contract.services import eventually
from tests.servers import mariadb
from tests.servers.relay import Relay
from tests.unit.app.api_client import COMMAND, Answer, Api

ANSWER_TIMEOUT = 2.0  # of a statement; a fifth of production's, so that a hang takes less long
# One request may begin a last try at its deadline, and lose a connection at the end of that.
# What no bound ends lasts for minutes: SLOW is what a busy machine may add.
SLOW = 20.0
LONGEST = DEADLINE + 2 * CONNECT + ANSWER_TIMEOUT + SLOW
AT_ONCE = DEADLINE / 2  # far from both: who tries waits for all of the deadline
PROBE = 2.0  # a load balancer waits that long


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mariadb.MariaDBServer]:
    reason = mariadb.missing()
    if reason is not None:
        pytest.skip(reason)
    made = mariadb.MariaDBServer(tmp_path_factory.mktemp("mariadb"))
    with made:
        yield made


@pytest.fixture
def relay(server: mariadb.MariaDBServer) -> Iterator[Relay]:
    with Relay(server.port) as made:
        yield made


@pytest.fixture
def api(server: mariadb.MariaDBServer, relay: Relay, tmp_path: Path) -> Iterator[Api]:
    server.create_database("dcron")
    database = Database.mariadb(
        [f"127.0.0.1:{relay.port}"],
        "dcron",
        server.user,
        server.password,
        None,
        answer_timeout=ANSWER_TIMEOUT,
    )
    migrations.migrate(database)
    now = SYSTEM.wall()
    users.add_user(database, "admin", users.Role.ADMIN, [], ["*"], now, "test")
    token = tokens.add_token(database, "admin", "test", None, now, "test").text
    ensemble = LocalEnsemble()
    coordinator = ensemble.session()
    coordinator.start(1.0)
    for root in paths.roots():
        coordinator.ensure(root)
    folder = tmp_path / "objects"
    services = Services(database, coordinator, DirectoryStore(folder), SYSTEM, ring=Ring.generate())
    opened = Api(services, ensemble, coordinator, folder, [], {"admin": token})
    opened.post("/jobs", {**COMMAND, "run_as": "dcron-job"})
    try:
        yield opened
    finally:
        relay.heal()
        coordinator.stop()
        ensemble.close()
        database.close()


def routes(api: Api) -> list[tuple[str, str]]:
    """Method and a path of every route but those that tell of health."""
    (app,) = [
        cell.cell_contents for cell in api.app.__closure__ if hasattr(cell.cell_contents, "routes")
    ]
    found = [(route.method, re.sub(r"<[^>]*>", "1", route.rule)) for route in app.routes]
    return [(method, path) for method, path in found if not path.startswith("/health/")]


def timed(api: Api, method: str, path: str, **more: object) -> tuple[Answer, float]:
    begin = time.monotonic()
    body = b"{}" if method in ("PUT", "PATCH") or path == "/jobs" and method == "POST" else b""
    if path == "/login":  # it knows by its body alone who asks
        body = b'{"name": "admin", "password": "correct horse battery"}'
    answer = api.call(method, path, body if method != "GET" else None, **more)
    return answer, time.monotonic() - begin


def is_unavailable(answer: Answer) -> bool:
    return (
        answer.status == 503
        and answer.headers["Content-Type"] == "application/problem+json"
        and int(answer.headers["Retry-After"]) > 0
        and answer.json["status"] == 503
    )


@pytest.mark.parametrize("how", ["cut", "swallow"])
def test_every_route_says_503_in_time_and_what_still_works(
    api: Api, relay: Relay, how: str
) -> None:
    getattr(relay, how)()
    first, took = timed(api, "GET", "/jobs")
    assert is_unavailable(first)
    assert took < LONGEST
    known = routes(api)
    assert len(known) > 10
    for method, path in known:
        answer, took = timed(api, method, path)
        assert is_unavailable(answer), (method, path, answer.body)
        assert took < LONGEST, (method, path)
        assert "/health/ready" in answer.json["detail"]
        assert "jobs go on firing" in answer.json["detail"]


def test_while_one_request_tries_a_database_that_hangs_the_others_are_answered_at_once(
    api: Api, relay: Relay
) -> None:
    relay.swallow()
    assert is_unavailable(timed(api, "GET", "/jobs")[0])
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: timed(api, "GET", "/jobs"), range(64)))
    assert all(is_unavailable(answer) for answer, _ in answers)
    slow = [took for _, took in answers if took > AT_ONCE]
    # One in HOLD seconds tries; all others need not wait.
    assert len(slow) <= 1 + max(took for _, took in answers) / HOLD


def test_without_a_token_it_is_401_even_then(api: Api, relay: Relay) -> None:
    relay.cut()
    timed(api, "GET", "/jobs")
    assert api.get("/jobs", user=None).status == 401
    assert api.get("/nowhere", user=None).status == 401


@pytest.mark.parametrize("how", ["cut", "swallow"])
def test_readiness_names_the_database_before_a_load_balancer_loses_patience(
    api: Api, relay: Relay, how: str
) -> None:
    assert api.get("/health/ready", user=None).status == 200
    getattr(relay, how)()
    answer, took = timed(api, "GET", "/health/ready", user=None)
    assert PATIENCE < PROBE
    assert took < DEADLINE  # that of the database itself, which other requests wait for
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert (answer.json["database"], answer.json["object_store"]) == ("ill", "ok")
    assert api.get("/health/live", user=None).status == 200


def test_the_database_is_found_again_without_a_restart(api: Api, relay: Relay) -> None:
    relay.swallow()
    assert is_unavailable(timed(api, "GET", "/jobs")[0])
    relay.heal()
    eventually(lambda: api.get("/jobs").status == 200)
    # A look that takes longer than its patience, on a busy machine, is ill once more.
    eventually(lambda: api.get("/health/ready", user=None).json["database"] == "ok")


def test_a_short_outage_is_waited_out(api: Api, relay: Relay) -> None:
    relay.cut()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(api.get, "/jobs")
        healed = threading.Timer(1.0, relay.heal)
        healed.start()
        assert asked.result().status == 200
        healed.join()


def test_a_database_that_only_reads_answers_reads(api: Api, server: mariadb.MariaDBServer) -> None:
    # The account of the test may do all but this.
    server.execute(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{server.user}'@'%'")
    server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON dcron.* TO '{server.user}'@'%'")
    api.services.database.close()
    server.execute("SET GLOBAL read_only = 1")
    try:
        assert api.get("/jobs").status == 200
        assert api.get("/schedule?expression=@daily").status == 200
        answer = api.post("/jobs", {**COMMAND, "run_as": "dcron-job"})
        assert is_unavailable(answer)
        assert "only read" in answer.json["detail"]
        assert api.get("/jobs/1").status == 200
    finally:
        server.execute("SET GLOBAL read_only = 0")
        server.execute(f"GRANT ALL ON *.* TO '{server.user}'@'%' WITH GRANT OPTION")


def test_without_zookeeper_reads_and_new_jobs_are_served_and_removals_are_503(api: Api) -> None:
    api.ensemble.disconnect(api.coordinator)
    assert api.get("/jobs/1").status == 200
    assert api.post("/jobs", {**COMMAND, "run_as": "dcron-job"}).status == 201
    assert is_unavailable(api.delete("/jobs/1"))
    assert api.get("/health/ready", user=None).json["coordinator"] == "ill"


def test_without_the_object_store_only_what_needs_a_file_is_503(api: Api) -> None:
    script = {"executable": "IyEvYmluL3NoCg==", "schedule": "@daily", "type": "script"}
    made = api.post("/jobs", {**script, "run_as": "dcron-job"}).json["id"]
    nowhere = ObjectStoreConfig(
        "s3", bucket="dcron", endpoint="http://127.0.0.1:1", access_key="a:b", secret_key="c" * 20
    )
    store = open_object_store(nowhere)
    without = replace(api, services=replace(api.services, object_store=store))
    assert is_unavailable(without.get(f"/jobs/{made}/executable"))
    refused = without.post("/jobs", {**script, "run_as": "dcron-job"})
    assert is_unavailable(refused)
    assert "object store" in refused.json["detail"]
    assert without.get(f"/jobs/{made}").status == 200
    assert without.post("/jobs", {**COMMAND, "run_as": "dcron-job"}).status == 201
    ready = without.get("/health/ready", user=None)
    assert (ready.status, ready.json["object_store"]) == (200, "ill")
