"""Idempotency-Key: a POST that may be repeated (draft-ietf-httpapi-idempotency-key-header).

The first request with a key is served; the same request again is answered as what became of it
says, with `Idempotent-Replayed: true`. A request that failed did nothing, so its key is free. What
cannot be known to be undone (`InDoubt`, a process that died) is done again only where that does no
harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

from bottle import HTTPResponse

from dcron_app.api import auth
from dcron_app.api.errors import RETRY_AFTER, InDoubt, Problem, invalid
from dcron_app.api.services import Services
from dcron_common.db import idempotency
from dcron_common.db.idempotency import Claim, Kept, Outcome
from dcron_common.errors import DatabaseError, DcronError
from dcron_common.ids import ulid

log = logging.getLogger(__name__)

KEY = "Idempotency-Key"
ONCE = {KEY: "the same request again, with the same key, is done once"}
REPLAYED = "Idempotent-Replayed"
QUOTED, BARE = r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"', r"([\x21\x23-\x5b\x5d-\x7e]{1,255})"
_KEY = re.compile(f"{QUOTED}|{BARE}")


class Once:
    """A request that is served once for its key; without a key whenever it comes."""

    def __init__(
        self,
        services: Services,
        environ: dict[str, Any],
        body: dict[str, Any],
        *,
        repeatable: bool = True,
        dry: bool = False,
    ) -> None:
        """`body`: what tells one request from another, beside its path. `repeatable`: done twice it
        does no more than done once. `dry`: the key is looked at, and not used up. Problem 400."""
        self._services = services
        now = services.clock.wall()
        claim = _claim_of(environ, body, ulid(now), repeatable)
        self.claim = None if dry else claim
        self._renewed = services.clock.boot()
        self._lost = False

    def answer(
        self, do: Callable[[], HTTPResponse], again: Callable[[Kept], HTTPResponse]
    ) -> HTTPResponse:
        """What `do` answers, which settles the key itself; `again` makes the answer of a
        repetition. Problem 409 or 422 where the key says so."""
        kept = self._claimed()
        if kept is not None:
            answer = again(kept)
            answer.set_header(REPLAYED, "true")
            return answer
        with self.released_on_error():
            return do()

    def act(
        self, do: Callable[[], HTTPResponse], again: Callable[[], HTTPResponse]
    ) -> HTTPResponse:
        """As `answer`, of what is done elsewhere than in one transaction: the key is settled
        afterwards. `again`: what was changed, as it is by then."""
        return self._afterwards(do, lambda _: again(), keeps=False)

    def tell(
        self, do: Callable[[], HTTPResponse], again: Callable[[str], HTTPResponse]
    ) -> HTTPResponse:
        """As `act`; the text of the first answer is kept, and given to `again`."""
        return self._afterwards(do, again, keeps=True)

    def _afterwards(
        self, do: Callable[[], HTTPResponse], again: Callable[[str], HTTPResponse], *, keeps: bool
    ) -> HTTPResponse:
        def kept() -> HTTPResponse:
            answer = do()
            self.keep(answer.body if keeps else b"")
            return answer

        return self.answer(kept, lambda found: again(found.answer or ""))

    def settle(self, kept: Kept) -> None:
        """Say what became of it; to be called in the transaction that does it."""
        if self.claim is not None:
            idempotency.settle(self.claim, kept)

    def keep(self, text: bytes) -> None:
        """Say what it was answered with. It is done, so a failure is no reason to say otherwise."""
        if self.claim is None:
            return
        try:
            idempotency.keep(self._services.database, self.claim, text.decode())
        except DatabaseError as error:
            log.warning("an answer was not kept user=%s: %s", self.claim.user, error)

    def renew(self) -> None:
        """Keep the key in hand; to be called again and again by what may take long. Problem 409,
        from then on each time: it was taken over, so another request does the rest."""
        now = self._services.clock.boot()
        if self.claim is None:
            return
        if not self._lost and now >= self._renewed + idempotency.RENEWED:
            database, wall = self._services.database, self._services.clock.wall()
            try:
                self._lost = not idempotency.renew(database, self.claim, wall)
                self._renewed = now
            except DatabaseError as error:  # it is ours for a while yet: the next call tries again
                log.warning("a key was not renewed user=%s: %s", self.claim.user, error)
        if self._lost:
            message = "this took so long that another request with the key was let in"
            raise _held_up(f"{message}, which does what is left", {})

    def release(self) -> None:
        """Nothing was done, or not all: the same request may be made again."""
        if self.claim is not None:
            with contextlib.suppress(DatabaseError):  # it is let go in time, too
                idempotency.release(self._services.database, self.claim)

    @contextlib.contextmanager
    def released_on_error(self) -> Iterator[None]:
        """Frees the key where nothing is done, as far as that is known."""
        try:
            yield
        except BaseException as error:
            undone = isinstance(error, DcronError) and not isinstance(error, InDoubt)
            if self.claim is not None and (undone or self.claim.repeatable):
                self.release()
            raise

    def _claimed(self) -> Kept | None:
        """What became of the first request; None: this is the first. Problem 409 or 422."""
        if self.claim is None:
            return None
        now = self._services.clock.wall()
        outcome, kept = idempotency.claim(self._services.database, self.claim, now)
        if outcome is Outcome.ANOTHER:
            raise invalid((KEY, "came with another request before; take a new key for a new one"))
        if outcome is Outcome.IN_HAND:
            message = "the first request with it is still being served; ask again"
            raise _held_up(message, {"Retry-After": RETRY_AFTER})
        if outcome is Outcome.IN_DOUBT:
            message = (
                "the first request with it was broken off, and may or may not have been done: "
                "look, and take a new key to have it done"
            )
            raise _held_up(message, {})
        return kept


def refuse_key(environ: dict[str, Any]) -> None:
    """For a POST that takes none: whoever sends a key counts on it. Problem 400."""
    if "HTTP_IDEMPOTENCY_KEY" in environ:
        message = (
            "is not taken here: a token's text is shown once and not kept, so the answer could not "
            "be given again; leave it out"
        )
        raise Problem(400, f"{KEY} {message}", errors=[(KEY, message)])


def _held_up(message: str, headers: dict[str, str]) -> Problem:
    return Problem(409, f"{KEY}: {message}", errors=[(KEY, message)], headers=headers)


def _claim_of(
    environ: dict[str, Any], body: dict[str, Any], incarnation: str, repeatable: bool
) -> Claim | None:
    """What the request's key claims; None without a key. Problem 400."""
    text = environ.get("HTTP_IDEMPOTENCY_KEY")
    if text is None:
        return None
    match = _KEY.fullmatch(text.strip())
    if match is None:
        message = "must be 1 to 255 printable characters in quotes, best a UUID"
        raise Problem(400, f"{KEY} {message}", errors=[(KEY, message)])
    asked = [auth.raw_path(environ), body]
    whole = json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()
    user, digest = auth.principal(environ).name, hashlib.sha256(whole).hexdigest()
    return Claim(user, match[1] or match[2], digest, incarnation, repeatable)
