"""A worker's X25519 key pair: what is sealed for its public half, only that worker opens.

What is sealed names the worker and the secret, so that nothing opens in another's place.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from dcron_common.errors import ConfigError, SecretError
from dcron_common.sealing import private_file

PUBLIC = re.compile("[0-9a-f]{64}")


class WorkerKey:
    """The private half. It never shows itself."""

    def __init__(self, private: PrivateKey) -> None:
        self._box = SealedBox(private)
        self.public = bytes(private.public_key).hex()

    @classmethod
    def generate(cls) -> WorkerKey:
        """A random one."""
        return cls(PrivateKey.generate())

    @classmethod
    def read_or_make(cls, path: Path) -> WorkerKey:
        """The key in a file (0600), made at the first start; ConfigError."""
        if not path.exists():
            private_file.make(path, bytes(PrivateKey.generate()).hex() + "\n")
        text = private_file.read(path, group=False).strip()
        if not PUBLIC.fullmatch(text):
            raise ConfigError(f"{path}: is no key; remove the file, and a new one is made")
        return cls(PrivateKey(bytes.fromhex(text)))

    def open(self, worker: str, name: str, sealed: str) -> str:
        """The value of a secret; SecretError where it was not sealed for this key and name."""
        try:
            found = json.loads(self._box.decrypt(base64.b64decode(sealed, validate=True)))
            known = (found["worker"], found["name"]) == (worker, name)
            value = found["value"] if known else None
        except (CryptoError, binascii.Error, ValueError, KeyError, TypeError):
            value = None
        if not isinstance(value, str):  # without a cause, which could show what was opened
            raise SecretError(f"the secret {name} was sealed for another key than this worker's")
        return value


def seal(public: str, worker: str, name: str, value: str) -> str:
    """A secret's value for one worker: BASE64. SecretError for a key that is none."""
    body = json.dumps({"worker": worker, "name": name, "value": value}).encode()
    try:
        box = SealedBox(PublicKey(bytes.fromhex(public)))
        return base64.b64encode(box.encrypt(body)).decode()
    except (CryptoError, ValueError, TypeError):
        raise SecretError(f"worker {worker} announces a key that is none") from None
