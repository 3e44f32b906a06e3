# SPDX-License-Identifier: BSD-2-Clause
"""L2TP with real software at both ends: xl2tpd, which calls from port 1701, and pppd. Full-size packets travel as
fragmented UDP."""
import re
import time

import pytest

from calls import ENOUGH, all_hung_up, dial_all, use_all
from l2tp import Client, Server, answers_to_1701, only_1701
from lab import ROUTER_WAN
from wires import watch

SOME = 1 << 19
TEXT = "the same for both, and long enough for all that xl2tpd wants to be random in its life"
NOT_SHARED = "it moves the second client's port and knows no more"
LAN_SERVER = {"forward:vpn": {"service": "l2tp", "to": "10.77.0.23"}}


@pytest.fixture(scope="module")
def server(room):
    server = Server(room.S1, "10.98.1").start()
    yield server
    server.stop()


@pytest.fixture
def old_callers(room):
    """C1 and C2, clients of a server that can have two of one port; no call is left behind."""
    server = Server(room.S2, "10.98.2", in_program=True).start()
    clients = [Client(guest, server) for guest in (room.C1, room.C2)]
    with all_hung_up(server, clients):
        yield clients
    server.stop()


@pytest.fixture
def callers(room, server):
    """C1, C2 and C3, each a client of the server in the WAN; no call is left behind."""
    clients = [Client(guest, server) for guest in (room.C1, room.C2, room.C3)]
    with all_hung_up(server, clients):
        yield clients


def outside_ports(wan, server):
    return {
        port for source, port, destination, _ in wan.udp if (source, destination) == (ROUTER_WAN, server.guest.address)
    }


def test_one_call_carries_full_packets_both_ways(room, router, callers):
    client, there = callers[0], callers[0].server.guest.address
    with watch(room) as (lan, wan):
        client.dial()
        client.ping()
        client.ping_full()
        client.transfer(2 * ENOUGH)
        lan.read(), wan.read()
    assert len(outside_ports(wan, client.server)) == 1
    assert wan.fragments[ROUTER_WAN] > 1000 and wan.fragments[there] > 1000


def test_three_calls_from_one_port_to_one_server(room, router, callers):
    with watch(room) as (lan, wan):
        dial_all(callers)
        use_all(callers, 2 << 20)
        first, *others = callers
        first.hang_up()
        first.server.wait_for_sessions(2)
        first.dial()
        for client in callers:
            client.ping_full()
        lan.read(), wan.read()
    inside = {(source, port) for source, port, destination, _ in lan.udp if destination == first.address}
    assert {(client.guest.address, 1701) for client in callers} <= inside
    assert len(outside_ports(wan, first.server)) == 3


def test_a_lone_client_keeps_its_port(room, router, callers):
    """So even the server that takes only port 1701 is no trouble."""
    client = callers[0]
    with watch(room) as (lan, wan), only_1701(room, client.server) as rule:
        client.dial()
        client.transfer(SOME)
        lan.read(), wan.read()
    assert outside_ports(wan, client.server) == {1701}
    assert rule.count == 0


@pytest.mark.culvert_only(NOT_SHARED)
@pytest.mark.parametrize("random", [None, TEXT], ids=["tunnel ids of their own", "equal tunnel ids"])
def test_two_clients_of_a_server_that_takes_only_one_port(room, router, old_callers, random):
    """They share port 1701, told apart by Tunnel IDs; the rule says that the server would not have heard of another."""
    clients = old_callers
    with watch(room) as (lan, wan), only_1701(room, clients[0].server):
        dial_all(clients, random)
        use_all(clients, SOME)
        tunnels = re.findall(r"Tunnel ID inside (\d+), outside (\d+), .*connected", router.statistics().text)
        clients[0].hang_up()
        clients[1].ping_full()
        lan.read(), wan.read()
    assert len({outside for _, outside in tunnels}) == 2, tunnels
    assert len({inside for inside, _ in tunnels}) == (1 if random else 2), tunnels
    inside = {source for source, port, to, _ in lan.udp if (port, to) == (1701, clients[0].address)}
    assert inside == {client.guest.address for client in clients}
    assert 1701 in outside_ports(wan, clients[0].server)


@pytest.mark.culvert_only(NOT_SHARED)
def test_two_clients_of_a_server_that_answers_to_one_port(room, router, callers):
    clients = callers[:2]
    with answers_to_1701(room, clients[0].server) as rule:
        dial_all(clients)
        use_all(clients, SOME)
        for client in clients:
            client.ping_full()
    assert rule.count > 100, "no client had another port outside"


@pytest.mark.config(LAN_SERVER)
def test_a_server_on_the_lan_while_others_call_out(room, router, callers):
    """S2 calls the server behind the router, while C1 and C2 call out."""
    inner = Server(room.C3, "10.98.3").start()
    incoming = Client(room.S2, inner, ROUTER_WAN)
    clients = [*callers[:2], incoming]
    with all_hung_up(inner, [incoming]):
        dial_all(clients)
        use_all(clients, 2 << 20)
    inner.stop()


@pytest.mark.culvert_only("it has no such mode")
@pytest.mark.config({"l2tp": {"mode": "block"}})
def test_a_blocked_call_is_counted(router, callers):
    """xl2tpd asks on for five seconds and more whatever it hears; it gets no call and the reason is counted."""
    client, before = callers[0], router.statistics().drop["LAN"].get("l2tp_blocked", 0)
    finish = client.begin_dial()
    end = time.monotonic() + 60
    while router.statistics().drop["LAN"].get("l2tp_blocked", 0) == before:
        assert time.monotonic() < end, "nothing was dropped because L2TP is blocked"
        time.sleep(0.2)
    client.guest.run("ping", "-c", "1", "-W", "15", client.address)
    client.guest.run("ip link show type ppp | grep -q . && exit 1; kill $(cat /run/xl2tpd.pid)")
    finish()
