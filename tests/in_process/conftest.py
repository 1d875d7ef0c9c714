"""What several of these tests need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dcron_app.api.services import Services, Settings
from dcron_common.db import tokens, users
from dcron_common.object_store.directory import DirectoryStore
from dcron_common.settings import RetentionConfig
from tests.in_process.rounds import Rounds
from tests.in_process.world import START, World
from tests.unit.app.api_client import Api


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.ensemble.close()
    world.database.close()


@pytest.fixture
def api(world: World, tmp_path: Path) -> Iterator[Api]:
    """The API on the world, with a session of its own and an admin."""
    session = world.ensemble.session()
    session.start(1)
    users.add_user(world.database, "ann", users.Role.ADMIN, [], ["*"], START, "test")
    token = tokens.add_token(world.database, "ann", "test", None, START, "test").text
    folder = tmp_path / "objects"
    services = Services(
        world.database,
        session,
        DirectoryStore(folder),
        world.time.clock(),
        Settings(),
        ring=world.ring,
    )
    yield Api(services, world.ensemble, session, folder, [], {"admin": token})
    session.stop()


@pytest.fixture
def rounds(world: World) -> Callable[..., Rounds]:
    """Makes rounds by these bounds; what is not given is turned off."""

    def make(**config: int | None) -> Rounds:
        none = {"run_days": None, "runs_per_job": None, "removed_job_days": None}
        return Rounds(world, RetentionConfig(**{**none, **config}))

    return make
