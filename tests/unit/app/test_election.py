"""One candidate has one node, whatever answers and sessions are lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dcron_app.manager.election import Election
from dcron_common import paths
from dcron_common.coordinator.contract import APP, Access
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.errors import BadVersion, ConnectionLost, NoNode, TransactionFailed


class Unlucky(LocalCoordinator):
    """A real session to which something happens: after its next sync, or its next create.

    It has no number from `lose_number` until its next request.
    """

    def __init__(self, ensemble: LocalEnsemble) -> None:
        super().__init__(ensemble, APP)
        self.after_sync: Callable[[], None] | None = None
        self.after_create: Callable[[], None] | None = None
        self.between_sessions = False

    @property
    def session_id(self) -> int:
        return 0 if self.between_sessions else super().session_id

    def sync(self, path: str = "/") -> None:
        super().sync(path)
        happens, self.after_sync = self.after_sync, None
        if happens:
            happens()

    def children(self, path: str) -> list[str]:
        self.between_sessions = False
        return super().children(path)

    def lose_number(self) -> None:
        self.between_sessions = True

    def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        ephemeral: bool = False,
        sequence: bool = False,
        access: Access | None = None,
    ) -> str:
        made = super().create(path, data, ephemeral=ephemeral, sequence=sequence, access=access)
        happens, self.after_create = self.after_create, None
        if happens:
            happens()
        return made


def lose_the_answer() -> None:
    raise ConnectionLost("no answer")


@pytest.fixture
def ensemble() -> Iterator[LocalEnsemble]:
    ensemble = LocalEnsemble()
    session = ensemble.session()
    session.start(0)
    session.ensure(paths.ELECTION)
    session.ensure(paths.EPOCH)
    session.stop()
    yield ensemble
    ensemble.close()


@pytest.fixture
def session(ensemble: LocalEnsemble) -> Unlucky:
    session = Unlucky(ensemble)
    session.start(0)
    return session


def candidates(session: LocalCoordinator) -> list[str]:
    return session.children(paths.ELECTION)


def other_candidate(ensemble: LocalEnsemble) -> Election:
    session = ensemble.session()
    session.start(0)
    return Election(session, "other")


def test_the_first_of_two_leads_and_the_second_follows_it(
    ensemble: LocalEnsemble, session: Unlucky
) -> None:
    first, second = Election(session, "first"), other_candidate(ensemble)
    assert first.leads()
    assert not second.leads()
    first.step_down()
    assert second.leads()
    with pytest.raises(NoNode):
        _ = first.proof


def test_a_node_whose_making_was_not_answered_is_adopted(
    ensemble: LocalEnsemble, session: Unlucky
) -> None:
    election = Election(session, "m")
    session.after_create = lose_the_answer
    with pytest.raises(ConnectionLost):
        election.leads()
    assert election.leads()
    assert len(candidates(session)) == 1
    assert not other_candidate(ensemble).leads()


def test_of_several_nodes_of_one_session_the_lowest_stays(session: Unlucky) -> None:
    for _ in range(3):
        session.create(f"{paths.ELECTION}/n-", ephemeral=True, sequence=True)
    assert Election(session, "m").leads()
    assert candidates(session) == ["n-0000000000"]


def test_nodes_of_other_sessions_are_left_alone(ensemble: LocalEnsemble, session: Unlucky) -> None:
    other = other_candidate(ensemble)
    assert other.leads()
    election = Election(session, "m")
    assert not election.leads()
    assert other.leads()
    assert len(candidates(session)) == 2


def test_an_unknown_node_of_ours_that_shows_late_does_not_block_the_election(
    ensemble: LocalEnsemble, session: Unlucky
) -> None:
    session.create(f"{paths.ELECTION}/n-", ephemeral=True, sequence=True)
    election = Election(session, "m")
    election._node, election._session = "n-0000000001", session.session_id
    session.create(f"{paths.ELECTION}/n-", ephemeral=True, sequence=True)
    assert not election.leads()
    assert election.leads()
    assert candidates(session) == ["n-0000000000"]


def test_a_session_that_ends_with_the_answer_leaves_no_second_node(
    ensemble: LocalEnsemble, session: Unlucky
) -> None:
    def end_and_lose() -> None:
        ensemble.expire(session.session_id)
        lose_the_answer()

    election = Election(session, "m")
    session.after_create = end_and_lose
    with pytest.raises(ConnectionLost):
        election.leads()
    assert election.leads()
    assert len(candidates(session)) == 1


def test_a_session_that_ends_right_after_the_create_is_noticed(
    ensemble: LocalEnsemble, session: Unlucky
) -> None:
    election = Election(session, "m")
    session.after_create = lambda: ensemble.expire(session.session_id)
    assert not election.leads()
    assert election.leads()
    assert len(candidates(session)) == 1


def test_a_session_that_changes_before_the_create_owns_the_node(
    ensemble: LocalEnsemble, session: Unlucky
) -> None:
    election = Election(session, "m")
    session.after_sync = lambda: ensemble.expire(session.session_id)
    assert election.leads()
    assert election.leads()
    assert len(candidates(session)) == 1


def test_a_node_made_while_the_session_had_no_number_is_not_made_twice(session: Unlucky) -> None:
    election = Election(session, "m")
    session.after_sync = session.lose_number
    assert election.leads()
    assert election.leads()
    assert len(candidates(session)) == 1


def test_the_end_of_a_leaders_session_is_told_and_its_proof_is_void(
    ensemble: LocalEnsemble, session: Unlucky, caplog: pytest.LogCaptureFixture
) -> None:
    election = Election(session, "m")
    assert election.leads()
    proof = election.proof
    ensemble.expire(session.session_id)
    assert other_candidate(ensemble).leads()
    assert not election.leads()
    assert "manager=m no longer leads" in caplog.text
    with pytest.raises(TransactionFailed) as caught:
        session.commit([proof])
    assert isinstance(caught.value.cause, BadVersion)
    with pytest.raises(NoNode):
        _ = election.proof


def test_a_leader_whose_node_was_removed_joins_again(
    session: Unlucky, caplog: pytest.LogCaptureFixture
) -> None:
    election = Election(session, "m")
    assert election.leads()
    session.delete(f"{paths.ELECTION}/{candidates(session)[0]}")
    assert not election.leads()
    assert "manager=m no longer leads" in caplog.text
    assert election.leads()
