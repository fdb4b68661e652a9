"""Messages over a pipe: a pickle, and behind it its large buffers, which nobody copies on the way."""

from __future__ import annotations

import io
import pickle
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Smaller buffers travel inside the pickle: a message of their own costs more than a copy.
APART_BYTES = 64 * 1024


def send(connection: Connection, message: Any) -> None:
    """Sends one message. Raises OSError where nobody listens any more, and what pickling it raises."""
    buffers: list[memoryview[int]] = []
    body = packed(message, buffers)
    sizes = [buffer.nbytes for buffer in buffers]
    connection.send_bytes(struct.pack(f"<{len(sizes) + 1}Q", len(sizes), *sizes) + body)
    for buffer in buffers:
        connection.send_bytes(buffer)


def receive(connection: Connection) -> Any:
    """The next message; waits for it. Raises EOFError or OSError where nobody sends any more."""
    head = memoryview(connection.recv_bytes())
    (count,) = struct.unpack_from("<Q", head)
    sizes = struct.unpack_from(f"<{count}Q", head, 8)
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        connection.recv_bytes_into(buffer)
    return pickle.loads(head[8 * (count + 1) :], buffers=buffers)


def packed(message: Any, buffers: list[memoryview[int]]) -> bytes:
    """A message as a pickle; its large buffers are put beside it."""

    def inside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < APART_BYTES:
            return True
        buffers.append(raw)
        return False

    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=inside).dump(message)
    return stream.getvalue()


class _Pickler(pickle.Pickler):
    """Parts of sealed values are views of memory, which a pickle takes as buffers only."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is memoryview:
            return _whole, (pickle.PickleBuffer(value),)
        return NotImplemented


def _whole(buffer: Any) -> Any:
    return buffer
