"""From a launch to what its starter is told."""

from __future__ import annotations

from pathlib import Path

from dcron_worker.runner import process
from dcron_worker.runner.account import Account
from dcron_worker.runner.limits import Group
from dcron_worker.runner.model import Launch
from dcron_worker.runner.process import Order


def order_for(launch: Launch, user: Account, output: Path, group: Group | None) -> Order:
    """With everything that can be looked up before the fork."""
    return Order(
        run_id=launch.run_id,
        argv=list(launch.argv),
        environment={**launch.environment, process.MARK: launch.run_id},
        directory=launch.working_directory,
        leased=launch.leased,
        user=user.name,
        home=user.home,
        change=user.change,
        uid=user.uid,
        gid=user.gid,
        groups=list(user.groups),
        output=str(output),
        cgroups=[str(directory) for directory in (group.directories if group else ())],
    )
