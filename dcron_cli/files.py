"""Writing a file of the user's whole: a reader sees it before or after, a link is replaced, not
followed, and a power cut leaves one of the two."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Write `path`, readable by its owner only. OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".dcron-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
