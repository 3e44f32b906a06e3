# SPDX-License-Identifier: BSD-2-Clause
"""L2TP/IPsec with real software at both ends: xl2tpd inside the ESP of strongSwan's transport mode. All that a NAT sees
is IKE and ESP in UDP."""
from calls import all_hung_up, dial_all, use_all
from l2tp_ipsec import Client, Server
from lab import ROUTER_WAN
from wires import watch

SOME = 1 << 19


def test_two_clients_with_different_ports_inside(room, router):
    """The first one carries full packets alone, then both at one time."""
    server = Server(room.S1, "10.97.1").start()
    first, second = clients = [Client(room.C1, server), Client(room.C2, server, port=1702)]
    with all_hung_up(server, clients), watch(room) as (lan, wan):
        first.dial()
        first.ping_full()
        first.transfer(SOME)
        second.dial()
        use_all(clients, SOME)
        lan.read(), wan.read()
    server.stop()
    there = server.guest.address
    outside = {(own, its) for source, own, to, its in wan.udp if (source, to) == (ROUTER_WAN, there)}
    assert {its for _, its in outside} == {500, 4500} and not wan.esp, outside
    assert len({own for own, its in outside if its == 4500}) == 2 and (4500, 4500) in outside, outside
    data = {source for (source, _, to, its), count in lan.udp.items() if (to, its) == (there, 4500) and count > 100}
    assert data == {client.guest.address for client in clients}
