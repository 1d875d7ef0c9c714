"""The lab's network: a bridge, a way out to the package mirror, and the count of who needs it.

ip_forward is the machine's own setting: the first lab notes how it was, the last one puts it back.
"""

import ipaddress
import json
from pathlib import Path

from lab import names, state
from lab.errors import LabError
from lab.shell import run, succeeds

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_FOUND = names.RUN / "ip_forward"


def free_index(taken: set[int], routes: list[str]) -> int:
    """The lowest n whose 10.77.<n>.0/24 no lab has and no route of the machine overlaps."""
    others = [ipaddress.ip_network(route, strict=False) for route in routes]
    for index in range(1, 255):
        wanted = ipaddress.ip_network(names.subnet(index))
        if index not in taken and not any(wanted.overlaps(other) for other in others):
            return index
    raise LabError("no free network among 10.77.1.0/24 to 10.77.254.0/24; take a lab down")


def machine_routes() -> list[str]:
    """The IPv4 networks that this machine has a route to, the default route apart."""
    routes = json.loads(run("ip", "-4", "-json", "route", "show", "table", "all") or "[]")
    return [r["dst"] for r in routes if r["dst"] != "default" and r.get("type") != "multicast"]


def ensure(lab: state.Lab) -> None:
    """Make the bridge and the tables where they are missing."""
    bridge = names.bridge(lab.name)
    if not link_exists(bridge):
        run("ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0")
    run("ip", "addr", "replace", f"{names.gateway(lab.index)}/24", "dev", bridge)
    run("ip", "link", "set", bridge, "up")
    run("nft", "-f", "-", text=rules(lab))
    with state.lock("machine"):
        if not _FOUND.exists():
            _FOUND.write_text(_FORWARD.read_text())
        _FORWARD.write_text("1\n")


def rules(lab: state.Lab) -> str:
    """The nft script for the way out: masquerade, and no way into another lab.

    Where the kernel shows bridged packets to the ip hooks (br_netfilter), hosts of one lab pass
    here, too: both rules leave the lab's own subnet alone.
    """
    table, subnet = names.table(lab.name), names.subnet(lab.index)
    return f"""
table ip {table} {{}}
flush table ip {table}
table ip {table} {{
  chain out {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} ip daddr != {subnet} masquerade
  }}
  chain between {{
    type filter hook forward priority 0; policy accept;
    ip saddr {subnet} ip daddr != {subnet} ip daddr 10.77.0.0/16 drop
  }}
}}
"""


def remove(name: str) -> None:
    """Remove every interface and table of the lab."""
    for link in json.loads(run("ip", "-json", "link", "show") or "[]"):
        if link["ifname"].startswith(f"{name}-") and link_exists(link["ifname"]):
            run("ip", "link", "del", link["ifname"])
    for family in ("ip", "bridge"):
        if succeeds("nft", "list", "table", family, names.table(name)):
            run("nft", "delete", "table", family, names.table(name))


def release_forwarding() -> None:
    """Put ip_forward back as it was found, if no lab is left that needs it."""
    with state.lock("machine"):
        if _FOUND.exists() and not state.every():
            _FORWARD.write_text(_FOUND.read_text())
            _FOUND.unlink()
        if names.RUN.is_dir() and not any(names.RUN.iterdir()):
            names.RUN.rmdir()


def plug(lab: str, host: str) -> None:
    """Put the machine's end of a host's cable into the bridge."""
    run("ip", "link", "set", names.port(lab, host), "master", names.bridge(lab), "up")


def link_exists(link: str) -> bool:
    """Whether the machine has an interface of this name."""
    return Path("/sys/class/net", link).exists()
