"""The command `dcron-app`, for control nodes. Exit codes: 0, 1 failed, 2 usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dcron_app import admin
from dcron_common import log
from dcron_common.config import APP_PATH, check_worker_names, load_app
from dcron_common.db import migrations
from dcron_common.errors import DcronError
from dcron_common.settings import AppConfig

_MIGRATION = 3600.0  # seconds for one statement: an index over 10 million runs takes minutes
_ZOOKEEPER = 30.0  # seconds to wait for it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = load_app(options.config)
        log.configure(config.log.level)
        _run(options, config)
    except DcronError as error:
        print(f"dcron-app: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dcron-app", description="dcron on a control node")
    parser.add_argument(
        "--config", type=Path, default=APP_PATH, metavar="FILE", help="default: %(default)s"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="the REST API")
    commands.add_parser("manager", help="the manager: elects a leader, assigns and accounts")
    migrate = commands.add_parser("migrate", help="bring the database's schema up to this release")
    migrate.add_argument("--database-user", metavar="NAME", help="an account that may alter tables")
    migrate.add_argument("--password-file", type=Path, metavar="FILE", help="its password")
    config = commands.add_parser("config", help="the configuration").add_subparsers(
        dest="action", required=True
    )
    config.add_parser("check", help="read it and say what is wrong")
    admin.add_arguments(commands)
    commands.add_parser("secrets", help="users' secrets").add_subparsers(
        dest="action", required=True
    ).add_parser("reencrypt", help="encrypt them all by the first key of the ring")
    worker = commands.add_parser("worker", help="who may be a worker").add_subparsers(
        dest="action", required=True
    )
    admit = worker.add_parser("admit", help="let nodes register as workers of these names")
    dismiss = worker.add_parser("dismiss", help="let nodes that are stopped register no more")
    for action in (admit, dismiss):
        action.add_argument("names", nargs="+", metavar="NAME")
    for parser_of_command in commands.choices.values():
        _also_after(parser_of_command)
    return parser


def _also_after(parser: argparse.ArgumentParser) -> None:
    """Take --config after the command, too."""
    parser.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _also_after(below)


def _run(options: argparse.Namespace, config: AppConfig) -> None:
    # Each command imports what it needs: `user` should not load gunicorn and boto3.
    if options.command == "serve":
        from dcron_app import serve
        from dcron_common.sealing.ring import Ring

        Ring.read(config.secrets.keys_file)  # before the fork: a bad one ends the start
        serve.run(config)
    elif options.command == "manager":
        from dcron_app.manager import main as manager

        manager.run(config)
    elif options.command == "migrate":
        _migrate(options, config)
    elif options.command == "config":
        from dcron_common.sealing.ring import Ring

        Ring.read(config.secrets.keys_file)
        print("the configuration is sound")
    elif options.command == "worker":
        _worker(options, config)
    elif options.command == "secrets":
        _reencrypt(config)
    else:
        from dcron_app.wiring import open_database

        database = open_database(config.database)
        migrations.check(database)
        admin.run(options, database)


def _migrate(options: argparse.Namespace, config: AppConfig) -> None:
    from dcron_app.wiring import open_database, read_password

    file = options.password_file
    password = read_password(file) if file is not None else None
    database = open_database(
        config.database,
        user=options.database_user,
        password=password,
        statement_seconds=_MIGRATION,
    )
    found = migrations.current(database)
    reached = migrations.migrate(database)
    changed = "no change" if found == reached else f"from {found}"
    print(f"schema {reached} ({changed})")


def _reencrypt(config: AppConfig) -> None:
    from dcron_app.reencrypting import reencrypt
    from dcron_app.wiring import open_database
    from dcron_common.sealing.ring import Ring

    ring = Ring.read(config.secrets.keys_file)
    database = open_database(config.database)
    migrations.check(database)
    changed, found = reencrypt(database, ring)
    print(f"{found} secrets, {changed} of them encrypted anew; the other keys are needed no more")


def _worker(options: argparse.Namespace, config: AppConfig) -> None:
    from dcron_app.manager.admission import admit, carry_out, dismiss
    from dcron_app.wiring import open_coordinator

    check_worker_names(options.names)
    action, done = {"admit": (admit, "admitted"), "dismiss": (dismiss, "dismissed")}[options.action]
    coordinator = open_coordinator(config.zookeeper)
    coordinator.start(_ZOOKEEPER)
    try:
        for line in carry_out(action, coordinator, options.names, done):
            print(line)
    finally:
        coordinator.stop()


if __name__ == "__main__":
    sys.exit(main())
