"""Places for readers that follow outputs: each takes one of this process's threads for long."""

from __future__ import annotations

import threading
from collections import Counter

from dcron_app.api.errors import RETRY_AFTER, Problem, unavailable


class Readers:
    """`most` at once, and half of them at most of one user, so that nobody keeps out all others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._each = max(1, most // 2)
        self._of: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, user: str) -> None:
        """Take a place, until `leave`. Problem 503 where there is none, 429 where there is none of
        this user."""
        with self._lock:
            mine, all_together = self._of[user], self._of.total()
            if all_together < self._most and mine < self._each:
                self._of[user] += 1
                return
        if all_together >= self._most:
            raise unavailable(
                f"{self._most} readers follow outputs through this API process, which is as many "
                "as may: ask again, or read the output when the run has ended"
            )
        raise Problem(
            429,
            f"the user {user} follows {mine} outputs through this API process, which is as many as "
            "one may: end one of them, or read the output when the run has ended",
            headers={"Retry-After": RETRY_AFTER},
        )

    def leave(self, user: str) -> None:
        """Give a place back."""
        with self._lock:
            self._of[user] -= 1
            if self._of[user] <= 0:
                del self._of[user]
