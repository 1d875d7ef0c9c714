"""From a claim to a Launch: get secrets and file, build what the launcher is asked to start.

The secrets of all that is begun together are fetched by one query (`flush`), before the files.
Their values stand in the Launch's environment from here on, and nowhere else.

Both are fetched on a pool's threads: they may take long, and hinder nobody. A store that does not
answer, or a disk without room, may be well again in a moment: such a fetch is not tried again
here, where it would hold a thread that others need, but told as late.

Every start of a claimed run comes by here, first or later attempt, so this is where arguments that
somebody gave are kept from an OS user as whom that somebody may not run them.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dcron_common.clock import Clock
from dcron_common.errors import DcronError, FileUnavailable, LaunchError
from dcron_common.job import JobType, Spec
from dcron_common.run import RunState
from dcron_worker import launching
from dcron_worker.book import OpenClaim
from dcron_worker.runner.model import Ended, Launch
from dcron_worker.vault import Vault

log = logging.getLogger(__name__)


SECRETS_AGAIN = 1.0  # seconds between two tries to get a secret: it may be about to be sealed
FETCH_AGAIN = 5.0  # seconds between two tries to get a file


class Late(NamedTuple):
    """A run that cannot be prepared now, why, and in how many seconds to try again."""

    opened: OpenClaim
    reason: str
    pause: float


class Preparing:
    """Called from the daemon's thread.

    `fetch` gives the file's path, or raises FileUnavailable where it may come later, or another
    DcronError. `tell` brings what the threads found to the daemon's: a launch that is ready, or an
    end without a start. `user_of` gives the OS user of a run, None for the daemon's own;
    LaunchError if the worker's allow-list does not have it. `vault` opens secrets.
    """

    def __init__(
        self,
        *,
        fetch: Callable[[Spec], Path],
        executor: Executor,
        tell: Callable[[Ended | Launch], None],
        user_of: Callable[[Spec], str | None],
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._wanting: list[tuple[OpenClaim, Spec]] = []  # secrets, at the next flush
        self._fetch = fetch
        self._executor = executor
        self._tell = tell
        self._user_of = user_of
        self._clock = clock
        self._accounts = launching.Accounts(clock.boot)
        self._under_way: set[str] = set()
        self._late: queue.SimpleQueue[Late] = queue.SimpleQueue()

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._under_way

    def begin(self, opened: OpenClaim) -> Ended | Launch | None:
        """What the launcher gets, or why it gets nothing; None: it is told later."""
        opened = replace(opened)  # file, arguments and user are of one revision: the book goes on
        why_not = _withheld(opened)
        if why_not is not None:
            return unstarted(opened, RunState.SKIPPED, why_not, self._clock.wall())
        spec = opened.spec
        if spec is None or not (spec.secrets or spec.type is not JobType.COMMAND):
            return self._built(opened, None, {})
        self._under_way.add(opened.claim.run_id)
        if spec.secrets:
            self._wanting.append((opened, spec))
        else:
            self._executor.submit(self._work, opened, spec, {})
        return None

    def flush(self) -> None:
        """Get the secrets of all that was begun since the last call."""
        if self._wanting:
            batch, self._wanting = self._wanting, []
            self._executor.submit(self._open, batch)

    def done(self, run_id: str) -> None:
        """What was told of this run has been heard."""
        self._under_way.discard(run_id)

    def late(self) -> list[Late]:
        """Runs whose file or secret cannot be had now."""
        found: list[Late] = []
        while True:
            try:
                one = self._late.get_nowait()
            except queue.Empty:
                return found
            self.done(one.opened.claim.run_id)
            found.append(one)

    def failed(self, opened: OpenClaim, reason: str) -> Ended:
        """The end of a run that cannot begin."""
        return unstarted(opened, RunState.FAILED, reason, self._clock.wall())

    def _open(self, batch: list[tuple[OpenClaim, Spec]]) -> None:
        names = sorted({name for _, spec in batch for name in spec.secrets})
        try:
            values, lacking = self._vault.values(names)
        except Exception:  # the top of the thread: the runs must not wait for ever
            log.exception("secrets could not be fetched")
            values, lacking = {}, dict.fromkeys(names, "its secrets could not be fetched")
        for opened, spec in batch:
            why = next((lacking[name] for name in spec.secrets if name in lacking), None)
            if why is not None:
                self._late.put(Late(opened, why, SECRETS_AGAIN))
            elif spec.type is JobType.COMMAND:
                self._tell(self._built(opened, None, values))
            else:
                self._executor.submit(self._work, opened, spec, values)

    def _work(self, opened: OpenClaim, spec: Spec, secrets: Mapping[str, str]) -> None:
        try:
            self._tell(self._built(opened, self._fetch(spec), secrets))
        except FileUnavailable as error:
            self._late.put(Late(opened, str(error), FETCH_AGAIN))
        except DcronError as error:
            self._tell(self.failed(opened, str(error)))
        except Exception as error:  # the top of the thread: the run must not wait for ever
            log.exception("run=%s its file could not be fetched", opened.claim.run_id)
            self._tell(self.failed(opened, f"the fetch failed: {error!r}"))

    def _built(
        self, opened: OpenClaim, executable: Path | None, secrets: Mapping[str, str]
    ) -> Ended | Launch:
        try:
            user = self._user_of(opened.spec) if opened.spec else None
            account = self._accounts.of(user)
            launch = launching.build(
                opened, executable, user=user, account=account, secrets=secrets
            )
            launch.check()
        except (LaunchError, OSError) as error:
            return self.failed(opened, str(error))
        return launch


def _withheld(opened: OpenClaim) -> str | None:
    """Why a run that was asked for with arguments is not started."""
    claim, spec = opened.claim, opened.spec
    if claim.arguments is None or spec is None:
        return None
    if claim.run_as != spec.run_as:
        before = claim.run_as or "an unknown user"
        return (
            f"it was asked for with arguments while the job ran as {before}, and the job runs as "
            f"{spec.run_as} by now: ask for it again"
        )
    new = sorted(set(spec.secrets) - set(claim.secrets))
    if new:
        return (
            "it was asked for with arguments before the job had the secrets "
            f"{', '.join(new)}: ask for it again"
        )
    return None


def unstarted(opened: OpenClaim, state: RunState, reason: str, at: float) -> Ended:
    """The end, at `at` (epoch seconds), of a run that has no process."""
    return Ended(
        run_id=opened.claim.run_id,
        state=state.value,
        started_at=None,
        finished_at=at,
        exit_code=None,
        signal=None,
        reason=reason,
        output_tail="",
        output_path="",
        output_size=0,
        truncated=False,
    )
