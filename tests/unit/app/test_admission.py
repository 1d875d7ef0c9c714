"""P18: a node registers under its own name, once it is admitted, and touches no other's."""

from collections.abc import Sequence

import pytest

from dcron_app.manager.admission import StillRegistered, admit, carry_out, dismiss
from dcron_common import paths
from dcron_common.coordinator.contract import Operation, OperationResult
from dcron_common.coordinator.local import LocalEnsemble
from dcron_common.errors import CoordinatorError, NoAuth


@pytest.fixture
def ensemble() -> LocalEnsemble:
    return LocalEnsemble()


def test_p18_a_node_that_is_not_admitted_cannot_register(ensemble: LocalEnsemble) -> None:
    app, node = ensemble.session(), ensemble.session("node1")
    app.start(1)
    node.start(1)
    app.ensure(paths.WORKERS)
    with pytest.raises(NoAuth):
        node.create(paths.worker("node1"))


def test_p18_an_admitted_node_registers_and_no_other_in_its_stead(ensemble: LocalEnsemble) -> None:
    app, node, other = ensemble.session(), ensemble.session("node1"), ensemble.session("node2")
    for session in (app, node, other):
        session.start(1)
    assert admit(app, "node1")
    assert not admit(app, "node1"), "once is enough"
    with pytest.raises(NoAuth):
        other.create(paths.registration("node1"), ephemeral=True)
    node.create(paths.registration("node1"), ephemeral=True)
    with pytest.raises(NoAuth):
        other.delete(paths.registration("node1"))
    with pytest.raises(NoAuth):
        other.set(paths.registration("node1"), b"{}")


def test_p18_a_dismissed_node_registers_no_more(ensemble: LocalEnsemble) -> None:
    app, node = ensemble.session(), ensemble.session("node1")
    for session in (app, node):
        session.start(1)
    admit(app, "node1")
    node.create(f"{paths.worker('node1')}/left-behind")
    assert dismiss(app, "node1")
    assert not dismiss(app, "node1"), "once is enough"
    for path in (paths.worker("node1"), paths.registration("node1")):
        with pytest.raises(CoordinatorError):
            node.create(path, ephemeral=True)
    assert admit(app, "node1")
    node.create(paths.registration("node1"), ephemeral=True)


def test_a_worker_that_lives_is_not_dismissed(ensemble: LocalEnsemble) -> None:
    app, node = ensemble.session(), ensemble.session("node1")
    for session in (app, node):
        session.start(1)
    admit(app, "node1")
    node.create(paths.registration("node1"), ephemeral=True)
    with pytest.raises(StillRegistered, match="stop it"):
        dismiss(app, "node1")
    ensemble.expire(node.session_id)
    assert dismiss(app, "node1")


def test_a_worker_that_registers_meanwhile_is_not_dismissed(
    ensemble: LocalEnsemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, node = ensemble.session(), ensemble.session("node1")
    for session in (app, node):
        session.start(1)
    admit(app, "node1")
    commit = app.commit

    def overtaken(operations: Sequence[Operation]) -> list[OperationResult]:
        node.create(paths.registration("node1"), ephemeral=True)
        return commit(operations)

    monkeypatch.setattr(app, "commit", overtaken)
    with pytest.raises(StillRegistered, match="stop it"):
        dismiss(app, "node1")
    assert node.exists(paths.registration("node1")) is not None


def test_a_daemon_of_an_earlier_release_is_to_be_stopped_before_it_is_admitted(
    ensemble: LocalEnsemble,
) -> None:
    app, old = ensemble.session(), ensemble.session()
    for session in (app, old):
        session.start(1)
    app.ensure(paths.WORKERS)
    old.create(paths.worker("node1"), ephemeral=True)  # where it registered then
    said = carry_out(admit, app, ["node1", "node2"], "admitted")
    assert next(said) == "node2: admitted", "the others are admitted all the same"
    with pytest.raises(CoordinatorError, match="node1 is registered by .* earlier release.* stop"):
        next(said)
    ensemble.expire(old.session_id)
    said = carry_out(admit, app, ["node1", "node2"], "admitted")
    assert list(said) == ["node1: admitted", "node2: no change"]
