"""What everything in a lab is called, and at which address it is: pure functions of the names.

Every interface, table, cgroup and folder carries the lab's name, so that leftovers are found
by name alone even when the lab's state is lost.
"""

import re
from pathlib import Path

from lab.errors import UsageError

RUN = Path("/run/dcron-lab")
CACHE = Path("/var/cache/dcron-lab")
DISKS = Path("/var/lib/dcron-lab")
CHECKOUT = Path(__file__).resolve().parents[1]

DEFAULT_LAB = "dcron"
DEFAULT_HOSTS = ("ctl1", "ctl2", "ctl3", "node1", "node2")

CONTROL_GROUPS = (
    "mysql",
    "zookeeper",
    "haproxy",
    "ntp",
    "s3_store",
    "dcron_app",
    "dcron_worker",
)
NODE_GROUPS = ("dcron_worker",)

# Linux allows 15 bytes for the name of an interface; "<lab>-node1" has to fit.
_LAB = re.compile(r"[a-z][a-z0-9]{0,8}")
_HOST = re.compile(r"(ctl|node)([1-9])")
_BASE = {"ctl": 10, "node": 20}


def check_lab(name: str) -> str:
    """Return `name` if it can name a lab, else raise UsageError."""
    if not _LAB.fullmatch(name):
        raise UsageError(
            f"LAB={name!r}: a lab's name is 1 to 9 lower-case letters and digits, a letter first"
        )
    return name


def check_host(name: str) -> str:
    """Return `name` if it can name a host, else raise UsageError."""
    if not _HOST.fullmatch(name):
        raise UsageError(f"host {name!r}: hosts are called ctl1 to ctl9 and node1 to node9")
    return name


def parse_hosts(text: str) -> list[str]:
    """Split "ctl1,node1" into host names, sorted, each once."""
    hosts = sorted({check_host(part.strip()) for part in text.split(",") if part.strip()})
    if not hosts:
        raise UsageError("--hosts: name at least one host, for example --hosts ctl1,ctl2")
    return hosts


def subnet(index: int) -> str:
    """The lab's network, as CIDR."""
    return f"10.77.{index}.0/24"


def gateway(index: int) -> str:
    """The machine's own address in the lab's network."""
    return f"10.77.{index}.1"


def virtual_address(index: int) -> str:
    """The address that the cluster's load balancers share."""
    return f"10.77.{index}.100"


def address(index: int, host: str) -> str:
    """The address of `host`: ctl1 is .11, node1 is .21."""
    kind, number = check_host(host)[:-1], int(host[-1])
    return f"10.77.{index}.{_BASE[kind] + number}"


def groups(host: str) -> tuple[str, ...]:
    """The inventory groups that `host` is in."""
    return CONTROL_GROUPS if host.startswith("ctl") else NODE_GROUPS


def bridge(lab: str) -> str:
    """The bridge that all hosts of the lab hang on."""
    return f"{lab}-br"


def port(lab: str, host: str) -> str:
    """The machine's end of the cable of `host`; also the name of its nspawn machine."""
    return f"{lab}-{host}"


def table(lab: str) -> str:
    """The nft table of the lab, one in family ip, one in family bridge."""
    return f"dcron_lab_{lab}"


def run_dir(lab: str) -> Path:
    """State, console logs and ssh sockets; gone after `down`."""
    return RUN / lab


def disk_dir(lab: str) -> Path:
    """The disks of the hosts; gone after `down`."""
    return DISKS / lab


def own_folder(lab: str) -> Path:
    """The lab's folder in this checkout: ssh key, secrets, env."""
    return CHECKOUT / ".lab" / lab
