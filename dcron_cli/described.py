"""What a cluster's API says of itself (/openapi.json): an earlier release may take no notice of
what it does not know, and do the rest."""

from __future__ import annotations

from dcron_cli.client import Client
from dcron_cli.errors import NotFound


def taken(client: Client, method: str, route: str) -> frozenset[str]:
    """The parameters that a route takes, by name: of its path, its query and its headers; none
    where the API has no such route or tells nothing of itself. CliError."""
    try:
        told = client.get("/openapi.json")
        return frozenset(one["name"] for one in told["paths"][route][method.lower()]["parameters"])
    except (NotFound, LookupError, TypeError):
        return frozenset()
