# SPDX-License-Identifier: BSD-2-Clause
"""IKE servers that hear only source port 500 and know no NAT traversal: several clients inside share the router's port
500 towards such a server, and are told apart by the initiator's SPI. docs/nat-behaviour.md section 11."""
import struct
import time

import pytest

from ike_peer import (
    ANYTHING,
    AUTH,
    CREATE_CHILD_SA,
    FIRST,
    INFORMATIONAL,
    INITIATOR,
    MAIN_MODE,
    PATIENCE,
    PHASE_2,
    PORT,
    RESPONSE,
    SA_INIT,
    SHARE,
    Initiator,
    Message,
    Responder,
    ask,
    expect_request,
    is_ike,
    new_spi,
)
from lab import ROUTER_WAN
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.packet import Raw

ESP = 50
REKEY_SECONDS = 10.2  # after these an exchange does not tell any more for whom new keys are

pytestmark = pytest.mark.culvert_only("the kernel gives the second client another port, and that client gets no answer")


@pytest.fixture
def router(router):
    """A router that knows nothing of any server yet."""
    router.stop()
    router.start(router.config)
    return router


@pytest.fixture
def make(lab, router):
    """make(2): a strict responder and two initiators, each an inside host of its own."""

    def make(count, version=2, is_tolerant=False):
        server = Responder(lab.raw("W1"), is_tolerant)
        places = [("L1", 0), ("L2", 0), ("L1", 1), ("L2", 1)][:count]
        return server, *(Initiator(lab.raw(*place), server.peer.address, version) for place in places)

    return make


def share(server, first, second):
    """Both have an IKE SA, both through port 500."""
    for client in (first, second):
        ask(client, server, FIRST[client.version], SHARE)
    assert server.ports[0] == PORT and server.ports[-1] == PORT


def client_rekeys(client, server):
    ask(client, server, CREATE_CHILD_SA)


def server_rekeys(client, server):
    expect_request(client, server.ask(client.initiator, client.name, CREATE_CHILD_SA))
    spis = client.initiator, server.own[client.initiator]
    client.send(Message(2, *spis, CREATE_CHILD_SA, INITIATOR | RESPONSE, 0, f"from {client.name} answer"))
    assert server.take()[1] == PORT


def carry_esp(client, server, number):
    """The two SPIs of a child SA appear on the wire, the client's first."""
    for sender, receiver, to, text in (
        (client.peer, server.peer, client.there, b"from " + client.name.encode()),
        (server.peer, client.peer, ROUTER_WAN, b"to " + client.name.encode()),
    ):
        body = struct.pack("!II", new_spi() >> 32 | 256, number) + text
        sender.send(IP(src=sender.address, dst=to, proto=ESP) / Raw(body))
        got = receiver.expect(want=lambda ip: ip.proto == ESP)
        assert bytes(got.payload) == body, f"{receiver.address} got ESP that is not its own"


def test_a_lone_client_keeps_port_500(make):
    server, client = make(1)
    for exchange in (SA_INIT, AUTH, INFORMATIONAL):
        assert ask(client, server, exchange) == 1
    assert server.ports == [PORT] * 3


@pytest.mark.parametrize("version", [1, 2], ids=["ikev1", "ikev2"])
def test_two_clients_of_a_strict_server(make, version):
    """Twenty exchanges and some of the server's own each, and ESP of a child SA each."""
    server, one, two = make(2, version)
    assert ask(one, server, FIRST[version]) == 1
    assert ask(two, server, FIRST[version], SHARE) == SHARE
    assert server.ports[0] == PORT and PORT not in server.ports[1:4] and server.ports[4] == PORT
    for client in (one, two):
        ask(client, server, PHASE_2[version])
        carry_esp(client, server, 1)
    for number in range(18):
        for client in (one, two):
            assert ask(client, server, ANYTHING[version]) == 1
            if number % 5 == 0:
                expect_request(client, server.ask(client.initiator, client.name))
    assert set(server.ports[4:]) == {PORT}


def test_a_tolerant_server_sees_other_ports(make):
    server, one, two = make(2, is_tolerant=True)
    for exchange in (SA_INIT, INFORMATIONAL, INFORMATIONAL):
        for client in (one, two):
            assert ask(client, server, exchange) == 1
    assert server.ports[0::2] == [PORT] * 3
    assert len(set(server.ports[1::2])) == 1 and server.ports[1] != PORT


def test_what_is_known_of_a_server_serves_the_next_client(make):
    server, one, two, three = make(3)
    share(server, one, two)
    assert ask(three, server, SA_INIT) == 1
    for client in (one, two, three):
        assert ask(client, server, INFORMATIONAL) == 1
    assert set(server.ports[4:]) == {PORT}


def test_other_servers_are_not_taken_for_strict(lab, make):
    server, one, two = make(2)
    share(server, one, two)
    other = Responder(lab.raw("W2"), is_tolerant=True)
    clients = [Initiator(client.peer, other.peer.address) for client in (one, two)]
    for client in clients:
        assert ask(client, other, SA_INIT) == 1
    assert other.ports[0] == PORT and other.ports[1] != PORT
    assert ask(one, server, INFORMATIONAL) == 1 and ask(two, server, INFORMATIONAL) == 1


def test_a_server_that_answers_nobody_is_asked_from_the_own_port(make):
    """The owner of port 500 gets no answer either, so the port is not what is wrong."""
    server, one, two = make(2)
    for client in (one, two):
        client.begin(SA_INIT)
        server.take()
    for number in range(8):
        if number == 3:
            time.sleep(PATIENCE)
        two.again()
        server.take()
    assert server.ports[0] == PORT and len(server.ports) == 10 and PORT not in server.ports[1:]


def test_a_server_that_does_not_answer_on_500_either(make):
    """Three messages from the own port, three from port 500, and so on."""
    server, one, two = make(2)
    ask(one, server, SA_INIT)
    two.begin(SA_INIT)
    server.take()
    for number in range(1, 12):
        if number % 3 == 0:
            time.sleep(PATIENCE)
        two.again()
        server.take()
    assert [port == PORT for port in server.ports[1:]] == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3
    assert ask(one, server, INFORMATIONAL) == 1


@pytest.mark.config({"ipsec": {"mode": "plain"}})
def test_plain_shares_nothing(make):
    server, one, two = make(2)
    ask(one, server, SA_INIT)
    two.begin(SA_INIT)
    server.take()
    for _ in range(8):
        two.again()
        server.take()
    assert len(server.ports) == 10 and PORT not in server.ports[1:]


def test_new_keys_that_the_client_uses_first(make):
    """The SPIs of the new IKE SA were agreed on in secret."""
    server, one, two = make(2)
    share(server, one, two)
    for client in (two, one):
        ask(client, server, CREATE_CHILD_SA, 40)
        old, new = client.initiator, new_spi()
        client.initiator, client.responder, client.number = new, server.own.setdefault(new, new_spi()), 0
        assert ask(client, server, INFORMATIONAL) == 1
        expect_request(client, server.ask(new, client.name))
        expect_request(client, server.ask(old, client.name))
    assert ask(one, server, INFORMATIONAL) == ask(two, server, INFORMATIONAL) == 1


def test_new_keys_that_the_server_uses_first(make):
    """Meant is the only client that has negotiated in the last ten seconds, whoever began it."""
    server, one, two = make(2)
    share(server, one, two)
    time.sleep(REKEY_SECONDS)
    for begin in (client_rekeys, server_rekeys):
        begin(two, server)
        new = new_spi()
        expect_request(two, server.ask(new, two.name, flags=INITIATOR))
        expect_request(two, server.ask(new, two.name))
        one.peer.expect_nothing(0.05, is_ike)
        assert ask(one, server, INFORMATIONAL) == 1


def test_nobody_gets_what_may_be_for_two(make, router):
    server, one, two = make(2)
    share(server, one, two)
    with router.dropping(wan={"ike_no_peer": 3}):
        for _ in range(3):
            server.ask(new_spi(), "nobody")
        for client in (one, two):
            client.peer.expect_nothing(want=is_ike)
    assert ask(one, server, INFORMATIONAL) == 1 and ask(two, server, INFORMATIONAL) == 1


def test_one_spi_of_two_clients(make):
    """The later one does not share, and the earlier one is not disturbed."""
    server, one, two = make(2)
    ask(one, server, SA_INIT)
    two.start(one.initiator)
    two.begin(SA_INIT)
    for number in range(6):
        server.take()
        if number == 3:
            time.sleep(PATIENCE)
        two.again()
    server.take()
    assert PORT not in server.ports[1:]
    assert ask(one, server, INFORMATIONAL) == 1


def send_in_fragments(peer, packet, number, order=(0, 1, 2)):
    packet[IP].id = number
    pieces = fragment(packet, 1400)
    assert len(pieces) == len(order)
    for index in order:
        peer.send(pieces[index])


def expect_fragments(peer, message):
    """Three fragments that make this message, from port 500 to port 500."""
    got = {}
    while len(got) < 3:
        piece = peer.expect(want=lambda ip: ip.proto == 17)
        got[piece.frag] = bytes(piece.payload)
    whole = b"".join(got[offset] for offset in sorted(got))
    assert whole[8:] == bytes(message) and struct.unpack("!HH", whole[:4]) == (PORT, PORT)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)], ids=["in-order", "first-one-last"])
def test_large_messages_through_the_shared_port(make, order):
    """A server that never moves to port 4500 sends its certificates from port 500, in fragments; the clients, too."""
    server, one, two = make(2)
    share(server, one, two)
    for number, client in enumerate((two, one, two), 4711):
        spis = client.initiator, server.own[client.initiator]
        message = Message(2, *spis, INFORMATIONAL, RESPONSE, 9, f"to {client.name}" + "x" * 3500)
        send_in_fragments(server.peer, server.packet(message), number, order)
        expect_fragments(client.peer, message)
        for other in {one, two} - {client}:
            other.peer.expect_nothing(0.05, lambda ip: ip.proto == 17)
        message = Message(2, *spis, INFORMATIONAL, INITIATOR, 9, f"from {client.name}" + "y" * 3500)
        send_in_fragments(client.peer, client.packet(message), number, order)
        expect_fragments(server.peer, message)


def test_a_large_message_that_waits_for_its_turn(make):
    """While one client's phase 2 is under way the other's waits, all of its fragments."""
    server, one, two = make(2)
    share(server, one, two)
    ask(one, server, AUTH)
    message = Message(2, two.initiator, server.own[two.initiator], AUTH, INITIATOR, 1, f"from {two.name}" + "y" * 3500)
    send_in_fragments(two.peer, two.packet(message), 4711)
    server.peer.expect_nothing(0.3, lambda ip: ip.proto == 17)
    expect_fragments(server.peer, message)


def test_an_error_about_a_message_from_the_shared_port(lab, make):
    """It reaches the host that sent the message, and no other."""
    server, one, two = make(2)
    share(server, one, two)
    for client, other in ((two, one), (one, two)):
        client.begin(INFORMATIONAL)
        packet = server.peer.expect(want=is_ike)
        error = IP(src=server.peer.address, dst=ROUTER_WAN) / ICMP(type=3, code=3) / Raw(bytes(packet)[:56])
        server.peer.send(error)
        got = client.peer.expect(want=lambda ip: ip.proto == 1)
        assert got["IP in ICMP"].src == client.name and got["UDP in ICMP"].sport == PORT
        other.peer.expect_nothing(0.05, lambda ip: ip.proto == 1)


def test_a_client_that_begins_anew(make):
    """It was switched off: its old IKE SA is not closed, and a new one works from its first message on."""
    server, one, two = make(2)
    share(server, one, two)
    for client in (two, one):
        client.start()
        assert ask(client, server, SA_INIT) == 1 and ask(client, server, INFORMATIONAL) == 1


def test_sharing_outlives_the_daemon(make, router):
    server, one, two = make(2)
    share(server, one, two)
    router.kill()
    router.start(router.config)
    for client in (two, one):
        ask(client, server, INFORMATIONAL, 2)
    for client in (one, two):
        expect_request(client, server.ask(client.initiator, client.name))
        client.start()
        ask(client, server, SA_INIT, SHARE)


def test_a_stranger_gets_nothing_in_through_the_shared_port(lab, make, router):
    """Neither another server nor another port of the same server is the one that the port is shared with. The port's
    owner may get it: endpoint-independent filtering lets everybody in there."""
    server, one, two = make(2)
    share(server, one, two)
    message = Message(2, two.initiator, server.own[two.initiator], INFORMATIONAL, 0, 9, f"to {two.name} forged")
    stranger = lab.raw("W2")
    for peer, port in ((stranger, PORT), (server.peer, 4501)):
        packet = IP(src=peer.address, dst=ROUTER_WAN) / UDP(sport=port, dport=PORT) / Raw(bytes(message))
        peer.send(packet)
    two.peer.expect_nothing(0.1, is_ike)


def test_phase_1_of_version_1_that_the_server_begins(make, router):
    """Both clients have had a phase 1 in the last ten seconds: it may be meant for either, and neither gets it."""
    server, one, two = make(2, 1)
    share(server, one, two)
    with router.dropping(wan={"ike_no_peer": 1}):
        server.send(Message(1, new_spi(), 0, MAIN_MODE, 0, 0, f"to {two.name} new"))
        for client in (one, two):
            client.peer.expect_nothing(want=is_ike)
