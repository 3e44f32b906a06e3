# SPDX-License-Identifier: BSD-2-Clause
"""VPNs that need no help work with all help switched off: OpenVPN, WireGuard and an SSL VPN are ordinary TCP and UDP.
Two hosts on the LAN are connected to one server at one time, and every byte is checked, both ways."""
import time

import pytest

from calls import ENOUGH, dial_all, use_all
from conftest import BoxRoom
from lab import ROUTER_WAN
from tunnels import OpenVpnClient, OpenVpnServer, SslClient, SslServer, WireGuardClient, WireGuardServer
from wires import watch

pytestmark = pytest.mark.config({name: {"mode": "block"} for name in ("pptp", "l2tp", "ipsec")})


@pytest.fixture(scope="module")
def room():
    """Overrides the room of guests."""
    room = BoxRoom("tunnels")
    try:
        room.build()
        yield room
    finally:
        room.close()


@pytest.fixture
def connected(room):
    """A function that starts a server and two clients, and waits until both are in; all of it ends with the test."""
    running = []

    def connect(server, clients, *options):
        running.append(server.start())
        running.extend(clients)
        dial_all(clients, *options)
        for client in clients:
            client.wait_for_device()
        return clients

    yield connect
    for each in reversed(running):
        (each.hang_up if hasattr(each, "hang_up") else each.stop)()


def drops(router):
    """By side and reason; nothing is known of the kernel's."""
    return router.statistics().drop if router.kind == "culvert" else None


def use_and_count(room, router, clients, port):
    """Full packets and data through both tunnels at one time; returns UDP packets by the router's outside port, both
    ways. Nothing that has to do with it is dropped."""
    before = drops(router)
    with watch(room) as (lan, wan):
        for client in clients:
            client.ping_full()
        use_all(clients, 5 * ENOUGH)
        lan.read(), wan.read()
    assert drops(router) == before
    out = {own: n for (source, own, _, to), n in wan.udp.items() if (source, to) == (ROUTER_WAN, port)}
    back = {own: n for (_, origin, to, own), n in wan.udp.items() if (to, origin) == (ROUTER_WAN, port)}
    return out, back


def check_udp(counts):
    """Both clients used UDP, each from a port of its own."""
    out, back = counts
    assert len(out) == 2 and out.keys() == back.keys(), f"outside ports {out}, back {back}"
    assert min(*out.values(), *back.values()) > 1000


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_openvpn(room, router, connected, transport):
    guests = room.L1, room.L2
    server = OpenVpnServer(room.W1, "10.91.0", transport, guests)
    clients = connected(server, [OpenVpnClient(guest, server) for guest in guests])
    counts = use_and_count(room, router, clients, 1194)
    if transport == "udp":
        check_udp(counts)
    else:
        assert counts == ({}, {})


def test_wireguard(room, router, connected):
    guests = room.L1, room.L2
    server = WireGuardServer(room.W1, "10.92.0", guests)
    clients = connected(server, [WireGuardClient(guest, server) for guest in guests])
    check_udp(use_and_count(room, router, clients, 51820))


@pytest.mark.parametrize("options", [[], ["--no-dtls"]], ids=["dtls", "tls"])
def test_ssl_vpn(room, router, connected, options):
    server = SslServer(room.W1, "10.93.0")
    clients = connected(server, [SslClient(guest, server) for guest in (room.L1, room.L2)], *options)
    counts = use_and_count(room, router, clients, 443)
    if options:
        assert counts == ({}, {})
    else:
        check_udp(counts)


@pytest.mark.culvert_only("it has no state of its own")
def test_all_at_one_time_across_a_killed_router(room, router, connected):
    """Two kinds on each host; data is under way in all four tunnels when the router is killed."""
    servers = [
        WireGuardServer(room.W1, "10.92.0", [room.L1, room.L2]),
        OpenVpnServer(room.W1, "10.91.0", "tcp", [room.L2]),
        SslServer(room.W1, "10.93.0"),
    ]
    kinds = [
        [WireGuardClient(guest, servers[0]) for guest in (room.L1, room.L2)],
        [OpenVpnClient(room.L2, servers[1])],
        [SslClient(room.L1, servers[2])],
    ]
    clients = [client for server, some in zip(servers, kinds) for client in connected(server, some)]
    waiting = [client.begin_transfer(5 * ENOUGH) for client in clients]
    time.sleep(0.3)
    router.kill()
    router.start(router.config)
    for finish in waiting:
        finish()
    use_all(clients, 1 << 20)
