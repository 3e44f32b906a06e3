# SPDX-License-Identifier: BSD-2-Clause
"""PPTP with real software at both ends: pptp-linux and pppd call pptpd, MS-CHAP v2 and MPPE with 128 bits, at pppd's
own MTU, where full-size packets travel as fragmented GRE."""
import time

import pytest

from calls import ENOUGH, all_hung_up, dial_all, use_all
from lab import ROUTER_WAN
from pptp import Client, Server
from wires import watch

CALL_ID = 65
LAN_SERVER = {"forward:vpn": {"service": "pptp", "to": "10.77.0.23"}}


@pytest.fixture(scope="module")
def server(room):
    server = Server(room.S1, "10.99.1").start()
    yield server
    server.stop()


@pytest.fixture
def callers(room, server):
    """C1, C2 and C3, each a client of the server in the WAN; no call is left behind."""
    clients = [Client(guest, server) for guest in (room.C1, room.C2, room.C3)]
    with all_hung_up(server, clients):
        yield clients


def test_one_call_carries_full_packets_both_ways(room, router, callers):
    client, here, there = callers[0], callers[0].guest.address, callers[0].server.guest.address
    with watch(room) as (lan, wan):
        client.dial()
        assert client.link()[1] == 1496
        client.ping()
        client.ping_full()
        client.transfer(2 * ENOUGH)
        lan.read(), wan.read()
    ((_, _, own, server_id),) = lan.replies
    ((_, _, outer, seen_server_id),) = wan.replies
    assert server_id == seen_server_id
    assert lan.gre.keys() == {(here, there, server_id), (there, here, own)}
    assert wan.gre.keys() == {(ROUTER_WAN, there, server_id), (there, ROUTER_WAN, outer)}
    assert min(wan.gre.values()) > 1000
    assert wan.fragments[ROUTER_WAN] > 1000 and wan.fragments[there] > 1000


def test_the_same_call_three_times(room, router, callers):
    client = callers[0]
    with watch(room) as (lan, wan):
        for _ in range(3):
            client.dial(CALL_ID)
            client.ping_full()
            client.hang_up()
            client.server.wait_for_sessions(0)
        lan.read(), wan.read()
    assert lan.requests == [(client.guest.address, client.address, CALL_ID)]


@pytest.mark.parametrize("call_id", [None, CALL_ID], ids=["call ids of their own", "equal call ids"])
def test_three_calls_to_one_server(room, router, callers, call_id):
    with watch(room) as (lan, wan):
        dial_all(callers, call_id)
        use_all(callers)
        lan.read(), wan.read()
    assert sorted(source for source, _, _ in lan.requests) == [client.guest.address for client in callers]
    if call_id is not None:
        assert {asked for _, _, asked in lan.requests} == {call_id}
    inside, outside = [own for _, _, own in lan.requests], [outer for _, _, outer, _ in wan.replies]
    assert len(outside) == 3 and len(set(outside)) == 3, f"inside {inside}, outside {outside}"
    assert all(source == ROUTER_WAN for source, _, _, _ in wan.replies)


def test_one_hangs_up_while_the_others_go_on(router, callers):
    first, *others = callers
    dial_all(callers, CALL_ID)
    waiting = [client.begin_transfer(2 * ENOUGH) for client in others]
    first.hang_up()
    first.server.wait_for_sessions(2)
    first.dial(CALL_ID)
    for finish in waiting:
        finish()
    for client in callers:
        client.ping_full()
    use_all(callers, 1 << 20)


@pytest.mark.config(LAN_SERVER)
def test_a_server_on_the_lan_while_others_call_out(room, router, callers):
    """S1 is the hard case: it calls the server behind the router and is called from there, between the same two
    addresses."""
    inner = Server(room.C3, "10.99.3").start()
    incoming = [Client(guest, inner, ROUTER_WAN) for guest in (room.S1, room.S2)]
    clients = [*callers[:2], *incoming]
    with all_hung_up(inner, incoming), watch(room) as (lan, wan):
        dial_all(clients)
        use_all(clients, 2 << 20)
        lan.read(), wan.read()
        assert {(source, target) for source, target, _ in wan.requests} == {
            (ROUTER_WAN, room.S1.address),
            (room.S1.address, ROUTER_WAN),
            (room.S2.address, ROUTER_WAN),
        }
        callers[0].hang_up()
        incoming[0].ping_full()
    inner.stop()


def count_dropped(router, reason):
    return router.statistics().drop["LAN"].get(reason, 0)


@pytest.mark.culvert_only("it has no such mode")
@pytest.mark.config({"pptp": {"mode": "block"}})
def test_a_blocked_call_fails_fast(router, callers):
    client, before = callers[0], count_dropped(router, "pptp_blocked")
    begin = time.monotonic()
    done = client.begin_dial()()
    assert done.code != 0, "there is a call although PPTP is blocked"
    assert time.monotonic() - begin < 45  # an answer that does not come is waited for longer
    assert count_dropped(router, "pptp_blocked") > before
    client.guest.run("ping", "-c", "1", "-W", "15", client.address)


@pytest.mark.culvert_only("it has no such mode")
@pytest.mark.config({"pptp": {"mode": "plain"}})
def test_without_help_one_host_at_a_time_has_a_call(router, callers):
    """Plain GRE has one owner for each remote address: a second host is told so at once, the first one goes on."""
    first, second = callers[:2]
    before = count_dropped(router, "owner_taken")
    first.dial()
    begin = time.monotonic()
    assert second.begin_dial()().code != 0, "two hosts share GRE to one server without help"
    assert time.monotonic() - begin < 45  # an answer that does not come is waited for longer
    assert count_dropped(router, "owner_taken") > before
    first.ping_full()


@pytest.mark.culvert_only("a host would need a rule of its own for it")
@pytest.mark.config(LAN_SERVER)
def test_a_server_on_the_lan_called_by_its_outside_address(room, router, callers):
    """Hairpinning: both ends are inside, each sees the other by the outside address."""
    inner = Server(room.C3, "10.99.3").start()
    client = Client(room.C1, inner, ROUTER_WAN)
    with all_hung_up(inner, [client]), watch(room) as (lan, wan):
        client.dial()
        use_all([client], 2 << 20)
        lan.read(), wan.read()
        assert not wan.gre and not wan.requests
    inner.stop()


@pytest.mark.culvert_only("it has no state of its own")
def test_calls_outlive_a_killed_router(router, callers):
    clients = callers[:2]
    dial_all(clients, CALL_ID)
    router.kill()
    router.start(router.config)
    use_all(clients, 1 << 20)
    clients[0].hang_up()
    clients[0].server.wait_for_sessions(1)
    clients[0].dial(CALL_ID)
    use_all(clients, 1 << 20)


@pytest.mark.culvert_only("it has no such mode")
def test_blocking_ends_calls_that_are_up(router, callers):
    client, before = callers[0], count_dropped(router, "pptp_blocked")
    client.dial()
    client.ping()
    router.reload({"pptp": {"mode": "block"}})
    done = client.guest.try_run("ping", "-q", "-c", "3", "-i", "0.2", "-W", "1", client.server.inside)
    assert "3 packets transmitted, 0 received" in done.output, done.output
    assert count_dropped(router, "pptp_blocked") > before
    router.reload({})
