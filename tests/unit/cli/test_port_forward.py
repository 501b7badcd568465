"""Forwarded ports: bytes both ways, on this machine only, and an end."""

import socket
import threading

import pytest

from cli.port_forward import forwarded


@pytest.fixture
def echo() -> socket.socket:
    """A server that answers each connection with what it got, in capitals, at its end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                said = b""
                while chunk := client.recv(65_536):
                    said += chunk
                client.sendall(said.upper())

    threading.Thread(target=serve, daemon=True).start()
    return listener


class TestForwarded:
    def test_pass_on_bytes_both_ways(self, echo: socket.socket) -> None:
        sent = b"abc" * 500_000
        with echo, forwarded({0: echo.getsockname()[1]}) as (port,):
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                    client.sendall(sent)
                    client.shutdown(socket.SHUT_WR)
                    found = b"".join(iter(lambda: client.recv(65_536), b""))
                assert found == sent.upper()

    def test_leave_out_what_is_taken_and_end_with_the_block(self, echo: socket.socket) -> None:
        taken = echo.getsockname()[1]
        with echo, forwarded({taken: taken, 0: taken}) as ports:
            (port,) = ports
            assert port != taken
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)

    def test_close_a_connection_that_nobody_takes(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with (
                forwarded({0: unused.getsockname()[1]}) as (port,),
                socket.create_connection(("127.0.0.1", port), timeout=20) as client,
            ):
                assert client.recv(1) == b""
