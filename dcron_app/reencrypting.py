"""Every stored secret by the first key of the ring, before an old key is taken out."""

from __future__ import annotations

from dcron_common.db import secrets
from dcron_common.db.connection import Database
from dcron_common.sealing.ring import Ring

_BATCH = 50


def reencrypt(database: Database, ring: Ring) -> tuple[int, int]:
    """How many were encrypted anew, and how many there are. SecretError names one that no key of
    the ring opens. It may be interrupted, and run beside everything else."""
    names = sorted(secrets.versions(database))
    changed = 0
    for start in range(0, len(names), _BATCH):
        found = secrets.encrypted(database, names[start : start + _BATCH])
        for name, (version, stored) in found.items():
            if not ring.is_current(stored):
                value = ring.encrypt(name, ring.decrypt(name, stored))
                changed += secrets.reencrypt(database, name, version, value)
    return changed, len(names)
