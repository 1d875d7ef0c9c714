"""The release, as it shows in registrations, `--version` and the API."""

from importlib.metadata import version

VERSION = version("dcron")
