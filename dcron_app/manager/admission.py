"""Who may be a worker: a place below /workers that only a node of that name can write (P18).

A node proves its name by its certificate. It cannot make the place itself, or one that was taken
over could pose as any other, or make others look gone. Without the place its certificate is of no
use for it, however long that is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dcron_common import paths, timing
from dcron_common.coordinator.contract import Coordinator, Delete, Operation, shared_with
from dcron_common.errors import CoordinatorError, NotEmpty, TransactionFailed

_GONE = f"{timing.SESSION:.0f} s"  # after this long the registration of a daemon is gone


class StillRegistered(CoordinatorError):
    """The worker lives, or a daemon of an earlier release does; the message says the remedy."""


def admit(coordinator: Coordinator, name: str) -> bool:
    """Let a node register as worker `name`; False if it could before.

    StillRegistered; CoordinatorError.
    """
    path = paths.worker(name)
    stat = coordinator.exists(path)
    if stat is not None and stat.ephemeral_owner:
        raise StillRegistered(
            "is registered by a daemon of an earlier release, and is not admitted: "
            f"`systemctl stop dcron-worker` there, wait {_GONE}, then admit it"
        )
    if stat is not None:
        return False
    coordinator.ensure(paths.WORKERS)
    coordinator.ensure(path, shared_with(name, "rcd"))
    return True


def dismiss(coordinator: Coordinator, name: str) -> bool:
    """Take the admission of worker `name` back; False if it had none.

    StillRegistered; CoordinatorError. A worker that registers meanwhile keeps its place.
    """
    path = paths.worker(name)
    coordinator.sync()
    stat = coordinator.exists(path)
    if stat is None:
        return False
    names = coordinator.children(path)
    if stat.ephemeral_owner or coordinator.exists(paths.registration(name)) is not None:
        raise _lives()
    # What else the node may have left in its place would keep the place.
    left: list[Operation] = [Delete(f"{path}/{one}") for one in names]
    try:
        coordinator.commit([*left, Delete(path)])
    except TransactionFailed as error:
        if isinstance(error.cause, NotEmpty) and error.index == len(left):
            raise _lives() from error
        raise
    return True


def _lives() -> StillRegistered:
    return StillRegistered(
        "is registered: drain it, then stop it (`systemctl disable --now dcron-worker` there, or "
        f"cut the host off), wait {_GONE}, then dismiss it"
    )


def carry_out(
    action: Callable[[Coordinator, str], bool],
    coordinator: Coordinator,
    names: Sequence[str],
    done: str,
) -> Iterator[str]:
    """Do it for each name, and say for each: `done`, or that nothing changed.

    CoordinatorError names, after all others were done, those for which it could not be done.
    """
    refused = []
    for name in names:
        try:
            yield f"{name}: {done if action(coordinator, name) else 'no change'}"
        except StillRegistered as error:
            refused.append(f"{name} {error}")
    if refused:
        raise CoordinatorError("; ".join(refused))
