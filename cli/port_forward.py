"""A small TCP forwarder for one machine: further port numbers for addresses that answer already.

S0's services are known by ports of their own (S0-70). `up` answers on them too, by passing bytes
on to our API and gateway. Both ends are loopback addresses, so nobody else gets in by this way.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOPBACK = "127.0.0.1"
CONNECTIONS_MAX = 128
"""Connections of one forwarded port at once; one more is closed at once. Each has a thread."""
CHUNK_BYTES = 64 * 1024
IDLE_S = 3_600
"""A connection without a byte for so long is closed, seconds: as long as our longest stream."""
CONNECT_S = 5
"""How long the target may take to answer, seconds."""


class PortForward:
    """Passes connections of one local port on to another, until it is closed.

    Args:
        port: Port to listen on; 0 lets the system choose.
        target: Port to pass on to.

    Raises:
        OSError: When the port is taken.
    """

    def __init__(self, port: int, target: int) -> None:
        self._target = target
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._listener = socket.create_server((LOOPBACK, port), backlog=CONNECTIONS_MAX)
        self.port: int = self._listener.getsockname()[1]
        self._closed = threading.Event()
        threading.Thread(target=self._accept, name=f"forward {port}", daemon=True).start()

    def close(self) -> None:
        """Stop listening; connections that are open end with the process."""
        self._closed.set()
        with suppress(OSError):
            # Wakes the thread that waits in accept, which closing alone would not.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                if self._closed.is_set():
                    return
                continue
            if not self._places.acquire(blocking=False):
                client.close()
                continue
            threading.Thread(
                target=self._serve, args=(client,), name="forwarded", daemon=True
            ).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, suppress(OSError):
                server = socket.create_connection((LOOPBACK, self._target), timeout=CONNECT_S)
                with server:
                    _pass_on(client, server)
        finally:
            self._places.release()


def _pass_on(left: socket.socket, right: socket.socket) -> None:
    """Copy bytes both ways until both sides have said all, or nothing comes for IDLE_S."""
    left.settimeout(IDLE_S)
    right.settimeout(IDLE_S)
    with selectors.DefaultSelector() as selector:
        selector.register(left, selectors.EVENT_READ, right)
        selector.register(right, selectors.EVENT_READ, left)
        while selector.get_map():
            ready = selector.select(IDLE_S)
            if not ready:
                return
            for key, _ in ready:
                source, sink = key.fileobj, key.data
                if not isinstance(source, socket.socket):
                    continue
                chunk = source.recv(CHUNK_BYTES)
                if chunk:
                    sink.sendall(chunk)
                else:
                    selector.unregister(source)
                    with suppress(OSError):
                        sink.shutdown(socket.SHUT_WR)


@contextmanager
def forwarded(ports: dict[int, int]) -> Iterator[tuple[int, ...]]:
    """This function will forward ports for as long as a block lasts; those that are taken are not.

    Args:
        ports: Port to listen on → port to pass on to.

    Yields:
        The ports that are forwarded.
    """
    forwards = []
    for port, target in ports.items():
        with suppress(OSError):
            forwards.append(PortForward(port, target))
    try:
        yield tuple(forward.port for forward in forwards)
    finally:
        for forward in forwards:
            forward.close()
