"""The API under gunicorn: one master, some processes, some threads in each.

Each process opens its own connections after the fork. Logs carry no header and so no token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gunicorn.http.wsgi
from gunicorn.app.base import BaseApplication

from dcron_app.api.app import Wsgi, build
from dcron_app.api.body import body_limit, reading_seconds
from dcron_app.tls import TimedConnection, context_of
from dcron_app.wiring import open_services
from dcron_common.settings import ApiConfig, AppConfig

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # gunicorn makes its own private file in it


def run(config: AppConfig) -> None:
    """Serve until SIGTERM."""
    # What serves is nobody's business; gunicorn has no setting for its banner.
    gunicorn.http.wsgi.SERVER = "dcron"
    _Server(config).run()


class _Server(BaseApplication):
    def __init__(self, config: AppConfig) -> None:
        self._config = config
        super().__init__()

    def load_config(self) -> None:
        api = self._config.api
        options: dict[str, Any] = {
            "bind": [api.listen],
            "worker_class": "gthread",
            "workers": api.processes,
            "threads": api.threads,
            "keepalive": 15,
            "graceful_timeout": 8,
            "timeout": 60,
            "proc_name": "dcron-api",
            "loglevel": self._config.log.level.lower(),
            "control_socket_disable": True,  # nothing but the API's own port
        }
        if _SHARED_MEMORY.is_dir():
            options["worker_tmp_dir"] = str(_SHARED_MEMORY)  # the heartbeat needs no disk
        if api.tls_certificate is not None and api.tls_key is not None:
            options["certfile"] = str(api.tls_certificate)
            options["keyfile"] = str(api.tls_key)
            options["ssl_context"] = context_of(api.idle_seconds)
        for name, value in options.items():
            if name in self.cfg.settings:  # older releases know no control socket
                self.cfg.set(name, value)

    def load(self) -> Wsgi:
        return _timed(build(open_services(self._config)), self._config.api)


def _timed(app: Wsgi, config: ApiConfig) -> Wsgi:
    """The head of a request is there: from now on its connection's time is that of the body.

    The application looks at the clock between pieces of a body; only the connection sees a client
    that sends one byte now and then.
    """
    longest = body_limit(config.max_executable_bytes)

    def timed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        connection = environ.get("gunicorn.socket")
        if isinstance(connection, TimedConnection):
            length = min(int(environ.get("CONTENT_LENGTH") or 0), longest)
            connection.expect(reading_seconds(length, config.body_seconds))
        return app(environ, start_response)

    return timed
