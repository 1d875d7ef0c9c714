"""What the doctor reads of a worker in ZooKeeper's tree, by the worker's own rights."""

from __future__ import annotations

import pytest

from dcron_app.manager.admission import admit
from dcron_cli.doctor.facts import ZooKeeper
from dcron_cli.doctor.look_services import asked
from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import shared_with
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_worker.membership import Membership
from tests.unit.cli.well import NOW, REGISTRATION

NAME = REGISTRATION.worker


@pytest.fixture
def ensemble() -> LocalEnsemble:
    return LocalEnsemble()


@pytest.fixture
def app(ensemble: LocalEnsemble) -> LocalCoordinator:
    session = ensemble.session()
    session.start(1)
    for root in paths.roots():
        session.ensure(root)
    return session


def look(ensemble: LocalEnsemble) -> ZooKeeper:
    """As `dcron doctor` on the worker's node looks."""
    node = ensemble.session(NAME)
    node.start(1)
    return asked(node, {}, {}, NAME)


def register(ensemble: LocalEnsemble) -> None:
    """As the worker's daemon does."""
    node = ensemble.session(NAME)
    node.start(1)
    clock = Clock(wall=lambda: NOW, boot=lambda: 100.0)
    Membership(node, REGISTRATION, clock, renew=lambda _: None, on_session=lambda: None).register()


def test_a_node_that_was_never_admitted_is_told_from_one_that_is_away(
    ensemble: LocalEnsemble, app: LocalCoordinator
) -> None:
    assert (look(ensemble).admitted, look(ensemble).registered) == (False, None)
    admit(app, NAME)
    assert (look(ensemble).admitted, look(ensemble).registered) == (True, None)


def test_an_admitted_and_registered_worker_is_seen_with_what_it_says_of_itself(
    ensemble: LocalEnsemble, app: LocalCoordinator
) -> None:
    admit(app, NAME)
    register(ensemble)
    seen = look(ensemble).registered
    assert seen is not None
    assert (seen.worker, seen.address, seen.boot_id) == (NAME, "10.0.0.21", REGISTRATION.boot_id)


def test_what_is_assigned_to_a_worker_is_seen_by_its_jobs(
    ensemble: LocalEnsemble, app: LocalCoordinator
) -> None:
    admit(app, NAME)
    app.ensure(paths.assignments(NAME), shared_with(NAME, "r"))
    for slot in (paths.Slot(7), paths.Slot(8, NAME)):
        app.create(paths.assignment(NAME, slot, 3))
    assert look(ensemble).assigned == {7, 8}
