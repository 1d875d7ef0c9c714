"""What a job runs: a command's text, or a file that comes in BASE64 and is known by its SHA-256."""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass

from dcron_app.api import text
from dcron_app.api.errors import Problem, invalid
from dcron_app.api.fields import JobFields
from dcron_app.api.services import Settings
from dcron_common.object_store.contract import executable_key


@dataclass(frozen=True, slots=True)
class Content:
    """What a job runs: a command's text, or the key of its file with the SHA-256."""

    executable: str
    sha256: str | None

    @classmethod
    def of(cls, fields: JobFields, file: bytes | None) -> Content:
        if file is None:
            return cls(fields.executable, None)
        digest = hashlib.sha256(file).hexdigest()
        return cls(executable_key(digest), digest)


def executable_of(fields: JobFields, settings: Settings) -> bytes | None:
    """Check the command's text (None), or decode the file."""
    if fields.type == "command":
        _check_command(fields.executable)
        return None
    try:
        data = binascii.a2b_base64(fields.executable, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        message = f"is not BASE64 ({error}); write the output of: base64 -w0 FILE"
        raise invalid(("executable", message)) from error
    if not data:
        raise invalid(("executable", "is empty; a script or binary needs its file as BASE64"))
    if len(data) > settings.max_executable_bytes:
        message = f"has {len(data)} bytes; {settings.max_executable_bytes} are the most"
        raise Problem(413, f"executable {message}", errors=[("executable", message)])
    return data


def _check_command(command: str) -> None:
    try:
        text.line(command)
    except ValueError as error:
        message = f"{error}; for several lines post a script"
        raise invalid(("executable", message)) from error
    if not command.strip():
        raise invalid(("executable", "is empty; write a command such as ls -la"))
    if len(command.encode()) > text.MAX_TEXT_BYTES:
        message = f"is too long; {text.MAX_TEXT_BYTES} bytes are the most, else post a script"
        raise invalid(("executable", message))
