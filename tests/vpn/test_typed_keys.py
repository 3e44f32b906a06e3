# SPDX-License-Identifier: BSD-2-Clause
"""ESP and AH between real kernels without IKE: all that is known of an ESP tunnel are its SPIs."""
import time

import pytest

from calls import use_all
from lab import ROUTER_WAN
from typed_keys import Client, Server, clean, start_ah
from wires import watch

SOME = 1 << 19


def ping_at_once(clients):
    """One ping each, all at one time, and none is lost: the seconds that the slowest one took."""
    waiting = [client.guest.begin("ping", "-c", "1", "-W", "30", client.server.inside) for client in clients]
    begin = time.monotonic()
    for client, finish in zip(clients, waiting):
        done = finish()
        assert done.code == 0, f"{client.name}: {done.output}"
    return time.monotonic() - begin


def test_three_tunnels_started_at_once(room, router):
    guests = [room.C1, room.C2, room.C3]
    server = Server(room.S1, "10.95.1", guests).start()
    clients = [Client(guest, server).start() for guest in guests]
    with watch(room) as (lan, wan):
        took = ping_at_once(clients)
        use_all(clients, SOME)
        for client in clients:
            client.ping_fragments()
        lan.read(), wan.read()
    there = server.guest.address
    assert took < 20, f"the last of three came through after {took:.1f} s"
    assert wan.esp.keys() == {(ROUTER_WAN, there, client.out) for client in clients} | {
        (there, ROUTER_WAN, client.back) for client in clients
    }
    for client in clients:
        assert {spi for _, to, spi in lan.esp if to == client.guest.address} == {client.back}
        client.stop()
    server.stop()


@pytest.mark.culvert_only("it forwards AH, which the other end then throws away")
def test_authentication_headers_are_dropped_by_name(room, router):
    client, there, before = room.C1, room.S2.address, count_ah(router)
    start_ah(client, there)
    with watch(room) as (lan, wan):
        assert client.try_run("ping", "-c", "3", "-i", "0.2", "-W", "1", there).code != 0
        lan.read(), wan.read()
    clean(client)
    assert [(source, to) for source, to, _ in lan.ah] == [(client.address, there)] and not wan.ah
    assert count_ah(router) == before + sum(lan.ah.values())
    client.run("ping", "-c", "1", "-W", "15", there)


def count_ah(router):
    return router.statistics().drop["LAN"].get("ah_untranslatable", 0)
