"""What is recorded of a lab: one JSON file under /run, replaced whole, written before the deed.

A lab whose state is lost or unreadable is still found by its name (see teardown).
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab import names
from lab.errors import LabError, NotFound

VERSION = 1
LOCKS = Path("/run/lock")


@dataclass
class Host:
    """A host as recorded: the pid of its nspawn and when that started, in clock ticks.

    `ready` is false from the start of a boot until all of it is done; a host that an interrupted
    boot left so is booted again.
    """

    pid: int | None = None
    started: int | None = None
    ready: bool = True


@dataclass
class Lab:
    """A lab as recorded. `index` is the n of 10.77.<n>.0/24, `base` the folder of its system."""

    name: str
    index: int
    folder: str
    base: str
    hosts: dict[str, Host] = field(default_factory=dict)
    cuts: list[list[str]] = field(default_factory=list)
    version: int = VERSION

    def address(self, host: str) -> str:
        """The address of a host of this lab."""
        return names.address(self.index, host)

    def known(self, wanted: list[str]) -> list[str]:
        """Return `wanted` if all are hosts of this lab, else raise NotFound."""
        for host in wanted:
            if host not in self.hosts:
                raise NotFound(
                    f"lab {self.name} has no host {host!r}; it has {', '.join(sorted(self.hosts))}"
                )
        return wanted


def path(name: str) -> Path:
    """Where the state of a lab stands."""
    return names.run_dir(name) / "state.json"


def decode(text: str) -> Lab:
    """Read a lab's state from its JSON; raise LabError if it is not of this version."""
    try:
        raw = json.loads(text)
        if raw.get("version") != VERSION:
            raise LabError(f"state of version {raw.get('version')!r}, not {VERSION}")
        raw["hosts"] = {host: Host(**fields) for host, fields in raw["hosts"].items()}
        return Lab(**raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"unreadable state: {error}") from error


def encode(lab: Lab) -> str:
    """Write a lab's state as JSON."""
    return json.dumps(asdict(lab), indent=1, sort_keys=True) + "\n"


def load(name: str) -> Lab | None:
    """The lab's state, or None where there is none that can be used."""
    try:
        return decode(path(name).read_text())
    except (FileNotFoundError, NotADirectoryError, LabError):
        return None


def need(name: str) -> Lab:
    """The lab's state; raise NotFound if the lab is not up."""
    lab = load(name)
    if lab is None:
        raise NotFound(f"lab {name} is not up: LAB={name} bin/lab up makes it")
    return lab


def save(lab: Lab) -> None:
    """Replace the lab's state."""
    target = path(lab.name)
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_text(encode(lab))
    part.rename(target)


def every() -> dict[str, Lab]:
    """All labs on this machine whose state can be read."""
    found = (load(entry.name) for entry in sorted(names.RUN.glob("*")) if entry.is_dir())
    return {lab.name: lab for lab in found if lab is not None}


@contextmanager
def lock(name: str, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `name`; it is removed afterwards, so that nothing is left behind.

    Yields whether it is held: always, unless `wait` is false and another process has it. The
    kernel takes it from a process that dies.
    """
    file = LOCKS / f"dcron-lab-{name}"
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(file, wait)
    if descriptor is None:
        yield False
        return
    try:
        yield True
    finally:
        file.unlink()
        os.close(descriptor)


def _locked(file: Path, wait: bool) -> int | None:
    while True:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        # Another holder may have removed the file while this one waited for it.
        if file.exists() and file.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)
