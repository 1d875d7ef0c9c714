"""Ansible's linear strategy by mitogen, its processes on whichever core is free.

mitogen puts its own process on the first core and, where there are fewer than four, Ansible's and
all that fork from it on the rest: on two cores one is idle half of the time. Loaded by
`bin/with-mitogen`.
"""

from __future__ import annotations

import ansible_mitogen.affinity
import ansible_mitogen.loaders
import ansible_mitogen.strategy

ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()

_Linear = ansible_mitogen.loaders.strategy_loader.get("linear", class_only=True)


class StrategyModule(ansible_mitogen.strategy.StrategyMixin, _Linear):
    """Found by this name."""
