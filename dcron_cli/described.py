"""What a cluster's API says of itself (/openapi.json): an earlier release may take no notice of
what it does not know, and do the rest."""

from __future__ import annotations

from dcron_cli.client import Client
from dcron_cli.errors import NotFound


def taken(client: Client, method: str, route: str) -> frozenset[tuple[str, str]]:
    """The parameters that a route takes, such as `("query", "dry_run")`; none where the API has no
    such route or tells nothing of itself. CliError."""
    try:
        told = client.get("/openapi.json")
        parameters = told["paths"][route][method.lower()]["parameters"]
        return frozenset((one["in"], one["name"]) for one in parameters)
    except (NotFound, LookupError, TypeError):
        return frozenset()
