# SPDX-License-Identifier: BSD-2-Clause
"""Native ESP with real software at both ends: libreswan, whose IKE stays on port 500, and the ESP of the guests'
kernels. An ESP packet that is too large travels in fragments."""
import contextlib
import time

import pytest

from calls import all_hung_up, dial_all, use_all
from esp import Client, Server, VpncClient
from lab import ROUTER_WAN
from wires import watch

SOME = 1 << 19
ONE_OWNER = "it gives all ESP of a server to one host"
LAN_SERVER = {"forward:vpn": {"service": "ipsec", "to": "10.77.0.23"}}


@pytest.fixture(scope="module")
def servers(room):
    servers = [Server(room.S1, "10.96.1").start(), Server(room.S2, "10.96.2").start()]
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def callers(room, router, servers):
    """C1, C2 and C3, each a client of S1; no tunnel is left behind."""
    clients = [Client(guest, servers[0]) for guest in (room.C1, room.C2, room.C3)]
    with all_hung_up(servers[0], clients):
        yield clients


def start_again(server, rekey_after=None):
    """The server forgets all its clients."""
    server.stop()
    server.rekey_after = rekey_after
    server.start()


def assert_native(lan, wan, clients):
    """All data was protocol 50, every client's own packets came through, and with the SPIs as they were."""
    assert not any(4500 in (own, its) for _, own, _, its in lan.udp), lan.udp
    for client in clients:
        here, there = client.guest.address, client.address
        out = {spi for source, to, spi in lan.esp if (source, to) == (here, there)}
        back = {spi for source, to, spi in lan.esp if (source, to) == (there, here)}
        assert out and back, f"{client.name} used {out} and got {back}"
        assert out <= {spi for source, to, spi in wan.esp if (source, to) == (ROUTER_WAN, there)}
        assert back <= {spi for source, to, spi in wan.esp if (source, to) == (there, ROUTER_WAN)}


@contextlib.contextmanager
def new_keys(clients):
    """Each client has all of its SPIs anew at the end."""
    before = {client: client.spis() for client in clients}
    yield
    for client, old in before.items():
        end = time.monotonic() + 60
        while any(spis & old[ends] for ends, spis in client.spis().items()):
            assert time.monotonic() < end, f"{client.name} still has an SPI of {old}\n{client.guest.syslog_tail()}"
            time.sleep(0.2)
        assert client.spis().keys() == old.keys()


def rekey_all(clients):
    with new_keys(clients):
        for client, finish in [(client, client.begin_rekey()) for client in clients]:
            done = finish()
            assert done.code == 0, f"{client.name}: {done.output}"


def test_one_client_through_rekeys(room, router, callers):
    client, there = callers[0], callers[0].address
    with watch(room) as (lan, wan):
        client.dial()
        client.ping()
        client.ping_fragments()
        waiting = client.begin_transfer(4 * SOME)
        rekey_all([client])
        waiting()
        client.ping_fragments()
        lan.read(), wan.read()
    assert_native(lan, wan, [client])
    assert {own for source, own, to, its in wan.udp if (source, to, its) == (ROUTER_WAN, there, 500)} == {500}
    assert wan.fragments[ROUTER_WAN] >= 20 and wan.fragments[there] >= 20


@pytest.mark.culvert_only(ONE_OWNER)
def test_three_clients_of_one_server_through_rekeys(room, router, callers):
    """All dial at one time."""
    with watch(room) as (lan, wan):
        dial_all(callers)
        use_all(callers, SOME)
        waiting = [client.begin_transfer(4 * SOME) for client in callers]
        rekey_all(callers)
        for finish in waiting:
            finish()
        use_all(callers, SOME)
        callers[0].ping_fragments()
        lan.read(), wan.read()
    assert_native(lan, wan, callers)


@pytest.mark.culvert_only(ONE_OWNER)
def test_two_clients_of_two_servers(room, router, servers, callers):
    """Four tunnels, all started at one time."""
    first = callers[:2]
    second = [Client(client.guest, servers[1]) for client in first]
    with all_hung_up(servers[1], second), watch(room) as (lan, wan):
        dial_all([*first, *second])
        use_all([*first, *second], SOME)
        lan.read(), wan.read()
    assert_native(lan, wan, [*first, *second])


@pytest.mark.culvert_only(ONE_OWNER)
def test_a_server_that_begins_with_new_keys(room, router, servers):
    """It rekeys as it likes, and is the first to use the new keys when its client has nothing to say."""
    server = servers[1]
    start_again(server, rekey_after=6)
    clients = [Client(guest, server) for guest in (room.C1, room.C2)]
    try:
        with all_hung_up(server, clients):
            dial_all(clients)
            use_all(clients, SOME)
            with new_keys(clients):
                pass
            use_all(clients, SOME)
    finally:
        start_again(server)


@pytest.mark.culvert_only(ONE_OWNER)
def test_a_client_of_another_make_beside_the_first(room, router, servers, callers):
    """vpnc: IKEv1, and it has never heard of NAT traversal."""
    clients = [callers[0], VpncClient(room.C2, servers[0])]
    try:
        with watch(room) as (lan, wan):
            dial_all(clients)
            use_all(clients, SOME)
            lan.read(), wan.read()
    finally:
        clients[1].hang_up()
        start_again(servers[0])  # it has not heard that vpnc is gone
    assert_native(lan, wan, clients)


@pytest.mark.config(LAN_SERVER)
def test_a_server_on_the_lan(room, router, callers):
    """S2 is a client of C3 through the router, while C1 is one of S1."""
    inner = Server(room.C3, "10.96.3").start()
    incoming = Client(room.S2, inner, ROUTER_WAN)
    clients = [callers[0], incoming]
    with all_hung_up(inner, [incoming]), watch(room) as (lan, wan):
        dial_all(clients)
        use_all(clients, SOME)
        lan.read(), wan.read()
    assert_native(lan, wan, callers[:1])
    assert {(source, to) for source, to, _ in wan.esp} == {
        (ROUTER_WAN, room.S1.address),
        (room.S1.address, ROUTER_WAN),
        (ROUTER_WAN, room.S2.address),
        (room.S2.address, ROUTER_WAN),
    }
    inner.stop()
