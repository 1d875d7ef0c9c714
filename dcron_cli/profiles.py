"""The clusters that a user has logged in to: config.toml in the user's configuration folder.

It holds tokens: the file has mode 0600, its folder 0700, and what others can read is refused
rather than repaired, since what was read stays read. It is replaced whole, so that a reader sees
the file before or after, and a power cut leaves one of the two. All failures are ConfigError.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dcron_cli.config import Target, checked_ca, checked_url
from dcron_cli.files import replace_file
from dcron_common import config_file
from dcron_common.errors import ConfigError

FILE = "config.toml"
DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEYS = ("url", "ca", "user", "token", "expires_at", "by_password")


@dataclass(frozen=True, slots=True)
class Profile:
    """A cluster, and who its user is there. `by_password`: the token was made by a login, so a
    logout ends it; else it was made by somebody else, and stays."""

    name: str
    url: str
    ca: str | None = None
    user: str | None = None
    token: str | None = field(default=None, repr=False)
    expires_at: str | None = None
    by_password: bool = False

    def target(self) -> Target:
        """What a command talks to by this profile."""
        where = f"profile {self.name}"
        ca = None if self.ca is None else checked_ca(self.ca, where)
        return Target(checked_url(self.url, where), self.token, ca, where)


@dataclass(frozen=True, slots=True)
class Profiles:
    """All of them by name; `current` is used where none is named."""

    current: str | None = None
    known: dict[str, Profile] = field(default_factory=dict)

    def get(self, name: str) -> Profile:
        """ConfigError if there is none of this name."""
        if name not in self.known:
            have = ", ".join(sorted(self.known)) or "none yet"
            raise ConfigError(
                f"there is no profile {name!a} (known: {have}); make it by: "
                f"dcron login --profile {checked_name(name)} --url https://..."
            )
        return self.known[name]

    def having(self, profile: Profile) -> Profiles:
        """With this one, which becomes the current one."""
        return Profiles(profile.name, {**self.known, profile.name: profile})

    def using(self, name: str) -> Profiles:
        """With another current one."""
        return replace(self, current=self.get(name).name)

    def without(self, name: str) -> Profiles:
        """Without this one."""
        self.get(name)
        known = {key: one for key, one in self.known.items() if key != name}
        return Profiles(None if self.current == name else self.current, known)


def checked_name(name: str) -> str:
    """A profile's name. ConfigError."""
    if _NAME.fullmatch(name) is None:
        raise ConfigError(f"{name!a} is no profile's name; write letters, digits, '_' and '-'")
    return name


def load(folder: Path) -> Profiles:
    """The profiles; none where there is no file."""
    path = folder / FILE
    try:
        _check_private(folder, 0o700)
        _check_private(path, 0o600)
    except FileNotFoundError:
        return Profiles()
    values = config_file.read(path)
    stored = values.get("profiles", {})
    if not isinstance(stored, dict) or not all(isinstance(one, dict) for one in stored.values()):
        raise ConfigError(f"{path}: profiles: is no table; remove the file and log in again")
    known = {name: _profile(path, name, one) for name, one in stored.items()}
    current = values.get("current")
    return Profiles(current if current in known else None, known)


def _check_private(path: Path, mode: int) -> None:
    """ConfigError where others may look; FileNotFoundError where there is nothing."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if status.st_uid != os.geteuid():
        raise ConfigError(f"{path}: belongs to another user; it holds tokens: remove or chown it")
    if status.st_mode & 0o077:
        raise ConfigError(
            f"{path}: is open to other users and holds tokens: chmod {mode:o} {path}, and if "
            "somebody may have read it, log in again"
        )


def _profile(path: Path, name: str, values: dict[str, Any]) -> Profile:
    checked_name(name)
    for key, value in values.items():
        if key not in _KEYS:
            raise ConfigError(f"{path}: profiles.{name}.{key}: is unknown; take it out")
        if not isinstance(value, bool if key == "by_password" else str):
            raise ConfigError(f"{path}: profiles.{name}.{key}: has a bad value; log in again")
    if "url" not in values:
        raise ConfigError(f"{path}: profiles.{name}.url: is missing; log in again")
    return Profile(name, **values)


def save(folder: Path, profiles: Profiles) -> None:
    """Replace the file by these profiles."""
    path = folder / FILE
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _check_private(folder, 0o700)
        replace_file(path, _toml(profiles).encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def _toml(profiles: Profiles) -> str:
    return "\n".join(_toml_lines(profiles)) + "\n"


def _toml_lines(profiles: Profiles) -> Iterator[str]:
    yield "# written by dcron login; it holds tokens"
    if profiles.current is not None:
        yield f"current = {_quoted(profiles.current)}"
    for name, profile in sorted(profiles.known.items()):
        yield f"\n[profiles.{checked_name(name)}]"
        for key in _KEYS:
            value = getattr(profile, key)
            if isinstance(value, bool):
                yield f"{key} = {str(value).lower()}"
            elif value is not None:
                yield f"{key} = {_quoted(value)}"


def _quoted(text: str) -> str:
    """A TOML string; what is printable is written in it as in JSON."""
    if not text.isprintable():
        raise ConfigError(f"{text!a} cannot stand in a profile: it holds a control character")
    return json.dumps(text, ensure_ascii=False)
