# SPDX-License-Identifier: BSD-2-Clause
"""Native ESP (RFC 4303) with keys typed in, that is, without IKE; and what AH (RFC 4302) comes to."""
import socket

import pytest

from esp_peer import ESP, IP_RECVERR, OVERHEAD, Field, carry, learned_mtu, refused_df, seal, server_first
from lab import ROUTER_LAN, ROUTER_WAN, UPSTREAM
from namespace import LIMIT
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw
from test_icmp import checked, error, offender
from test_mtu import SMALL_HOP, SMALL_LAN, SMALL_WAN

one_owner = pytest.mark.culvert_only("the kernel's own NAT says nothing to the second host")
parts_rule = pytest.mark.culvert_only("it has no such modes")
forward_rule = pytest.mark.culvert_only("the reference has forwards of TCP and UDP only")
ah_rule = pytest.mark.culvert_only("the kernel's own NAT translates AH, which nobody accepts then")


@pytest.fixture
def field(lab):
    field = Field(lab)
    yield field
    field.close()


# --- one client ------------------------------------------------------------------------------------------------------


def test_one_client(lab, router, field):
    """SPIs and everything behind them arrive as they were sent: the integrity check covers them."""
    pair = field.pair("L1", "W1")
    with lab.capture_wan() as capture:
        carry(field, [pair], 20)
        spis = {(packet.src, bytes(packet.payload)[:4]) for packet in capture.packets() if packet.proto == ESP}
    assert spis == {
        (ROUTER_WAN, pair.server.own_spi.to_bytes(4, "big")),
        (pair.server.line.address, pair.client.own_spi.to_bytes(4, "big")),
    }


@pytest.mark.parametrize("size", [1464, 1480, 4000])
def test_fragmented_data(lab, router, field, size):
    """Both ways, as fragments of ESP."""
    pair = field.pair("L1", "W1")
    with lab.capture_wan() as capture:
        carry(field, [pair], 4, size)
        fragments = [packet for packet in capture.packets() if packet.proto == ESP and packet.frag]
    want = {ROUTER_WAN, pair.server.line.address} if size + OVERHEAD > 1500 else set()
    assert {packet.src for packet in fragments} == want


def test_rekey_the_server_first(lab, router, field):
    """What comes with a new SPI can only be for the one client there is."""
    pairs = [field.pair("L1", "W1")]
    carry(field, pairs)
    for _ in range(3):
        pairs.append(field.pair("L1", "W1"))
        server_first(field, pairs[-1])
        carry(field, pairs)


@one_owner
@pytest.mark.config({"ipsec": {"mode": "plain"}})
def test_mode_plain_has_one_owner(lab, router, field):
    first, second = (field.pair(client, "W1") for client in ("L1", "L2"))
    carry(field, [first])
    with router.dropping(lan={"owner_taken": 1}):
        second.client.send()
        field.rest(0.1)
    assert not second.server.received
    carry(field, [first])


@forward_rule
@pytest.mark.config({"forward:vpn": {"service": "ipsec", "to": "10.77.0.12"}})
def test_a_server_inside(lab, router, field):
    """Clients at two places outside; each end may be the first."""
    pairs = [field.pair_inward(client, "L2") for client in ("W1", "W2", ("W1", "203.0.113.11"))]
    carry(field, pairs)
    fresh = [field.pair_inward(client, "L2") for client in ("W1", "W2")]
    server_first(field, fresh[0])
    carry(field, [*pairs, *fresh])


# --- modes of the parts of IPsec --------------------------------------------------------------------------------------

PARTS = {"ike": (17, 500), "natt": (17, 4500), "esp": (ESP, 0), "ah": (51, 0)}


def part_packet(number, port, outward):
    """A packet of a part of IPsec; inward it is the answer to the outward one."""
    if number == 17:
        return UDP(sport=48700 if outward else port, dport=port if outward else 48700) / b"something in UDP"
    return Raw(bytes.fromhex("04040000000010000000000101234567") if number == 51 else seal(0x5EED, 1, "part", 60))


def passing_parts(lab, reasons):
    """Sends a packet of every part out, and one in; which of them arrive. Every other is refused with its reason."""
    passing = set()
    for name, (number, port) in PARTS.items():
        inner, outer = lab.raw("L1"), lab.raw("W1")
        inner.send(IP(src=inner.address, dst=outer.address, proto=number) / part_packet(number, port, True))
        lab.catch_up()
        arrived = outer.receive(0.15 if name in reasons else LIMIT)
        outer.send(IP(src=outer.address, dst=ROUTER_WAN, proto=number) / part_packet(number, port, False))
        lab.catch_up()
        back = inner.receive(0.15 if name in reasons else LIMIT, lambda ip, number=number: ip.proto == number)
        assert (arrived is None) == (back is None), f"{name} passes one way only: {arrived!r}, {back!r}"
        if arrived is not None:
            passing.add(name)
    return passing


MODES = {
    "one part blocked": ({"esp": "block"}, {"ike", "natt"}, 1),
    "another part blocked": ({"natt": "block"}, {"ike", "esp"}, 1),
    "all but one blocked": ({"mode": "block", "natt": "plain"}, {"natt"}, 3),
    "all but two blocked": ({"mode": "block", "esp": "plain", "ike": "pass"}, {"esp", "ike"}, 2),
    "all blocked": ({"mode": "block"}, set(), 4),
}


@parts_rule
@pytest.mark.parametrize(
    "want,blocked",
    [pytest.param(*rest, id=name, marks=pytest.mark.config({"ipsec": keys})) for name, (keys, *rest) in MODES.items()],
)
def test_parts_have_modes_of_their_own(lab, router, want, blocked):
    """What is blocked is refused both ways as such; AH never passes, blocked or not."""
    untranslatable = 0 if "ah" in refused_by_mode(router) else 1
    counts = {"ipsec_blocked": blocked, "ah_untranslatable": untranslatable}
    with router.dropping(lan=counts, wan=counts):
        assert passing_parts(lab, PARTS.keys() - want) == want


def refused_by_mode(router):
    keys = router.config["ipsec"]
    return {part for part in PARTS if keys.get(part, keys.get("mode", "pass")) == "block"}


# --- size ------------------------------------------------------------------------------------------------------------


def test_df_behind_a_small_hop(lab, router, field):
    """X's "fragmentation needed" reaches the kernel of the host that sent the packet."""
    pair = field.pair("L1", "W1")
    carry(field, [pair])
    with lab.mtu(*SMALL_HOP):
        router.settle()
        assert refused_df(pair.client, 1400) == (UPSTREAM, 3, 4)
        assert learned_mtu(lab.L1, pair.server.line.address) == 1280
        assert learned_mtu(lab.L2, pair.server.line.address) is None


def test_df_and_a_small_wan(lab, router, field):
    """The router itself answers, before anything has left: its kernel, for the TUN device is as large as the WAN."""
    pair = field.pair("L1", "W1")
    carry(field, [pair])
    with lab.mtu(*SMALL_WAN):
        router.settle()
        with lab.capture_wan() as capture:
            assert refused_df(pair.client, 1400 - OVERHEAD + 1) == (ROUTER_LAN, 3, 4)
            assert not [packet for packet in capture.packets() if packet.proto == ESP]
        assert learned_mtu(lab.L1, pair.server.line.address) == 1400
    router.settle()


def test_df_and_a_small_lan(lab, router, field):
    """The same for a server outside."""
    pair = field.pair("L1", "W1")
    carry(field, [pair])
    with lab.mtu(*SMALL_LAN):
        router.settle()
        with router.dropping(wan={"too_big": 1}):
            assert refused_df(pair.server, 1300 - OVERHEAD + 1) == (ROUTER_WAN, 3, 4)
        assert learned_mtu(lab.W1, ROUTER_WAN) == 1300
    router.settle()


@pytest.mark.parametrize("links", [SMALL_WAN, SMALL_LAN, SMALL_HOP], ids=["wan", "lan", "hop"])
def test_without_df_over_a_small_link(lab, router, field, links):
    pair = field.pair("L1", "W1")
    with lab.mtu(*links):
        router.settle()
        carry(field, [pair], 4, 1450)
    router.settle()


@pytest.mark.parametrize("quoted", [8, 500])
def test_the_quote_is_the_clients_own_packet(lab, router, quoted):
    """ "Fragmentation needed" from a hop on the way, by hand: outer addresses hop and client, inner ones client and
    server, and of ESP as much as the hop has quoted, unchanged. RFC 792 quotes no more than 8 bytes."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    body = bytes.fromhex("5b1d5b1d00000001") + bytes(range(256)) * 5
    inner.send(IP(src=inner.address, dst=outer.address, proto=ESP, flags="DF") / Raw(body))
    sent = bytes(outer.expect())
    assert sent[20:] == body
    lab.raw("W2").send(checked(error("192.0.2.101", ROUTER_WAN, sent[: 20 + quoted], code=4, unused=1280)))
    got = inner.expect()
    assert (got.src, got[ICMP].type, got[ICMP].code, got[ICMP].nexthopmtu) == ("192.0.2.101", 3, 4, 1280)
    quote = bytes(got[ICMP].payload)
    assert IP(quote).src == inner.address and IP(quote).dst == outer.address and quote[20:] == body[:quoted]


def test_the_quote_of_esp_in_udp_is_the_clients_own_packet(lab, router):
    """RFC 3948: two clients with source port 4500, of which one is moved; the checksum is zero and stays it."""
    peers, outer = [lab.raw("L1"), lab.raw("L2")], lab.raw("W1")
    for number, inner in enumerate(peers):
        body = bytes([number + 1]) * 8 + bytes(range(256)) * 5
        header = IP(src=inner.address, dst=outer.address, flags="DF")
        inner.send(header / UDP(sport=4500, dport=4500, chksum=0) / Raw(body))
        seen = outer.expect()
        assert seen[UDP].dport == 4500 and seen[UDP].chksum == 0 and bytes(seen)[28:] == body
        assert (seen[UDP].sport == 4500) == (number == 0)
        lab.raw("W2").send(checked(error("192.0.2.101", ROUTER_WAN, bytes(seen)[:548], code=4, unused=1280)))
        got = inner.expect()
        quote = got["IP in ICMP"]
        assert (got.src, got[ICMP].type, got[ICMP].code, got[ICMP].nexthopmtu) == ("192.0.2.101", 3, 4, 1280)
        assert (quote.src, quote.dst, quote["UDP in ICMP"].sport) == (inner.address, outer.address, 4500)
        assert bytes(got[ICMP].payload)[28:] == body[: 548 - 28]
    for inner in peers:
        inner.expect_nothing(0.05)


# --- AH --------------------------------------------------------------------------------------------------------------

AH = 51
AH_PACKET = bytes.fromhex("0404000000001000000000010123456789abcdef01234567") + b"what it protects"


@ah_rule
def test_rfc4302_ah_fails_fast(lab, router):
    """A real kernel is told at once that this cannot work."""
    with lab.L1.socket(socket.AF_INET, socket.SOCK_RAW, AH) as sock, router.dropping(lan={"ah_untranslatable": 1}):
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.settimeout(LIMIT)
        sock.connect((lab.address("W1"), 0))
        sock.send(AH_PACKET)
        with pytest.raises(OSError) as refused:
            sock.recv(100)
        assert refused.value.errno == 113  # EHOSTUNREACH
        assert offender(sock) == (ROUTER_LAN, 3, 13)


@ah_rule
def test_ah_from_outside_goes_nowhere(lab, router):
    outer = lab.raw("W1")
    with lab.capture_lan() as inside, router.dropping(wan={"ah_untranslatable": 2}):
        for flags in ("", "MF"):
            outer.send(IP(src=outer.address, dst=ROUTER_WAN, proto=AH, flags=flags) / Raw(AH_PACKET))
        outer.expect_nothing(0.1)
        assert not [packet for packet in inside.packets(0) if packet.proto == AH]


@ah_rule
@pytest.mark.parametrize(
    "mode,reason",
    [
        pytest.param(mode, reason, marks=pytest.mark.config({"nat": {"bypass": "192.0.2.0/24"}, "ipsec": {"ah": mode}}))
        for mode, reason in (("inherit", "ah_untranslatable"), ("block", "ipsec_blocked"))
    ],
)
def test_ah_passes_to_a_bypass_prefix(lab, router, mode, reason):
    """Addresses unchanged, both ways, as the signature wants it, whole and in fragments; elsewhere still refused. What
    is bypassed is not asked for its service."""
    lab.X.ip("route add 10.77.0.0/24 via 198.51.100.2")
    try:
        router.allow = lambda ip: ip.dst.startswith("192.0.2.") or ip.src.startswith("192.0.2.")
        inner, routed, other = lab.raw("L1"), lab.raw("W2"), lab.raw("W1")
        for flags, size in (("", 40), ("DF", 1480), ("MF", 800)):
            body = AH_PACKET + bytes(size - len(AH_PACKET))
            inner.send(IP(src=inner.address, dst=routed.address, proto=AH, id=7, flags=flags) / Raw(body))
            got = routed.expect()
            assert (got.src, got.dst, got.id, bytes(got.payload)) == (inner.address, routed.address, 7, body)
            routed.send(IP(src=routed.address, dst=inner.address, proto=AH, id=8, flags=flags) / Raw(body))
            got = inner.expect()
            assert (got.src, got.dst, got.id, bytes(got.payload)) == (routed.address, inner.address, 8, body)
        with router.dropping(lan={reason: 1}):
            inner.send(IP(src=inner.address, dst=other.address, proto=AH) / Raw(AH_PACKET))
            other.expect_nothing(0.1)
    finally:
        lab.X.ip("route del 10.77.0.0/24")
