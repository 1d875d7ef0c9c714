"""How kazoo connects: TLS that trusts the cluster's authority alone and checks the server's name.

kazoo's own TLS also trusts every public authority, does not check names unless told to, and may
wait a whole session timeout for a server that does not answer.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kazoo.handlers.threading import SequentialThreadingHandler

from dcron_common.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tls:
    """This client's certificate and key, and the authority that it trusts (PEM files)."""

    certificate: Path
    key: Path
    ca: Path

    def context(self) -> ssl.SSLContext:
        """Made anew for each connection, so that renewed certificates come into use."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # asks for a certificate and its name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context


def tls_of(certificate: Path | None, key: Path | None, ca: Path | None) -> Tls | None:
    """All three or none; ConfigError if one is missing or cannot be used."""
    if certificate is None and key is None and ca is None:
        return None
    if certificate is None or key is None or ca is None:
        raise ConfigError("zookeeper: give certificate, key and ca, or none of them")
    tls = Tls(certificate, key, ca)
    for path in (certificate, key, ca):
        if not path.is_file():
            raise ConfigError(f"zookeeper: {path} is no file: name a PEM file that exists")
    try:
        tls.context()
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"zookeeper: {certificate}, {key} and {ca} are of no use: {error}"
        ) from error
    return tls


class Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo publishes no types
    """kazoo's threads, with our connections."""

    def __init__(self, tls: Tls | None, connect_timeout: float) -> None:
        """`connect_timeout` in seconds bounds the TCP and the TLS handshake, each."""
        super().__init__()
        self._tls = tls
        self._connect_timeout = connect_timeout

    def create_connection(
        self, address: tuple[str, int], hostname: str | None = None, **_: object
    ) -> socket.socket:
        """Connect; OSError. Takes the name and the timeout only, TLS is ours."""
        raw = socket.create_connection(address, timeout=self._connect_timeout)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                return raw
            return self._tls.context().wrap_socket(raw, server_hostname=hostname)
        except OSError:
            raw.close()
            raise

    def select(
        self, rlist: list[Any], wlist: list[Any], xlist: list[Any], timeout: float | None = None
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """As select.select, and a TLS socket is readable if it holds decrypted bytes.

        Else a second answer within one TLS record would wait for the next packet to come.
        """
        buffered = [each for each in rlist if isinstance(each, ssl.SSLSocket) and each.pending()]
        readable, writable, broken = super().select(rlist, wlist, xlist, 0 if buffered else timeout)
        more = [each for each in readable if each not in buffered]
        return buffered + more, writable, broken

    @staticmethod
    def break_off(connection: socket.socket | None) -> None:
        """Shut a connection down from another thread; its own thread then sees its end.

        Below TLS on purpose: SSLSocket.shutdown would pull the TLS state from under that thread.
        """
        if connection is None:
            return
        try:
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        except OSError:
            return  # closed already
