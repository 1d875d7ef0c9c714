"""What is told to the client, page by page: events in their order, and what is known.

The next page goes when the client has taken the one before, so however much has gathered while
nobody listened, little of it stands in the channel at a time. Nothing here is lost with the
client: the next one is told again what was not acknowledged.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Container, Iterable
from typing import Any, TypeVar

from dcron_worker.runner.channel import Channel
from dcron_worker.runner.model import Ended, Started, to_json
from dcron_worker.runner.register import Entry, Register

# A message holds a page, or a single item that is larger by itself. Four bytes each at most.
PAGE_CHARACTERS = 1 << 20

T = TypeVar("T")


def page(items: Iterable[T], write: Callable[[T], Any]) -> list[T]:
    """The first items whose JSON fits a page together; one at least, if there is any."""
    taken: list[T] = []
    size = 0
    for item in items:
        size += len(json.dumps(write(item), ensure_ascii=False))
        if taken and size > PAGE_CHARACTERS:
            break
        taken.append(item)
    return taken


def known_page(register: Register, after: int) -> dict[str, Any]:
    """The entries of numbers above `after`; `next` is the `after` of the page that follows, None
    at the end. Entries that come or go between two pages move no others."""
    entries = page(register.after(after), _entry_json)
    more = entries and any(register.after(entries[-1].number))
    return {
        "entries": [_entry_json(entry) for entry in entries],
        "next": entries[-1].number if more else None,
    }


def _entry_json(entry: Entry) -> list[Any]:
    return [
        to_json(entry.launch),
        to_json(entry.started) if entry.started else None,
        to_json(entry.ended) if entry.ended else None,
    ]


class Outbox:
    """Events on their way to the channel's client."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: deque[Started | Ended] = deque()

    @property
    def ready(self) -> bool:
        """Whether the client can be told more at once."""
        return bool(self._waiting) and self._channel.drained

    def begin(self, results: Iterable[Ended]) -> None:
        """A new client has come: it is told these first."""
        self._waiting = deque(results)

    def add(self, events: Iterable[Started | Ended]) -> None:
        """What has just happened; without a client it is left to `begin`."""
        if self._channel.connected:
            self._waiting.extend(events)

    def send(self, known: Container[str]) -> None:
        """Tell the next page if the client has taken the last one. Ends of runs that are not
        `known` any more were acknowledged meanwhile, and are left out."""
        if not self._channel.connected:
            self._waiting.clear()
        if not self.ready:
            return
        told = page(self._waiting, to_json)
        for _ in told:
            self._waiting.popleft()
        events = [x for x in told if isinstance(x, Started) or x.run_id in known]
        if events:
            self._channel.send({"events": [[type(x).__name__, to_json(x)] for x in events]})
