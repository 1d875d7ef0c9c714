"""The key ring of the control nodes: what encrypts the values of secrets at rest.

A text of lines: a key each, 64 hex digits, and lines that begin with `#`. The first key encrypts,
all decrypt, so that keys can be rotated without a moment at which a value cannot be read. What is
stored is `KEY:TEXT`: eight hex digits that name the key (a hash of it), and XChaCha20-Poly1305 in
BASE64, bound to the secret's name: moved to another row it does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from dcron_common.errors import ConfigError, SecretError
from dcron_common.sealing import private_file

_KEY = re.compile("[0-9a-f]{64}")
_MOST = 16  # keys
_LEAST_DIGITS = 8  # different ones in a key: one that a generator made has all sixteen


class Ring:
    """Immutable; safe to use from all threads. It never shows a key."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 bytes each, one at least."""
        self._boxes = {_name_of(key): Aead(key) for key in keys}
        self._first = _name_of(keys[0])

    @classmethod
    def generate(cls) -> Ring:
        """A ring with a random key that nobody else has."""
        return cls([secrets.token_bytes(Aead.KEY_SIZE)])

    @classmethod
    def read(cls, path: Path) -> Ring:
        """ConfigError for a file that others may read or write, or that holds no keys."""
        lines = [line.strip() for line in private_file.read(path, group=True).splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        if not keys:
            raise ConfigError(f"{path}: holds no key; write a line made by: openssl rand -hex 32")
        if len(keys) > _MOST or len(set(keys)) < len(keys):
            raise ConfigError(f"{path}: holds a key twice, or more than {_MOST}; take some out")
        for number, key in enumerate(keys, 1):
            if not _KEY.fullmatch(key) or len(set(key)) < _LEAST_DIGITS:
                raise ConfigError(
                    f"{path}: key number {number} is not 64 random hex digits; "
                    "make one with: openssl rand -hex 32"
                )
        return cls([bytes.fromhex(key) for key in keys])

    @classmethod
    def read_or_make(cls, path: Path) -> Ring:
        """For the embedded mode: at the first start a file with a random key is made."""
        if not path.exists():
            private_file.make(path, secrets.token_hex(Aead.KEY_SIZE) + "\n")
        return cls.read(path)

    def encrypt(self, name: str, value: str) -> str:
        """What is stored of a secret's value."""
        made = self._boxes[self._first].encrypt(value.encode(), name.encode())
        return f"{self._first}:{base64.b64encode(made).decode()}"

    def decrypt(self, name: str, stored: str) -> str:
        """The value; SecretError where no key of the ring opens it under this name."""
        key, _, text = stored.partition(":")
        box = self._boxes.get(key)
        if box is None:
            raise SecretError(f"secret {name}: its key {key[:8]!a} is not in the ring")
        try:
            return box.decrypt(base64.b64decode(text, validate=True), name.encode()).decode()
        except (CryptoError, binascii.Error, UnicodeDecodeError):
            # Without the cause, which could show what was decrypted.
            raise SecretError(f"secret {name}: what is stored of it was changed") from None

    def is_current(self, stored: str) -> bool:
        """Whether a stored value is encrypted by the first key."""
        return stored.partition(":")[0] == self._first


def _name_of(key: bytes) -> str:
    return hashlib.sha256(b"dcron key name\0" + key).hexdigest()[:8]
