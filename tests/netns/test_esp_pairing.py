# SPDX-License-Identifier: BSD-2-Clause
"""Native ESP (RFC 4303) of several clients to one server, without IKE: nothing in a packet from outside says whose it
is but an SPI that was agreed on in secret. docs/nat-behaviour.md section 11."""
import secrets
import struct
import time

import pytest

from esp_peer import Field, carry, learned_mtu, new_spi, refused_df, seal, server_first, settle, start_at_once
from lab import ROUTER_WAN, THIRD, UPSTREAM
from scapy.layers.inet import ICMP, IP
from scapy.packet import Raw
from test_mtu import SMALL_HOP

CLIENTS = ["L1", "L2", ("L2", THIRD)]
pytestmark = [
    pytest.mark.culvert_only("the kernel's own NAT has one owner of ESP for each remote address"),
    pytest.mark.usefixtures("third_client"),
]


@pytest.fixture
def field(lab):
    field = Field(lab)
    yield field
    field.close()


# --- start ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 5, 8])
def test_three_clients_start_at_once(lab, router, field, count):
    """The second and the third wait until the one before has an answer: only so can answers be told apart."""
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    with router.dropping(lan={}, wan={}):
        start_at_once(field, pairs, count)
        carry(field, pairs, 20)


def test_three_clients_one_after_the_other(lab, router, field):
    pairs = []
    for client in CLIENTS:
        pairs.append(field.pair(client, "W1"))
        carry(field, pairs[-1:], 1)
    carry(field, pairs, 20)


def test_two_clients_to_two_servers(lab, router, field):
    """All four pairs at one time, and then everything twice: two tunnels of one host to one server."""
    pairs = [field.pair(client, server) for client in CLIENTS[:2] for server in ("W1", "W2")]
    start_at_once(field, pairs)
    for client in CLIENTS[:2]:
        more = [field.pair(client, server) for server in ("W1", "W2")]
        start_at_once(field, more)
        pairs += more
    carry(field, pairs, 20)


def test_a_slow_server(lab, router, field):
    """It takes a second to answer the first packet of each: nothing is lost meanwhile, and all are right within 5 s."""
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    for pair in pairs:
        pair.server.answers = False
        pair.client.send()
    begin, silent = time.monotonic(), list(pairs)
    while silent and time.monotonic() < begin + 5:
        field.rest(1.0)
        for pair in [pair for pair in silent if pair.server.received]:
            pair.server.send()
            silent.remove(pair)
    assert field.run(lambda: all(pair.whole() and pair.client.received for pair in pairs)), "\n".join(map(repr, pairs))
    assert time.monotonic() - begin < 5
    for pair in pairs:
        pair.server.answers = True
    carry(field, pairs)


@pytest.mark.parametrize("others", [0, 1, 2])
def test_rekey_the_client_first(lab, router, field, others):
    """A new pair of SPIs beside the old one, which goes on for a while."""
    pairs = [field.pair(client, "W1") for client in CLIENTS[: others + 1]]
    start_at_once(field, pairs)
    for _ in range(3):
        for number, client in enumerate(CLIENTS[: others + 1]):
            old, pairs[number] = pairs[number], field.pair(client, "W1")
            carry(field, [pairs[number]], 1)
            carry(field, [old, *pairs], 3)
            old.close()
    carry(field, pairs, 10)


def test_all_rekey_at_one_time(lab, router, field):
    """Nothing but their order tells three new SPIs apart when all clients had sent before the server answered and there
    is no IKE: it takes a while, and the old ones go on meanwhile."""
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    start_at_once(field, pairs)
    fresh = [field.pair(client, "W1") for client in CLIENTS]
    for pair in fresh:
        pair.server.answers = False
        pair.client.send()
        field.rest(0.03)
    for pair in fresh:
        pair.server.answers = True
    settle(field, fresh, 15)
    carry(field, pairs + fresh, 10)


def place(field, host):
    """Host and address."""
    return (host, field.address(host)) if isinstance(host, str) else host


def ike_exchange(lab, asking, answering, to=None):
    """One request on port 500 and its answer, each end a host and its address: an encrypted CREATE_CHILD_SA, of which
    the header says what it is (RFC 7296 section 3.1)."""
    with lab.udp(*asking, 500) as here, lab.udp(*answering, 500) as there:
        header = struct.pack("!QQBBBBI", secrets.randbits(63) + 1, secrets.randbits(63) + 1, 46, 0x20, 36, 8, 2)
        here.sendto(header + struct.pack("!I", 60) + bytes(32), (to or answering[1], 500))
        asked, seen = there.recvfrom(2048)
        there.sendto(asked[:19] + b"\x20" + asked[20:], seen)
        assert here.recv(2048)[:16] == header[:16]


@pytest.mark.parametrize("who", range(3))
def test_rekey_the_server_first_after_ike(lab, router, field, who):
    """Three clients, and the server uses new SPIs first: they belong to whoever has just spoken IKE with it."""
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    start_at_once(field, pairs)
    ike_exchange(lab, place(field, CLIENTS[who]), place(field, "W1"))
    fresh = field.pair(CLIENTS[who], "W1")
    server_first(field, fresh)
    carry(field, [*pairs, fresh])


def test_rekey_the_server_first_and_nobody_knows_whose(lab, router, field):
    """Nothing says whose it is: nobody gets it, it is counted, and it is right as soon as the client speaks."""
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    start_at_once(field, pairs)
    fresh = field.pair(CLIENTS[1], "W1")
    with router.dropping(wan={"esp_ambiguous": 1}):
        fresh.server.send()
        field.rest(0.2)
    assert not field.strays() and not fresh.client.received
    fresh.forgive()
    carry(field, [fresh])
    carry(field, [*pairs, fresh])


@pytest.mark.config({"ipsec": {"esp_fanout": "yes"}})
def test_fanout(lab, router, field):
    """The same with copies to all it may be for: the right one takes it, the others do not know the SPI."""
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    start_at_once(field, pairs)
    fresh = field.pair(CLIENTS[1], "W1")
    fresh.server.send()
    assert field.run(lambda: fresh.client.received and len(field.strays()) == 2), f"{fresh}, {field.strays()}"
    field.forget_strays()
    carry(field, [*pairs, fresh])


# --- size and errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1480, 4000])
def test_fragmented_packets_wait_as_well(lab, router, field, size):
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    start_at_once(field, pairs, 2, size)
    carry(field, pairs, 5, size)


def test_df_of_one_of_several_behind_a_small_hop(lab, router, field):
    """X's "fragmentation needed" quotes the SPI: the host that sent it hears of it, and only that one."""
    pairs = [field.pair(client, "W1") for client in CLIENTS[:2]]
    start_at_once(field, pairs)
    with lab.mtu(*SMALL_HOP):
        router.settle()
        client, remote = pairs[1].client, pairs[1].client.remote
        assert refused_df(client, 1400) == (UPSTREAM, 3, 4)
        assert learned_mtu(lab.L2, remote) == 1280 and learned_mtu(lab.L1, remote) is None


def test_a_client_that_does_not_listen_any_more(lab, router, field):
    """What its kernel says reaches the server with the SPI that the server used; the others go on."""
    pairs = [field.pair(client, "W1") for client in CLIENTS[:2]]
    start_at_once(field, pairs)
    field.lines.pop(pairs[0].client.line.address).socket.close()
    with lab.capture_wan() as capture:
        pairs[0].server.send()
        field.rest(0.2)
        errors = [packet for packet in capture.packets() if packet.proto == 1 and packet.src == ROUTER_WAN]
    assert len(errors) == 1 and (errors[0][ICMP].type, errors[0][ICMP].code) == (3, 2), errors
    quote = bytes(errors[0][ICMP].payload)
    assert IP(quote).dst == ROUTER_WAN and int.from_bytes(quote[20:24], "big") == pairs[0].client.own_spi
    carry(field, pairs[1:])


# --- those who disturb -----------------------------------------------------------------------------------------------


def test_a_client_that_nobody_answers(lab, router, field):
    """Its key is wrong, and it never gives up. The others wait a little, but not for ever, and lose nothing."""
    wrong = field.pair(CLIENTS[0], "W1")
    wrong.server.answers = False
    pairs = [field.pair(client, "W1") for client in CLIENTS[1:]]
    begin = time.monotonic()
    while not all(pair.client.received for pair in pairs):
        assert time.monotonic() < begin + 10, f"{[wrong, *pairs]}, {field.strays()}"
        for pair in (wrong, *pairs):
            pair.client.send()
        field.rest(0.5)
    assert field.run(lambda: all(pair.whole() for pair in pairs)), pairs  # the last ones may be on their way
    carry(field, pairs, 10)
    assert not wrong.client.received


def test_more_packets_than_can_wait(lab, router, field):
    """8 are held for a host whose turn it is not."""
    first, second = (field.pair(client, "W1") for client in CLIENTS[:2])
    first.server.answers = False
    with router.dropping(lan={"esp_queue_full": 4}):
        first.client.send()
        for _ in range(12):
            second.client.send()
        field.rest(0.2)
        assert first.server.received == [1] and not second.server.received
    first.server.answers = True
    first.client.send()
    assert field.run(lambda: second.client.received == list(range(1, 9))), second
    first.forgive(), second.forgive()
    carry(field, [first, second])


@pytest.mark.parametrize("others", [1, 3])
def test_strangers(lab, router, field, others):
    """ESP from an address that no client has sent to goes nowhere, and nobody is harmed."""
    pairs = [field.pair(client, "W1") for client in CLIENTS[:others]]
    start_at_once(field, pairs)
    stranger = lab.raw("W2")
    with lab.capture_lan() as inside, router.dropping(wan={"no_owner": 50}):
        for number in range(50):
            packet = seal(pairs[0].client.own_spi if number % 2 else new_spi(), number, "stranger", 50)
            stranger.send(IP(src=stranger.address, dst=ROUTER_WAN, proto=50) / Raw(packet))
        stranger.expect_nothing(0.1)
        assert not [packet for packet in inside.packets(0) if packet.proto == 50]
    carry(field, pairs)


@pytest.mark.parametrize("others", [1, 2])
def test_a_flood_in_the_servers_name(lab, router, field, others):
    """Somebody forges the server's address and makes SPIs up: those who are connected stay so, and the next client
    comes in."""
    pairs = [field.pair(client, "W1") for client in CLIENTS[:others]]
    start_at_once(field, pairs)
    forger = lab.raw("X")
    for number in range(2000):
        packet = seal(new_spi(), 1, "forger", 40)
        forger.send(IP(src=pairs[0].server.line.address, dst=ROUTER_WAN, proto=50) / Raw(packet))
        if number % 50 == 0:
            field.pump()
    field.rest(0.2)
    field.forget_strays()
    carry(field, pairs)
    pairs.append(field.pair(CLIENTS[2], "W1"))
    start_at_once(field, pairs[-1:])
    carry(field, pairs, 5)


def test_two_hosts_with_one_spi(lab, router, field):
    """The server has been given the same SPI by two of its clients: nothing can tell them apart. It stays with the
    older one, and is told."""
    first = field.pair("L1", "W1")
    first.server.sent = first.client.sent = 100000
    first.forgive()
    carry(field, [first])
    before = router.statistics().counter.get("esp_spi_collision", 0)
    second = field.pair("L2", "W1", (first.client.own_spi, new_spi()))
    for _ in range(3):
        second.client.send()
        field.rest(0.1)
    assert not second.client.received and second.server.received
    assert router.statistics().counter["esp_spi_collision"] == before + 3
    first.forgive(), field.forget_strays()
    carry(field, [first])


def test_a_wrong_pairing_is_repaired(lab, router, field):
    """L1 is alone in waiting for an answer when the server uses a new SPI for L2. L1 gives up; L2 has what is its own
    ten seconds later."""
    old = field.pair("L2", "W1")
    carry(field, [old])
    wrong = field.pair("L1", "W1")
    wrong.server.answers = False
    wrong.client.send()
    assert field.run(lambda: wrong.server.received == [1]), wrong  # what comes from the other side might be read first
    fresh = field.pair("L2", "W1")
    fresh.server.send()
    assert field.run(lambda: len(field.strays()) == 1), field.strays()
    assert field.strays()[0][0] == wrong.client.line.address
    settle(field, [fresh], 60)
    carry(field, [old, fresh])


# --- what the router's own life does ---------------------------------------------------------------------------------


def test_pairs_outlive_a_killed_router(lab, router, field):
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    start_at_once(field, pairs)
    time.sleep(1.2)  # what is known is written every second
    router.kill()
    router.start(router.config)
    for pair in pairs:
        pair.server.answers = False
        pair.server.send()
    assert field.run(lambda: all(pair.client.received[-1] == pair.server.sent for pair in pairs)), pairs
    for pair in pairs:
        pair.server.answers = True
    carry(field, pairs)


def test_reload_to_block_and_back(lab, router, field):
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    start_at_once(field, pairs)
    router.reload({"ipsec": {"mode": "block"}})
    with router.dropping(lan={"ipsec_blocked": 3}):
        for pair in pairs:
            pair.client.send()
        field.rest(0.1)
    with router.dropping(wan={"ipsec_blocked": 3}):
        for pair in pairs:
            pair.server.send()
        field.rest(0.1)
    assert not field.strays()
    router.reload({})
    pairs = [field.pair(client, "W1") for client in CLIENTS]
    start_at_once(field, pairs)


# --- a server inside -------------------------------------------------------------------------------------------------

FORWARD = {"forward:vpn": {"service": "ipsec", "to": "10.77.0.12"}}


@pytest.mark.config(FORWARD)
def test_a_server_inside_beside_clients_that_call_out(lab, router, field):
    """W1 and W2 are clients of the server inside and servers of L1: all four tunnels between the same pairs of
    addresses. IKE says that there are two hosts inside to choose from."""
    out = [field.pair("L1", server) for server in ("W1", "W2")]
    into = [field.pair_inward(client, "L2") for client in ("W1", "W2")]
    start_at_once(field, out)
    for pair, client in zip(into, ("W1", "W2")):
        ike_exchange(lab, place(field, client), place(field, "L2"), ROUTER_WAN)
        carry(field, [pair], 1)
    carry(field, [*out, *into], 10)
    fresh = [field.pair("L1", server) for server in ("W1", "W2")]
    start_at_once(field, fresh)
    carry(field, [*out, *into, *fresh], 5)


@pytest.mark.config(FORWARD)
def test_a_server_inside_and_others_that_call_elsewhere(lab, router, field):
    out = [field.pair("L1", "W1"), field.pair(CLIENTS[2], "W1")]
    into = [field.pair_inward("W2", "L2")]
    start_at_once(field, [*out, *into])
    server_first(field, field.pair_inward("W2", "L2"))
    carry(field, [*out, *into], 5)
