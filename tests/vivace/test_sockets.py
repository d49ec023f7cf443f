"""Listening sockets: addresses, and what is said where one cannot be had."""

import os
import socket
from pathlib import Path

import pytest

from vivace.sockets import Inherited, Tcp, Unix, open_listeners, place


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:8080", Tcp("127.0.0.1", 8080)),
        ("localhost:0", Tcp("localhost", 0)),
        (":80", Tcp("", 80)),
        ("[::1]:8080", Tcp("::1", 8080)),
        ("[::]:8080", Tcp("::", 8080)),
        ("unix:/run/x.sock", Unix("/run/x.sock")),
        ("unix:x.sock", Unix("x.sock")),
        ("fd://3", Inherited(3)),
    ],
)
def test_addresses(text, where):
    assert place(text) == where


@pytest.mark.parametrize("text", ["", "8080", "a:b", "::1:80", "a:65536", "fd://", "fd://x", "unix:", "a:-1", "[::1]"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="is no address: write HOST:PORT"):
        place(text)


def test_a_listener_does_not_block_and_sends_at_once():
    (listener,) = open_listeners([Tcp("127.0.0.1", 0)], 7)
    try:
        port = listener.socket.getsockname()[1]
        assert listener.address == f"http://127.0.0.1:{port}"
        assert not listener.socket.getblocking()
        assert listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        # tcp_info of a listening socket: tcpi_sacked is its backlog.
        info = listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        assert int.from_bytes(info[28:32], "little") == 7
    finally:
        listener.close()


@pytest.mark.parametrize("host", ["localhost", ""])
def test_all_addresses_of_a_name_have_the_same_port(host):
    listeners = open_listeners([Tcp(host, 0)])
    try:
        assert len({listener.socket.getsockname()[1] for listener in listeners}) == 1
    finally:
        for listener in listeners:
            listener.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_two_colons_are_every_address_of_both_families():
    (listener,) = open_listeners([Tcp("::", 0)])
    try:
        socket.create_connection(("127.0.0.1", listener.socket.getsockname()[1])).close()
    finally:
        listener.close()


def test_an_address_in_use_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="another server has it") as caught:
            open_listeners([Tcp("127.0.0.1", port)])
    assert caught.value.strerror is not None
    assert caught.value.strerror.startswith(f"cannot listen on 127.0.0.1:{port}: address already in use")


def test_what_was_opened_before_a_failure_is_closed_again(tmp_path):
    path = tmp_path / "a.sock"
    with pytest.raises(OSError, match="no such file"):
        open_listeners([Unix(str(path)), Unix(str(tmp_path / "no" / "b.sock"))])
    assert not path.exists()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here(host):
    with pytest.raises(OSError, match="cannot listen on"):
        open_listeners([Tcp(host, 0)])


def test_a_unix_socket_is_removed_at_the_end(tmp_path):
    path = tmp_path / "a.sock"
    (listener,) = open_listeners([Unix(str(path))])
    assert listener.address == f"unix:{path}"
    assert path.is_socket()
    listener.close()
    assert not path.exists()


def test_a_unix_socket_of_a_dead_server_is_taken_over_and_that_of_a_live_one_is_not(tmp_path):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    (listener,) = open_listeners([Unix(str(path))])
    try:
        with pytest.raises(OSError, match="another server has it"):
            open_listeners([Unix(str(path))])
        assert path.is_socket()
    finally:
        listener.close()


def test_a_file_is_not_overwritten(tmp_path):
    path = Path(tmp_path / "precious")
    path.write_text("kept")
    with pytest.raises(OSError, match="cannot listen on unix:"):
        open_listeners([Unix(str(path))])
    assert path.read_text() == "kept"


@pytest.mark.parametrize("listening", [True, False])
def test_an_inherited_descriptor(listening):
    with socket.socket() as parent:
        parent.bind(("127.0.0.1", 0))
        if listening:
            parent.listen()
        (listener,) = open_listeners([Inherited(parent.fileno())])
        try:
            assert listener.address == f"http://127.0.0.1:{parent.getsockname()[1]}"
            socket.create_connection(parent.getsockname()).close()
        finally:
            listener.close()


def test_descriptors_that_will_not_do():
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="it is no socket"):
            open_listeners([Inherited(reading)])
    finally:
        os.close(reading)
        os.close(writing)
    with pytest.raises(OSError, match="has not passed it on"):
        open_listeners([Inherited(reading)])
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(OSError, match="no stream socket"):
        open_listeners([Inherited(datagrams.fileno())])
