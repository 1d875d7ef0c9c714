"""Request smuggling: what HAProxy passes on as one request, the API must not read as two.

Both are real: HAProxy by the role's configuration, the API as `dcron-app serve` runs it. A hidden
request claims to come from FORGED. HAProxy replaces such a claim in every request that it sees
itself, so that a line in the API's log with that peer is a request which HAProxy never saw.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers import haproxy
from tests.servers.api import ApiServer
from tests.servers.certificates import Authority
from tests.servers.haproxy import HAProxyServer

FORGED = "203.0.113.99"
HIDDEN = f"GET /hidden HTTP/1.1\r\nHost: dcron\r\nX-Forwarded-For: {FORGED}\r\n\r\n".encode()
N = len(HIDDEN)
CHUNKED = b"0\r\n\r\n" + HIDDEN


def post(*headers: bytes, body: bytes, version: bytes = b"1.1", end: bytes = b"\r\n") -> bytes:
    lines = [b"POST /jobs HTTP/" + version, b"Host: dcron", b"Content-Type: application/json"]
    return end.join([*lines, *headers, b"", b""]) + body


def get(*headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"GET /jobs HTTP/1.1", b"Host: dcron", *headers, b"", b""]) + body


HONEST = b"Content-Length: %d" % N
LONG = b"Content-Length: %d" % len(CHUNKED)
TE = b"Transfer-Encoding: chunked"
ATTACKS = {
    "a length and chunks": post(LONG, TE, body=CHUNKED),
    "chunks and a length": post(TE, LONG, body=CHUNKED),
    "chunks and a short length": post(b"Content-Length: 3", TE, body=b"%x\r\n" % N + HIDDEN),
    "chunks alone": post(TE, body=CHUNKED),
    "chunks in HTTP/1.0": post(TE, body=CHUNKED, version=b"1.0"),
    "two lengths": post(b"Content-Length: 0", HONEST, body=HIDDEN),
    "two lengths, the long one first": post(HONEST, b"Content-Length: 0", body=HIDDEN),
    "two lengths in one line": post(b"Content-Length: 0, %d" % N, body=HIDDEN),
    "a length with a sign": post(b"Content-Length: +0", body=HIDDEN),
    "a negative length": post(b"Content-Length: -1", body=HIDDEN),
    "a length in hexadecimal": post(b"Content-Length: 0x0", body=HIDDEN),
    "a length with an underscore": post(b"Content-Length: 0_0", body=HIDDEN),
    "a length of many digits": post(b"Content-Length: %040d" % N, body=HIDDEN),
    "a length beyond any number": post(b"Content-Length: 18446744073709551616", body=HIDDEN),
    "a length in other digits": post("Content-Length: ١".encode(), body=HIDDEN),
    "a length named with an underscore": post(HONEST, b"Content_Length: 0", body=HIDDEN),
    "chunks named with an underscore": post(LONG, b"Transfer_Encoding: chunked", body=CHUNKED),
    "a blank before the colon": post(LONG, b"Transfer-Encoding : chunked", body=CHUNKED),
    "a tab before the colon": post(LONG, b"Transfer-Encoding\t: chunked", body=CHUNKED),
    "a blank before the name": post(LONG, b" Transfer-Encoding: chunked", body=CHUNKED),
    "a folded line": post(LONG, b"Transfer-Encoding:\r\n chunked", body=CHUNKED),
    "a folded line that hides the name":
        post(LONG, b"X: a\r\n Transfer-Encoding: chunked", body=CHUNKED),
    "a folded length": post(b"Content-Length:\r\n 0", body=HIDDEN),
    "a vertical tab": post(LONG, b"Transfer-Encoding:\x0bchunked", body=CHUNKED),
    "NUL in a value": post(LONG, b"Transfer-Encoding: chunked\x00", body=CHUNKED),
    "a bare line feed": post(LONG, b"X: a\nTransfer-Encoding: chunked", body=CHUNKED),
    "a bare return": post(LONG, b"X: a\rTransfer-Encoding: chunked", body=CHUNKED),
    "line feeds alone": post(LONG, TE, body=CHUNKED, end=b"\n"),
    "another coding": post(LONG, b"Transfer-Encoding: xchunked", body=CHUNKED),
    "identity": post(LONG, b"Transfer-Encoding: identity", body=CHUNKED),
    "two codings": post(LONG, b"Transfer-Encoding: chunked, identity", body=CHUNKED),
    "chunked in capitals": post(LONG, b"TRANSFER-ENCODING: CHUNKED", body=CHUNKED),
    "two lines of codings": post(LONG, TE, b"Transfer-Encoding: identity", body=CHUNKED),
    "an empty coding": post(LONG, b"Transfer-Encoding:", body=CHUNKED),
    "a chunk's size with a sign": post(TE, body=b"+0\r\n\r\n" + HIDDEN),
    "a chunk's size with 0x": post(TE, body=b"0x0\r\n\r\n" + HIDDEN),
    "a chunk's size that overflows": post(TE, body=b"1" + b"0" * 16 + b"\r\n\r\n" + HIDDEN),
    "a chunk without a size": post(TE, body=b"\r\n\r\n" + HIDDEN),
    "a chunk's size before a line feed": post(TE, body=b"0;x\n\n" + HIDDEN),
    "a body that nobody reads": post(HONEST, body=HIDDEN),
    "the body of a GET": get(HONEST, body=HIDDEN),
    "a body after a wait for 100": post(b"Expect: 100-continue", HONEST, body=HIDDEN),
    "a length that is dropped on the way": post(b"Connection: Content-Length", HONEST, body=HIDDEN),
    "chunks that are dropped on the way":
        post(LONG, TE, b"Connection: Transfer-Encoding", body=CHUNKED),
    "an upgrade": get(b"Connection: Upgrade", b"Upgrade: websocket", HONEST, body=HIDDEN),
    "an upgrade to HTTP/2": get(
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABk",
        HONEST,
        body=HIDDEN,
    ),
    "a request in the request line":
        b"GET /jobs HTTP/1.1\r\n " + HIDDEN,
    "a line end in the path":
        b"GET /jobs%0d%0aX HTTP/1.1\r\nHost: dcron\r\n" + HONEST + b"\r\n\r\n" + HIDDEN,
}  # fmt: skip

# Here the first request ends for HAProxy before the hidden one begins: it is passed on as a second
# one of the same client, with the address that the client really has.
TWO_FOR_BOTH = {
    "chunks alone",
    "a folded length",
    "a chunk's size before a line feed",
    "a length beyond any number",
}


@dataclass
class Front:
    balancer: HAProxyServer
    port: int  # the API's own
    log: Path
    asked: list[str] = field(default_factory=list)

    def talk(self, data: bytes) -> bytes:
        """What is answered to `data` until the other side hangs up."""
        answer = bytearray()
        with self.balancer.connect() as connection, contextlib.suppress(OSError):
            connection.settimeout(1.0)  # a request that waits for more of its body
            connection.sendall(data)
            while piece := connection.recv(65_536):
                answer += piece
        return bytes(answer)

    def follow(self, marks: int = 3) -> None:
        """Requests of others, by the same connections to the API: each has its own answer, and
        its line in the log comes before that."""
        for _ in range(marks):
            self.asked.append(f"/after-{len(self.asked)}")
            head = f"GET {self.asked[-1]} HTTP/1.1\r\nHost: dcron\r\nConnection: close\r\n\r\n"
            answer = self.talk(head.encode())
            assert answer.startswith(b"HTTP/1.1 401 "), answer
            assert answer.count(b"HTTP/1.1 ") == 1, answer
            assert f"path='{self.asked[-1]}'" in self.log.read_text()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    reason = haproxy.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("front")
    authority = Authority(folder)
    api = ApiServer.small(folder, authority)
    balancer = HAProxyServer(folder, authority, api.port)
    with api.serving():
        balancer.start()
        try:
            yield Front(balancer, api.port, api.log)
        finally:
            balancer.stop()


@pytest.mark.parametrize("what", ATTACKS)
def test_a_hidden_request_is_never_seen_by_the_api(front: Front, what: str) -> None:
    before = len(front.log.read_text())
    front.talk(ATTACKS[what])
    front.follow()
    added = front.log.read_text()[before:]
    assert FORGED not in added
    assert ("/hidden" in added) is (what in TWO_FOR_BOTH)


@pytest.mark.parametrize("length", [10**15, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 2**65])
def test_a_length_that_a_proxy_may_count_wrongly_stays_outside(front: Front, length: int) -> None:
    before = len(front.log.read_text())
    answer = front.talk(post(b"Content-Length: %d" % length, b"Connection: close", body=b"{}"))
    front.follow()
    assert answer.startswith(b"HTTP/1.1 4") or answer == b""
    assert "method='POST'" not in front.log.read_text()[before:]


def test_the_log_would_show_a_hidden_request(front: Front) -> None:
    """The same bytes, past HAProxy: the API alone believes where they say they come from."""
    before = front.log.read_text()
    with front.balancer.connect(front.port) as connection:
        connection.sendall(HIDDEN.replace(b"/hidden", b"/shown").replace(b".99", b".98"))
        assert connection.recv(64).startswith(b"HTTP/1.1 401 ")
    added = front.log.read_text()[len(before) :]
    assert "peer=203.0.113.98" in added
    assert "path='/shown'" in added
