"""Many reads in one request: ZooKeeper's multiRead, which servers have since 3.6 and kazoo has not.

An answer by itself costs kazoo, its threads and TLS about 0.1 ms, whatever is in it. This is no
transaction: each read has its own answer or error.
"""

from __future__ import annotations

from collections.abc import Sequence

from kazoo.exceptions import EXCEPTIONS, KazooException
from kazoo.protocol.serialization import (
    GetData,
    MultiHeader,
    int_struct,
    multiheader_struct,
    read_buffer,
    stat_struct,
)
from kazoo.protocol.states import ZnodeStat

from dcron_common.coordinator.contract import Node
from dcron_common.coordinator.zookeeper_map import stat_of

READS = 50  # of one request: an answer may be as many nodes of the largest size

_END = multiheader_struct.pack(-1, True, -1)


class MultiRead:
    """A request as kazoo's connection takes it; the wire's form is zookeeper.jute's, and
    MultiOperationRecord.java's."""

    type = 22  # ZooDefs.OpCode.multiRead

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def serialize(self) -> bytes:
        data = bytearray()
        for path in self._paths:
            data += MultiHeader(GetData.type, False, -1).serialize()
            data += GetData(path, None).serialize()
        return bytes(data + _END)

    @staticmethod
    def deserialize(data: bytes, offset: int) -> list[Node | KazooException]:
        """What each read was answered with, in their order."""
        found: list[Node | KazooException] = []
        while True:
            header, offset = MultiHeader.deserialize(data, offset)
            if header.done:
                return found
            if header.type == GetData.type:
                content, offset = read_buffer(data, offset)
                stat = ZnodeStat._make(stat_struct.unpack_from(data, offset))
                offset += stat_struct.size
                found.append(Node(content, stat_of(stat)))
            else:
                (code,) = int_struct.unpack_from(data, offset)
                offset += int_struct.size
                found.append(EXCEPTIONS[code]())
