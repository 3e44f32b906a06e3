# SPDX-License-Identifier: BSD-2-Clause
"""Protocols without ports (GRE, IPIP, L2TPv3, SCTP and all others but ESP) by address triple, and the modes of the VPN
services."""
import pytest

from lab import ROUTER_WAN
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

PROTOCOLS = {
    "ipip": 4,
    "gre": 47,
    "l2tpv3": 115,
    "sctp": 132,
    "udplite": 136,
    "unassigned": 200,
    "experiment": 253,
}
BODY = {
    4: bytes(IP(src="10.1.1.1", dst="10.2.2.2") / UDP() / b"inner"),
    47: bytes.fromhex("00000800") + b"payload",
    50: bytes.fromhex("0a0b0c0d00000001") + b"ciphertext......",
}


def forbidden(peer):
    """RFC 5508 REQ-8: a session that cannot be made is answered with type 3, code 13."""
    got = peer.expect()
    assert (got[ICMP].type, got[ICMP].code) == (3, 13) and got["IP in ICMP"].src == peer.address

ENHANCED_GRE = bytes.fromhex("3001880b0008123400000001") + b"a packet"


def body(number):
    return Raw(BODY.get(number, b"\x12\x34\x56\x78 payload of protocol %d" % number))


culvert_only = pytest.mark.culvert_only("conntrack lets several hosts share a remote and passes AH")


@culvert_only
@pytest.mark.parametrize("number", PROTOCOLS.values(), ids=PROTOCOLS)
def test_address_triples_of(lab, router, number):
    """Out and back; a second inside host is refused for the same remote and welcome for another; payloads are
    untouched."""
    one, two, w1, w2 = lab.raw("L1"), lab.raw("L2"), lab.raw("W1"), lab.raw("W2")
    one.send(IP(src=one.address, dst=w1.address, proto=number) / body(number))
    got = w1.expect()
    assert got.src == ROUTER_WAN and bytes(got.payload) == bytes(body(number))
    w1.send(IP(src=w1.address, dst=ROUTER_WAN, proto=number) / body(number))
    got = one.expect()
    assert got.src == w1.address and bytes(got.payload) == bytes(body(number))
    with router.dropping(lan={"owner_taken": 1}):
        two.send(IP(src=two.address, dst=w1.address, proto=number) / body(number))
        forbidden(two)
        w1.expect_nothing()
    two.send(IP(src=two.address, dst=w2.address, proto=number) / body(number))
    assert w2.expect().src == ROUTER_WAN
    w2.send(IP(src=w2.address, dst=ROUTER_WAN, proto=number) / body(number))
    assert two.expect().src == w2.address
    one.expect_nothing(0.05, lambda ip: ip.proto == number)


@culvert_only
def test_rfc3715_2_1a_ah_is_refused(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    with router.dropping(lan={"ah_untranslatable": 1}, wan={"ah_untranslatable": 1}):
        inner.send(IP(src=inner.address, dst=outer.address, proto=51) / Raw(b"a" * 24))
        forbidden(inner)
        outer.expect_nothing()
        outer.send(IP(src=outer.address, dst=ROUTER_WAN, proto=51) / Raw(b"a" * 24))
        inner.expect_nothing()


@culvert_only
def test_adv_12_all_protocols_unasked_from_the_wan(lab, router):
    """Nothing reaches the LAN, the router's kernel says nothing, and each has a reason. (Protocol 0 is no protocol, and
    the kernel says so itself: its rules have no name for it.)"""
    outer = lab.raw("W1", 1)
    with lab.capture_lan() as inside, router.dropping(wan={"no_owner": 251, "ah_untranslatable": 1}):
        for number in range(1, 256):
            if number not in (1, 6, 17):
                outer.send(IP(src=outer.address, dst=ROUTER_WAN, proto=number) / body(number))
        outer.expect_nothing(0.2)
        assert not inside.packets(0)


@culvert_only
def test_adv_12_all_protocols_from_the_lan(lab, router):
    """Every protocol but AH and those with a header of their own to be right passes."""
    inner, outer = lab.raw("L1", 1), lab.raw("W1", 1)
    seen = set()
    for number in range(256):
        inner.send(IP(src=inner.address, dst=outer.address, proto=number) / body(number))
        while (got := outer.receive(0.001)) is not None:
            seen.add(got.proto)
    router.catch_up()
    while (got := outer.receive(0.2)) is not None:
        seen.add(got.proto)
    refused = set(range(256)) - seen
    # ICMP, TCP and UDP with a body like this are malformed.
    assert refused == {1, 6, 17, 51}, f"refused {sorted(refused)}"


@culvert_only
@pytest.mark.parametrize(
    "packet",
    [
        UDP(sport=53, dport=54321) / b"x",
        TCP(sport=80, dport=54321, flags="S"),
        TCP(sport=80, dport=54321, flags="SA"),
        TCP(sport=80, dport=54321, flags="A"),
        TCP(sport=80, dport=54321, flags="R"),
    ],
    ids=["udp", "syn", "syn-ack", "ack", "rst"],
)
def test_unsolicited_packets_are_dropped_in_silence(lab, router, packet):
    outer = lab.raw("W1")
    with lab.capture_lan() as inside, router.dropping(wan={"unsolicited": 1}):
        outer.send(IP(src=outer.address, dst=ROUTER_WAN) / packet)
        outer.expect_nothing(0.1)
        assert not inside.packets(0)


MODES = [
    ("pptp", 6, 1723),
    ("pptp", 47, 0),
    ("l2tp", 17, 1701),
    ("l2tp", 115, 0),
    ("ipsec", 17, 500),
    ("ipsec", 17, 4500),
    ("ipsec", 50, 0),
]
MODE_IDS = [f"{service}-{number}-{port}" for service, number, port in MODES]


def service_packet(number, port, answer=False, own_port=48200):
    if number == 6:
        return (
            TCP(sport=port, dport=own_port, flags="SA", seq=9, ack=2)
            if answer
            else TCP(sport=own_port, dport=port, flags="S", seq=1)
        )
    if number == 17:
        return UDP(sport=port, dport=own_port) / b"answer" if answer else UDP(sport=own_port, dport=port) / b"question"
    if number == 47:
        return Raw(ENHANCED_GRE)  # of GRE only the enhanced kind is PPTP's
    return body(number)


@culvert_only
@pytest.mark.config({service: {"mode": "block"} for service in ("pptp", "l2tp", "ipsec")})
@pytest.mark.parametrize("service,number,port", MODES, ids=MODE_IDS)
def test_mode_block_refuses_both_directions(lab, router, service, number, port):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    with router.dropping(lan={f"{service}_blocked": 1}, wan={f"{service}_blocked": 1}):
        inner.send(IP(src=inner.address, dst=outer.address, proto=number) / service_packet(number, port))
        forbidden(inner)
        outer.expect_nothing(0.1)
        outer.send(IP(src=outer.address, dst=ROUTER_WAN, proto=number) / service_packet(number, port, True))
        inner.expect_nothing(0.1)


@culvert_only
@pytest.mark.config({service: {"mode": "plain"} for service in ("pptp", "l2tp", "ipsec")})
@pytest.mark.parametrize("service,number,port", MODES, ids=MODE_IDS)
def test_mode_plain_translates_like_anything_else(lab, router, service, number, port):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    inner.send(IP(src=inner.address, dst=outer.address, proto=number) / service_packet(number, port))
    got = outer.expect()
    assert got.src == ROUTER_WAN
    own = got.payload.sport if port else 0
    outer.send(IP(src=outer.address, dst=ROUTER_WAN, proto=number) / service_packet(number, port, True, own))
    assert inner.expect().src == outer.address


def test_error_about_a_protocol_without_ports(lab, router):
    """A real X refuses GRE to nowhere: the unreachable reaches the inside host that sent it."""
    inner = lab.raw("L1", 1)
    lab.X.ip("route add unreachable 192.0.2.201/32")
    try:
        inner.send(IP(src=inner.address, dst="192.0.2.201", proto=47) / body(47))
        got = inner.expect(want=lambda ip: ip.proto == 1)
        assert got[ICMP].type == 3 and got["IP in ICMP"].src == inner.address and got["IP in ICMP"].proto == 47
    finally:
        lab.X.ip("route del 192.0.2.201/32")
