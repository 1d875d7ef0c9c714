"""Reading one TOML file key by key: every refusal names the file, the key and the remedy.

A `Table` hands out each key once, checked; what nobody asked for is unknown, and `close` says so.
All failures are ConfigError. No value of a secret ever stands in a message.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from dcron_common.errors import ConfigError

# Secrets that stand in examples, manuals and first tries. Compared in small letters, without
# what people put around them.
_WELL_KNOWN = {
    "admin", "changeit", "changeme", "default", "dcron", "example", "letmein", "minioadmin",
    "mysecret", "none", "null", "passwd", "password", "placeholder", "replace", "replaceme",
    "root", "secret", "secretkey", "test", "testing", "todo", "yoursecret", "yourpassword",
}  # fmt: skip
_MIN_SECRET = 12
_READ, _WRITE, _ENTER = 0o004, 0o002, 0o001  # what a mode gives to others
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f]*")


def read(path: Path) -> dict[str, Any]:
    """The file's values; ConfigError if it cannot be read, is no TOML, or anybody may write it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        if _others_may(_WRITE, path):
            raise ConfigError(f"{path}: every user of this host may write it; chmod o= {path}")
        return values
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); name the right file with --config, "
            "and run as the user that may read it"
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML in UTF-8: {error}") from error


def _others_may(wish: int, path: Path) -> bool:
    """Whether every user of this host may do this to a file: its mode says so, and no folder above
    keeps them out. OSError."""
    if not path.stat().st_mode & wish:
        return False
    return all(folder.stat().st_mode & _ENTER for folder in path.resolve().parents)


def split_host(text: str) -> tuple[str, int]:
    """`name:port` or `[v6]:port` as name (without brackets) and port; ConfigError if it is not."""
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ConfigError(f"{text!r} is not an address; write name:port, such as ctl1:2281")
    return found["name"].strip("[]"), int(found["port"])


class Table:
    """One `[section]` of a file, or the file itself (`name` is then empty)."""

    def __init__(self, path: Path, name: str, values: dict[str, Any]) -> None:
        self._path = path
        self._name = name
        self._values = values
        self._asked: set[str] = set()

    def section(self, key: str) -> Table:
        """A section that must be there."""
        value = self._take(key)
        if not isinstance(value, dict):
            self.refuse(key, f"is missing; add a section [{key}]")
        return Table(self._path, key, value)

    def optional_section(self, key: str) -> Table:
        """A section whose keys all have defaults: it may be left out."""
        return self.section(key) if key in self._values else Table(self._path, key, {})

    def text(self, key: str, default: str | None = None, choices: Iterable[str] = ()) -> str:
        """A text, not empty, without control characters; one of `choices` if they are given."""
        value = self._text(key, default)
        allowed = tuple(choices)
        if allowed and value not in allowed:
            self.refuse(key, f"is {value!r}; write one of: {', '.join(allowed)}")
        return value

    def matching(self, key: str, pattern: str, remedy: str, default: str | None = None) -> str:
        """A text that is wholly of this pattern."""
        value = self._text(key, default)
        if re.fullmatch(pattern, value) is None:
            self.refuse(key, f"is {value!r}; {remedy}")
        return value

    def optional(self, key: str) -> str | None:
        """A text, or None where the key is left out."""
        return self._text(key, None) if key in self._values else self._take(key)

    def path(self, key: str, default: str | None = None) -> Path:
        """An absolute path. Whether it exists is for its user to find out."""
        value = self._text(key, default)
        if not PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
            self.refuse(key, f"is {value!r}; write an absolute path without '..'")
        return Path(value)

    def optional_path(self, key: str) -> Path | None:
        """An absolute path, or None where the key is left out."""
        return self.path(key) if key in self._values else self._take(key)

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number in [low, high]."""
        value = self._take(key)
        if value is None:
            value = default
        if value is None:
            self.refuse(key, f"is missing; write a whole number from {low} to {high}")
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(key, f"must be a whole number from {low} to {high}, without quotes")
        if not low <= value <= high:
            self.refuse(key, f"is {value}; it must be from {low} to {high}")
        return value

    def integer_or_never(self, key: str, high: int, default: int) -> int | None:
        """A whole number in [1, high]; None for "never" or 0."""
        if self._values.get(key) == "never":
            self._take(key)
            return None
        if isinstance(self._values.get(key), str):
            self.refuse(key, f'must be a whole number from 1 to {high}, or "never"')
        return self.integer(key, 0, high, default) or None

    def strings(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts, none of them empty or twice; not empty itself unless that is default."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, 'must be a list of texts, such as ["one", "two"]')
        if not all(item and _PLAIN.fullmatch(item) for item in value):
            self.refuse(key, "holds an empty text or a control character; take it out")
        if len(set(value)) != len(value):
            self.refuse(key, "names one entry twice; take one out")
        if not value and default != ():
            self.refuse(key, "is empty; write at least one entry")
        return tuple(value)

    def hosts(self, key: str) -> tuple[str, ...]:
        """A list of `name:port`."""
        for entry in (entries := self.strings(key)):
            try:
                split_host(entry)
            except ConfigError as error:
                self.refuse(key, str(error))
        return entries

    def labels(self, key: str) -> dict[str, str]:
        """A table of texts; empty where it is left out."""
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            self.refuse(key, 'must be a table of texts, such as {rack = "a1"}')
        for name, text in value.items():
            if re.fullmatch(r"[A-Za-z0-9._/-]{1,63}", name) is None:
                self.refuse(key, f"has a label {name!r}; use letters, digits, '.', '_', '/', '-'")
            if len(text) > 255 or _PLAIN.fullmatch(text) is None:
                self.refuse(key, f"has a bad value for {name!r}; at most 255 plain characters")
        return dict(value)

    def secret(self, key: str) -> str:
        """A text that no manual prints: long enough, none of the well-known ones, and in a file
        that not everybody can read."""
        value = self._take(key)
        remedy = "generate one, such as with: openssl rand -hex 20"
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, f"is missing or empty; {remedy}")
        bare = re.sub(r"[^a-z]", "", value.lower())
        if bare in _WELL_KNOWN or value.lower().startswith(("changeme", "change-me", "change_me")):
            self.refuse(key, f"is a well-known default; {remedy}")
        if len(value) < _MIN_SECRET or len(set(value)) < 5:
            self.refuse(key, f"is too weak ({_MIN_SECRET} varied characters at least); {remedy}")
        if _PLAIN.fullmatch(value) is None:
            self.refuse(key, f"holds a control character; {remedy}")
        if self._is_open():
            why = (
                f"is a secret, and every user of this host may read the file; chmod o= {self._path}"
            )
            self.refuse(key, why)
        return value

    def close(self) -> None:
        """Call when every key was asked for: whatever else stands there is a mistake."""
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                known = f"did you mean {near[0]!r}?" if near else (
                    f"known are: {', '.join(sorted(self._asked))}"
                )  # fmt: skip
                self.refuse(key, f"is unknown; take it out, or {known}")

    def refuse(self, key: str, why: str) -> NoReturn:
        """Raise the ConfigError for this key."""
        raise ConfigError(f"{self._path}: {self._name + '.' if self._name else ''}{key}: {why}")

    def _is_open(self) -> bool:
        try:
            return _others_may(_READ, self._path)
        except OSError as error:
            raise ConfigError(f"{self._path}: is gone ({error.strerror}); try again") from error

    def _take(self, key: str) -> Any:
        self._asked.add(key)
        return self._values.get(key)

    def _text(self, key: str, default: str | None) -> str:
        value = self._take(key)
        if value is None:
            value = default
        if value is None:
            self.refuse(key, "is missing; add it")
        if not isinstance(value, str):
            self.refuse(key, "must be a text in quotes")
        if not value.strip() or _PLAIN.fullmatch(value) is None:
            self.refuse(key, "is empty or holds a control character; write a plain text")
        return value
