# SPDX-License-Identifier: BSD-2-Clause
"""L2TP (RFC 2661) of many clients with source port 1701 to one server, and servers that answer from another port, to
another port, or only what comes from port 1701. docs/nat-behaviour.md section 12."""
import re

import pytest

from l2tp_peer import HELLO, PORT, SCCCN, SCCRP, SCCRQ, Client, Message, Server, carry, dial, hang_up, is_udp
from lab import ROUTER_WAN
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

pytestmark = pytest.mark.culvert_only("what these servers want of a router, the kernel's NAT does not know")
SHARE = 4  # the request that reaches a strict server: three get no answer
PLACES = [("L1", 0), ("L2", 0), ("L1", 1), ("L2", 1)]


@pytest.fixture
def router(router):
    """A router that knows nothing of any server yet."""
    router.stop()
    router.start(router.config)
    return router


@pytest.fixture
def make(lab, router):
    """make([1, 1], strict=True): a server and two clients, each an inside host of its own, both with Tunnel ID 1."""

    def make(own, host="W1", **marks):
        server = Server(lab.raw(host), **marks)
        return server, [Client(lab.raw(*place), server.peer.address, one) for place, one in zip(PLACES, own)]

    return make


def tunnels(router):
    """{client: (inside ID, outside ID, state)} of the tunnels that live."""
    found = re.findall(
        r"tunnel: L2TP (\S+)[^\n]*, Tunnel ID inside (\d+), outside (\d+)[^\n:]*: (requested|connected)",
        router.statistics().text,
    )
    return {client: (int(inside), int(outside), state) for client, inside, outside, state in found}


def test_a_lone_client_keeps_port_1701(make, router):
    server, (client,) = make([77])
    assert dial(client, server) == 1
    carry(server, [client])
    assert set(server.ports) == {PORT} and server.id_of(client) == 77
    assert tunnels(router) == {client.name: (77, 77, "connected")}
    hang_up(client, server)
    server.speak(client, Message(77, HELLO, "to"))
    client.receive()
    assert not tunnels(router)


@pytest.mark.parametrize("own", [[5, 6, 7, 8], [1, 1, 1, 1]], ids=["ids", "one-id"])
def test_four_clients_with_source_port_1701(make, router, own):
    """Outside ports tell them apart; nothing in their messages changes."""
    server, clients = make(own)
    for client in clients:
        assert dial(client, server) == 1
    carry(server, clients)
    assert len({server.seen[client.tunnel][2] for client in clients}) == 4
    assert [server.id_of(client) for client in clients] == own
    assert len(tunnels(router)) == 4


@pytest.mark.config({"nat": {"filtering": "address-and-port-dependent"}})
def test_a_server_that_answers_from_another_port(make, router):
    server, clients = make([3, 3], answers_from=40001)
    for client in clients:
        dial(client, server)
    carry(server, clients)
    # That is all it may do: another port of it, or a tunnel that nobody asked for, is a stranger.
    other = Server(server.peer, answers_from=40002)
    with router.dropping(wan={"filtered": 2}):
        other.send(Message(3, HELLO, "stranger"), server.seen[clients[0].tunnel][2])
        other.send(Message(9, SCCRP, "stranger", 5), server.seen[clients[0].tunnel][2])
    for client in clients:
        client.peer.expect_nothing(0.05)


def test_a_server_that_answers_to_port_1701(make, router):
    """Whatever port it was called from."""
    server, clients = make([11, 12, 13], answers_to=PORT)
    for client in clients:
        assert dial(client, server) == 1
    carry(server, clients)
    assert len(set(server.ports)) == 3


@pytest.mark.parametrize("own", [[21, 22], [9, 9]], ids=["ids", "one-id"])
def test_two_clients_of_a_strict_server(make, router, own):
    """The second one is heard with its fourth request, and a clash of Tunnel IDs is translated."""
    server, clients = make(own, strict=True)
    assert [dial(client, server, SHARE) for client in clients] == [1, SHARE]
    carry(server, clients, 20)
    assert set(server.ports[-40:]) == {PORT}
    seen = [server.id_of(client) for client in clients]
    assert seen[0] == own[0] and (seen[1] == own[1]) == (own[0] != own[1])
    assert [tunnels(router)[client.name] for client in clients] == [
        (own[0], seen[0], "connected"),
        (own[1], seen[1], "connected"),
    ]
    assert "shares outside port 1701" in router.statistics().text
    for client in clients:
        hang_up(client, server)
    for client in clients:  # the server is known now
        assert dial(client, server) == 1
    carry(server, clients)


def test_four_clients_of_a_strict_server_and_a_crash(make, router):
    server, clients = make([1, 1, 1, 1], strict=True)
    assert [dial(client, server, SHARE) for client in clients] == [1, SHARE, 1, 1]
    carry(server, clients)
    router.kill()
    router.start(router.config)
    carry(server, clients)
    assert len({server.id_of(client) for client in clients}) == 4


def test_strict_and_other_servers_at_one_time(lab, make, router):
    """Two clients to one that hears only port 1701, the same two to one that answers anybody."""
    strict, clients = make([1, 1], strict=True)
    easy, others = make([1, 1], host="W2")
    for client, other in zip(clients, others):
        dial(client, strict, SHARE)
        dial(other, easy)
    for _ in range(3):
        carry(strict, clients, 2)
        carry(easy, others, 2)


def test_fragments_through_the_shared_port(make, router):
    server, clients = make([4, 4], strict=True)
    for client in clients:
        dial(client, server, SHARE)
    for number, client in enumerate(clients):
        payload = bytes([number + 1]) * 1200
        server.speak(client, Message(server.id_of(client), payload=payload), pieces=800)
        pieces = [client.peer.expect() for _ in range(2)]
        data = b"".join(bytes(piece.payload) for piece in sorted(pieces, key=lambda piece: piece.frag))
        message = Message.read(data[8:])
        assert message.tunnel == client.own and message.payload == payload
    for client in clients:
        client.peer.expect_nothing(0.05)


def test_errors_about_the_shared_port(lab, make, router):
    """Fragmentation needed quotes what one client sent, and reaches just that one."""
    server, clients = make([4, 4], strict=True)
    for client in clients:
        dial(client, server, SHARE)
    x = lab.raw("X")
    for client in clients:
        payload = b"much" * 200
        client.send(Message(client.tunnel, payload=payload), flags="DF")
        quote = bytes(server.peer.expect(want=is_udp))[:100]
        x.send(IP(src=x.address, dst=ROUTER_WAN) / ICMP(type=3, code=4, nexthopmtu=1400) / Raw(quote))
        got = client.peer.expect(want=lambda ip: ICMP in ip)
        assert got[ICMP].nexthopmtu == 1400 and got.src == x.address
        assert (bytes(got[ICMP].payload)[12:16], bytes(got[ICMP].payload)[20:22]) == (
            bytes(map(int, client.name.split("."))),
            PORT.to_bytes(2, "big"),
        )
    for client in clients:
        client.peer.expect_nothing(0.05)


def test_strays_on_the_shared_port(make, router):
    """What is nobody's goes to the owner of the port, and without one it is counted."""
    server, clients = make([4, 5], strict=True)
    for client in clients:
        dial(client, server, SHARE)
    server.send(Message(999, payload=b"stray"), PORT)
    packet = clients[0].peer.expect(want=is_udp)
    assert Message.read(bytes(packet[UDP].payload)).tunnel == 999
    clients[1].peer.expect_nothing(0.05)


def test_a_hidden_id_goes_its_own_way(make, router):
    """It cannot be told apart on a shared port, so it stays away from it."""
    server, clients = make([31, 32])
    clients[1].hide = True
    dial(clients[0], server)
    for _ in range(6):
        clients[1].ask()
        taken = server.take()
        assert taken is not None and taken[0].own is None and taken[1] != PORT
    assert "Hint share_impossible" in router.statistics().text
    server.send(Message(32, SCCRP, "to", 555), taken[1])
    assert clients[1].receive().own == 555
    assert "Hint tunnel_id_hidden" in router.statistics().text


@pytest.mark.config({"forward:vpn": {"service": "l2tp", "to": "10.77.0.104"}})
def test_a_server_inside_beside_clients(lab, make, router):
    """Callers from outside, with one Tunnel ID; and clients to a strict server, whose port 1701 it is as well."""
    inner, outer = lab.raw("L2", 1), lab.raw("W2")
    server, clients = make([6, 6], strict=True)
    for client in clients:
        assert dial(client, server, SHARE) == (SHARE if client is clients[0] else 1)
    for number, port in enumerate((PORT, 1702, 50000)):
        begin = IP(src=outer.address, dst=ROUTER_WAN) / UDP(sport=port, dport=PORT)
        outer.send(begin / Raw(bytes(Message(0, SCCRQ, "caller", 6))))
        packet = inner.expect(want=is_udp)
        assert (packet.src, packet[UDP].sport, packet[UDP].dport) == (outer.address, port, PORT)
        answer = IP(src=inner.address, dst=outer.address) / UDP(sport=PORT, dport=port)
        inner.send(answer / Raw(bytes(Message(6, SCCRP, "inner", 100 + number))))
        packet = outer.expect(want=is_udp)
        assert (packet.src, packet[UDP].sport, packet[UDP].dport) == (ROUTER_WAN, PORT, port)
        assert Message.read(bytes(packet[UDP].payload)).own == 100 + number
        outer.send(begin / Raw(bytes(Message(100 + number, SCCCN, "caller"))))
        assert Message.read(bytes(inner.expect(want=is_udp)[UDP].payload)).tunnel == 100 + number
    carry(server, clients)
    assert len(tunnels(router)) >= 3


def test_tunnels_come_and_go_in_the_log(make, router):
    server, (client,) = make([500])
    mark = router.mark()
    dial(client, server)
    found = router.wait_for(r"tunnel up: (L2TP [^\n]*)", mark)
    assert f'L2TP {client.name} "{client.name}" -> {server.peer.address} "to {client.name}"' in found.group(1)
    hang_up(client, server)
    server.speak(client, Message(500, HELLO, "to"))
    router.wait_for(r"tunnel down: L2TP [^\n]*the control connection was stopped", mark)


def test_plain_and_block(lab, make, router):
    server, clients = make([2, 2], strict=True)
    for client in clients:
        dial(client, server, SHARE)
    router.reload({"l2tp": {"mode": "plain"}})
    for _ in range(5):
        clients[1].ask()
        assert server.take()[1] != PORT
    router.reload({"l2tp": {"mode": "block"}})
    with router.dropping(lan={"l2tp_blocked": 2}):
        for client in clients:
            client.ask()
    server.peer.expect_nothing(0.05, is_udp)
