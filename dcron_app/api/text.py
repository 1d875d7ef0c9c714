"""What texts in a request may hold. Each function returns its text or raises ValueError.

No text may carry NUL, newline or another control character: any of them may reach a log line, a
file name or a crontab's neighbourhood. Messages are for the user.
"""

from __future__ import annotations

import re

from dcron_app.api.steering import steers

MAX_TEXT_BYTES = 65_536
MAX_SECRET_BYTES = 16_384

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f\x80-\x9f\u2028\u2029]")
_OS_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SECRET = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_PLACES = frozenset({"MAIL", "TMPDIR"})  # whoever sets them says where
_LABEL = re.compile(r"[A-Za-z0-9._/-]{1,63}")

# The same for the description of the API, as JSON Schema has patterns (ECMA 262). They say no more
# than the functions below do, and sometimes less: what is printable has no form there.
_PLAIN = r"[^\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]"
_INK = r"[^\x00-\x20\x7f-\xa0\u2028\u2029\s]"
SOME = r"\S"
LINE = f"^{_PLAIN}*$"
SOME_LINE = f"^{_PLAIN}*{_INK}{_PLAIN}*$"
BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$"
SHOWN = f"^{_INK}({_PLAIN}*{_INK})?$"
FILE_NAME = SHOWN.replace(r"[^\x00", r"[^/\\\x00").replace("^", r"^(?!\.{1,2}$)", 1)
FOLDER = f"^/{_PLAIN}*$"
SCHEDULE = r"^[ \t]*(@[a-z].*|[0-9A-Za-z*/,-]+([ \t]+[0-9A-Za-z*/,-]+){4})[ \t]*$"
OS_USER = f"^{_OS_USER.pattern}$"
VARIABLE = f"^(?!DCRON_){_VARIABLE.pattern}$"
ACCOUNT = f"^{_ACCOUNT.pattern}$"
LABEL = f"^{_LABEL.pattern}$"
LABEL_WITH_VALUE = f"^{_LABEL.pattern}={_PLAIN}{{0,255}}$"
SECRET = f"^(?!DCRON_){_SECRET.pattern}$"
NO_NUL = r"^[^\x00]+$"


def line(text: str) -> str:
    """One line of text; tabs are taken."""
    found = _CONTROL.search(text)
    if found is not None:
        raise ValueError(
            f"holds the control character {ascii(found[0])}; write one line of plain text"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds half of a character (a lone surrogate)") from error
    return text


def shown(text: str) -> str:
    """One line that people read: printable, no blanks at its ends, no `..` as a path's part."""
    line(text)
    if not text.isprintable():
        found = next(char for char in text if not char.isprintable())
        raise ValueError(f"holds the character {ascii(found)}, which cannot be printed")
    if text != text.strip():
        raise ValueError("begins or ends with a blank; leave it out")
    if ".." in re.split(r"[/\\]", text):
        raise ValueError("holds '..' as a part; write a name, not a path")
    return text


def file_name(text: str) -> str:
    """A bare file name."""
    shown(text)
    if "/" in text or "\\" in text or text in (".", ".."):
        raise ValueError("must be a bare file name such as backup.sh, without a path")
    return text


def folder(text: str) -> str:
    """An absolute path without `..`."""
    line(text)
    if not text.startswith("/"):
        raise ValueError("must be an absolute path such as /srv/data")
    if ".." in text.split("/"):
        raise ValueError("holds '..'; write the path without it")
    return text


def os_user(text: str) -> str:
    """The name of an OS user."""
    if _OS_USER.fullmatch(text) is None:
        raise ValueError(
            "is no name of an OS user; write up to 32 of a-z, 0-9, '_' and '-', a letter first"
        )
    return text


def account(text: str) -> str:
    """The name of a user, a team or a token."""
    if _ACCOUNT.fullmatch(text) is None:
        raise ValueError("is refused; write up to 64 letters, digits and . _ @ -, no sign first")
    return text


def variable(text: str) -> str:
    """The name of an environment variable that a job may set."""
    if _VARIABLE.fullmatch(text) is None:
        raise ValueError("is no name of a variable; write letters, digits and '_', no digit first")
    _check_not_dcrons(text)
    return text


def _check_not_dcrons(name: str) -> None:
    if name.startswith("DCRON_"):
        raise ValueError("begins with DCRON_, which dcron sets by itself; choose another name")


def secret_name(text: str) -> str:
    """The name of a secret, which is that of the variable by which a job gets it."""
    if _SECRET.fullmatch(text) is None:
        raise ValueError(
            "is no name of a secret; write up to 64 letters, digits and '_', a letter first"
        )
    _check_not_dcrons(text)
    return text


def new_secret_name(text: str) -> str:
    """The name of a secret that is to be made, or that a job is to get from now on. Names that are
    there already are not asked again: the list grows, and what it took before has to work on."""
    secret_name(text)
    if steers(text) or text in _PLACES:
        raise ValueError("is a variable by which programs are steered; choose another name")
    return text


def secret_value(text: str) -> str:
    """What a variable of the environment can hold. The message shows nothing of it."""
    if not text:
        raise ValueError("is empty; write the secret's value")
    if "\0" in text:
        raise ValueError("holds the character NUL, which no environment can carry")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("holds half of a character (a lone surrogate)") from None
    if size > MAX_SECRET_BYTES:
        raise ValueError(f"is too long; {MAX_SECRET_BYTES} bytes are the most")
    return text


def label_name(text: str) -> str:
    """The name of a label, of jobs and workers alike."""
    if _LABEL.fullmatch(text) is None:
        raise ValueError(
            "is no name of a label; write up to 63 of A-Z, a-z, 0-9, '.', '_', '/', '-'"
        )
    return text
