"""The lab's errors, each with the exit code that `bin/lab` ends with.

LabError          1, something did not work; the text says what, and what to do
├── UsageError    2, a name or an argument that means nothing
├── NotAllowed    3, root is needed
└── NotFound      4, no such lab or host
"""


class LabError(Exception):
    """A step of the lab failed; the text is for the person at the keyboard."""

    exit_code = 1


class UsageError(LabError):
    """An argument is wrong."""

    exit_code = 2


class NotAllowed(LabError):
    """The step needs rights that this process lacks."""

    exit_code = 3


class NotFound(LabError):
    """The lab or the host does not exist."""

    exit_code = 4
