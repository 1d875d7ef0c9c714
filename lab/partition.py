"""Cutting hosts off from each other, at the ports of the bridge; ssh from the machine stays up.

By ports, not by addresses, so that the virtual address, ARP and keepalived's packets are cut too.
The machine stays with the hosts that are not cut off: a cut-off holder of the virtual address is
not reached at it. A one-way cut loses A's IP packets to B; ARP passes, else B could not send to
A for long either.
"""

from dataclasses import dataclass

from lab import names, state
from lab.shell import run


@dataclass(frozen=True)
class Cuts:
    """What is cut: pairs of hosts (from, to) without any frame, pairs without IP, hosts away."""

    whole: frozenset[tuple[str, str]]
    one_way: frozenset[tuple[str, str]]
    away: frozenset[str]


def resolve(cuts: list[list[str]], hosts: list[str]) -> Cuts:
    """Work out which pairs are cut; `cuts` is as recorded: ["off", A, B…] or ["one-way", A, B]."""
    whole: set[tuple[str, str]] = set()
    one_way: set[tuple[str, str]] = set()
    away: set[str] = set()
    for kind, *named in cuts:
        if kind == "one-way":
            one_way.add((named[0], named[1]))
            continue
        away.update(named)
        for inside in named:
            for outside in set(hosts) - set(named):
                whole |= {(inside, outside), (outside, inside)}
    return Cuts(frozenset(whole), frozenset(one_way), frozenset(away))


def rules(lab: state.Lab) -> str:
    """The nft script that makes the lab's cuts as recorded, and no others."""
    cuts = resolve(lab.cuts, sorted(lab.hosts))
    table, virtual = names.table(lab.name), names.virtual_address(lab.index)

    def port(host: str) -> str:
        return f'"{names.port(lab.name, host)}"'

    forward = [f"iifname {port(a)} oifname {port(b)} drop" for a, b in sorted(cuts.whole)]
    forward += [
        f"iifname {port(a)} oifname {port(b)} ether type ip drop" for a, b in sorted(cuts.one_way)
    ]
    come, go = [], []
    for host in sorted(cuts.away):
        come.append(f"iifname {port(host)} ip saddr {virtual} drop")
        come.append(f"iifname {port(host)} arp saddr ip {virtual} drop")
        go.append(f"oifname {port(host)} ip daddr {virtual} drop")
        go.append(f"oifname {port(host)} arp daddr ip {virtual} drop")
    chains = "".join(
        f"  chain {hook} {{\n    type filter hook {hook} priority 0; policy accept;\n"
        + "".join(f"    {line}\n" for line in lines)
        + "  }\n"
        for hook, lines in (("forward", forward), ("input", come), ("output", go))
    )
    return (
        f"table bridge {table} {{}}\nflush table bridge {table}\n"
        f"delete table bridge {table}\ntable bridge {table} {{\n{chains}}}\n"
    )


def apply(lab: state.Lab) -> None:
    """Make the cuts that are recorded, in one transaction."""
    run("nft", "-f", "-", text=rules(lab))
