# SPDX-License-Identifier: BSD-2-Clause
"""A WAN that is no Ethernet: a point-to-point link without link header, between two TUN devices.

  C .2 ── 10.77.9.0/24 ── lan0 .1 [ R: culvertd ] wan0 198.51.100.2 ══ tun ══ 198.51.100.1 S
"""
import contextlib
import fcntl
import hashlib
import os
import select
import socket
import struct
import threading
import types

import pytest

from control import ask
from namespace import LIMIT, Namespace
from router import Culvert

pytestmark = [pytest.mark.culvert_only("the links are made for culvertd alone")]

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
SOL_UDP, UDP_SEGMENT = 17, 103
OUTSIDE, SERVER, FAR = "198.51.100.2", "198.51.100.1", "203.0.113.9"


def open_tun(space, name):
    with space.entered():
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


@contextlib.contextmanager
def wire(left, right):
    """Carries packets between two descriptors until the block ends."""
    stop, stopper = os.pipe()

    def carry_packets():
        while True:
            readable = select.select([left, right, stop], [], [])[0]
            if stop in readable:
                return
            for fd in readable:
                with contextlib.suppress(OSError):  # a device that is down
                    os.write(right if fd == left else left, os.read(fd, 65536))

    thread = threading.Thread(target=carry_packets)
    thread.start()
    try:
        yield
    finally:
        os.close(stopper)
        thread.join()
        for fd in (left, right, stop):
            os.close(fd)


@pytest.fixture(scope="module")
def bare():
    with contextlib.ExitStack() as stack:
        spaces = {}
        for name in ("C", "R", "S"):
            spaces[name] = Namespace(f"bare{name}")
            stack.callback(spaces[name].remove)
        lab = types.SimpleNamespace(**spaces)
        stack.enter_context(wire(open_tun(lab.R, "wan0"), open_tun(lab.S, "wan0")))
        lab.R.ip(f"link add lan0 type veth peer name eth0 netns {lab.C.name}", "address add 10.77.9.1/24 dev lan0",
                 "link set lan0 up", f"address add {OUTSIDE} peer {SERVER} dev wan0", "link set wan0 up",
                 "route add default dev wan0")
        lab.C.ip("address add 10.77.9.2/24 dev eth0", "link set eth0 up", "route add default via 10.77.9.1")
        lab.S.ip(f"address add {SERVER} peer {OUTSIDE} dev wan0", "link set wan0 up")
        lab.router = Culvert(lab)
        stack.callback(lab.router.close)
        lab.router.start()
        yield lab
        statistics = lab.router.statistics()
        for side, reasons in statistics.drop.items():
            assert "link_send" not in reasons and "link_offload" not in reasons, f"{side}: {reasons}"
        lab.router.stop()


def udp_pair(lab):
    server = lab.S.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((SERVER, 0))
    client = lab.C.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(server.getsockname())
    for end in (server, client):
        end.settimeout(LIMIT)
    return client, server


def test_datagrams_both_ways(bare):
    client, server = udp_pair(bare)
    with client, server:
        client.send(b"up")
        data, sender = server.recvfrom(100)
        assert data == b"up" and sender[0] == OUTSIDE
        server.sendto(b"down", sender)
        assert client.recv(100) == b"down"


def test_such_a_link_needs_no_route(bare):
    """All that goes to the WAN goes into the link, whatever the kernel's routes say: and so it is told."""
    bare.S.ip(f"address add {FAR}/32 dev lo")
    bare.R.ip("route delete default")
    try:
        bare.router.settle()
        with bare.S.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((FAR, 0))
            server.settimeout(LIMIT)
            with bare.C.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"far", server.getsockname())
                assert server.recvfrom(100)[1][0] == OUTSIDE
        assert ask(bare.router, f"explain out udp 10.77.9.2:6200 {FAR}:53")[0]["verdict"] == "forwarded"
        assert "no-default-route" not in [row.get("warning") for row in ask(bare.router, "status")]
        assert "default route" not in bare.router.log()
    finally:
        bare.R.ip("route add default dev wan0")
        bare.S.ip(f"address delete {FAR}/32 dev lo")


def test_udp_segments_are_cut_by_the_link(bare):
    client, server = udp_pair(bare)
    with client, server:
        client.setsockopt(SOL_UDP, UDP_SEGMENT, 1000)
        client.send(b"".join(bytes([number]) * 1000 for number in range(20)) + b"last")
        received = [server.recv(2000) for _ in range(21)]
    assert received == [bytes([number]) * 1000 for number in range(20)] + [b"last"]


@pytest.mark.parametrize("down", [False, True])
def test_tcp_carries_a_megabyte(bare, down):
    data = os.urandom(1 << 20)
    with bare.S.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((SERVER, 0))
        listener.listen()
        with bare.C.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(LIMIT)
            client.connect(listener.getsockname())
            server, peer = listener.accept()
            server.settimeout(LIMIT)
            assert peer[0] == OUTSIDE
            sender, receiver = (server, client) if down else (client, server)
            thread = threading.Thread(target=lambda: (sender.sendall(data), sender.shutdown(socket.SHUT_WR)))
            thread.start()
            digest = hashlib.sha256()
            while chunk := receiver.recv(65536):
                digest.update(chunk)
            thread.join()
            server.close()
    assert digest.digest() == hashlib.sha256(data).digest()
