"""Messages over a socket: a pickle, and behind it its large buffers, which nobody copies on the way."""

from __future__ import annotations

import io
import pickle
import select
import socket
import struct
from typing import Any

# Smaller buffers travel inside the pickle: a message of their own costs more than a copy.
APART_BYTES = 64 * 1024
# The length of the pickle, and how many buffers follow it.
_HEAD = struct.Struct("<QQ")


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection, which wait however long it takes: the user may have set a time for all sockets."""
    ends = socket.socketpair()
    for end in ends:
        end.settimeout(None)
    return ends


def send(connection: socket.socket, message: Any) -> None:
    """Sends one message. Raises OSError where nobody listens any more, and what pickling it raises."""
    buffers: list[memoryview[int]] = []
    body = packed(message, buffers)
    sizes = [buffer.nbytes for buffer in buffers]
    connection.sendall(_HEAD.pack(len(body), len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes) + body)
    for buffer in buffers:
        connection.sendall(buffer)


def receive(connection: socket.socket) -> Any:
    """The next message; waits for it. Raises EOFError or OSError where nobody sends any more."""
    length, count = _HEAD.unpack(_read(connection, _HEAD.size))
    sizes = struct.unpack(f"<{count}Q", _read(connection, 8 * count))
    body = _read(connection, length)
    return pickle.loads(body, buffers=[_read(connection, size) for size in sizes])


def has_come(connection: socket.socket, wait_s: float) -> bool:
    """Whether a message, or the end, comes within a time."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(wait_s * 1000))


def _read(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data


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


def buffer_of(view: memoryview[int]) -> pickle.PickleBuffer:
    """What a view shows, for a pickle. Views of the buffer are none of the view itself.

    Python crashes where it collects a view of a view with it, and comes to the inner one first; through arrays it does
    not look.
    """
    import numpy as np  # there are views of large buffers only

    array: Any = np.frombuffer(view, np.uint8)
    return pickle.PickleBuffer(array)


class _Pickler(pickle.Pickler):
    """Parts of sealed values are views of memory, which a pickle takes as buffers only."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is memoryview:
            return _whole, (bytes(value) if value.nbytes < APART_BYTES else buffer_of(value),)
        return NotImplemented


def _whole(buffer: Any) -> Any:
    return buffer
