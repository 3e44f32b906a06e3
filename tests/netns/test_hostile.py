# SPDX-License-Identifier: BSD-2-Clause
"""Inputs nobody's stack would send, on both sides: dropped for the right reason, said nothing about, and harmless."""
import os
import random
import struct

import pytest

from lab import ROUTER_LAN, ROUTER_WAN
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption, IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_SSRR
from scapy.packet import Raw
from wire import checksums_right, ones_complement_sum

pytestmark = [pytest.mark.culvert_only("reasons and counters are culvert's own")]


def flow(lab, port):
    """Peers L1 and W1 with a UDP flow between them, and its outside port."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=port, dport=9) / b"open")
    return inner, outer, outer.expect()[UDP].sport


def refuse_from_wan(lab, router, packet, silent=True, **reasons):
    """Sent on the WAN link itself, so that no router on the way thinks about it."""
    peer = lab.raw("X")
    with lab.capture_lan() as inside, router.dropping(wan=reasons):
        peer.send(packet)
        if silent:
            peer.expect_nothing(0.05)
        assert not inside.packets(0.02)


def refuse_from_lan(lab, router, packet, **reasons):
    peer = lab.raw("L1")
    with lab.capture_wan() as outside, router.dropping(lan=reasons):
        peer.send(packet)
        assert not outside.packets(0.05)


# --- IPv4 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"E", b"E" * 19], ids=["empty", "one", "nineteen"])
def test_adv_01_too_short(lab, router, data):
    """The kernel may have thrown these away before; nothing must come of them either way."""
    lab.raw("X").send(data)
    lab.raw("L1").send(data)
    inner, outer, port = flow(lab, 49000)
    outer.send(IP(src=outer.address, dst=ROUTER_WAN) / UDP(sport=9, dport=port) / b"alive")
    inner.expect()


def altered(packet, **fields):
    """The packet's bytes with header fields overwritten and the header checksum right for them."""
    data = bytearray(bytes(packet))
    for name, value in fields.items():
        offset, size = {
            "first": (0, 1),
            "length": (2, 2),
            "fragment": (6, 2),
            "ttl": (8, 1),
            "source": (12, 4),
            "target": (16, 4),
        }[name]
        data[offset : offset + size] = value if isinstance(value, bytes) else value.to_bytes(size, "big")
    data[10:12] = b"\0\0"
    data[10:12] = struct.pack("!H", ~ones_complement_sum(data[:20]) & 0xFFFF)
    return bytes(data)


def datagram(lab, target=ROUTER_WAN, sender="X"):
    peer = lab.raw(sender)
    return IP(bytes(IP(src=peer.address, dst=target) / UDP(sport=9, dport=50001) / b"payload"))


@pytest.mark.parametrize(
    "name,fields,reason",
    [
        ("version", {"first": 0x65}, "ip_version"),
        ("header-0", {"first": 0x40}, "ip_short"),
        ("header-4", {"first": 0x44}, "ip_short"),
        ("header-60", {"first": 0x4F}, "ip_short"),
        ("length-0", {"length": 0}, "ip_short"),
        ("length-19", {"length": 19}, "ip_short"),
        ("length-1000", {"length": 1000}, "ip_short"),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" not in value else "",
)
def test_adv_02_03_headers_that_lie(lab, router, name, fields, reason):
    refuse_from_wan(lab, router, altered(datagram(lab), **fields), **{reason: 1})


def test_adv_03_trailing_bytes_are_cut(lab, router):
    """Link padding does not travel on, and is in no checksum."""
    inner, outer, port = flow(lab, 49001)
    lab.raw("X").send(
        bytes(IP(src=outer.address, dst=ROUTER_WAN) / UDP(sport=9, dport=port) / b"short") + b"trailing rubbish"
    )
    got = inner.expect()
    assert bytes(got[UDP].payload) == b"short" and len(bytes(got)) == got.len
    inner.send(bytes(IP(src=inner.address, dst=outer.address) / UDP(sport=49001, dport=9) / b"short") + b"rubbish")
    assert bytes(outer.expect()[UDP].payload) == b"short"


def test_adv_04_wrong_header_checksum(lab, router):
    data = bytearray(bytes(datagram(lab)))
    data[10] ^= 0x40
    refuse_from_wan(lab, router, bytes(data), ip_checksum=1)


@pytest.mark.parametrize(
    "options",
    [[IPOption_LSRR(pointer=4, routers=["203.0.113.1"])], [IPOption_SSRR(pointer=4, routers=["203.0.113.1"])]],
    ids=["loose", "strict"],
)
def test_adv_05_source_routes(lab, router, options):
    peer = lab.raw("X")
    refuse_from_wan(
        lab, router, IP(src=peer.address, dst=ROUTER_WAN, options=options) / UDP(sport=9, dport=50001), ip_option=1
    )


@pytest.mark.parametrize(
    "raw",
    [b"\x07\x00\x00\x00", b"\x07\x01\x00\x00", b"\x07\x28\x04\x00", b"\x44\xff\x05\x00", b"\x01\x01\x01\x07"],
    ids=["length-0", "length-1", "overrun-40", "overrun-255", "cut"],
)
def test_adv_05_options_that_lie(lab, router, raw):
    plain = bytes(datagram(lab))
    data = bytearray(plain[:20] + raw + plain[20:])
    data[0] = 0x46
    data[2:4] = len(data).to_bytes(2, "big")
    data[10:12] = b"\0\0"
    data[10:12] = struct.pack("!H", ~ones_complement_sum(data[:24]) & 0xFFFF)
    # The kernel reads options before it asks its rules, and says parameter problem.
    refuse_from_wan(lab, router, bytes(data), silent=False, ip_option=1)


def test_adv_05_harmless_options_stay(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    inner.send(
        IP(
            src=inner.address,
            dst=outer.address,
            options=[
                IPOption_NOP(),
                IPOption(b"\x94\x04\x00\x00"),
                IPOption_RR(length=7, pointer=4, routers=["0.0.0.0"]),
            ],
        )
        / UDP(sport=49002, dport=9)
        / b"x"
    )
    assert outer.expect().ihl > 5


@pytest.mark.config({"forward:ttl": {"protocol": "udp", "port": "6800", "to": "10.77.0.101"}})
def test_adv_06_time_to_live_from_the_wan(lab, router):
    """0 and 1 end here, with an error from the outside address that quotes what was sent; 2 arrives with 1."""
    inner, sender = lab.raw("L1"), lab.raw("X")
    for ttl in (0, 1):
        with router.dropping(wan={"ip_ttl": 1}):
            sender.send(altered(IP(src=sender.address, dst=ROUTER_WAN) / UDP(sport=9, dport=6800) / b"x", ttl=ttl))
            inner.expect_nothing(0.05)
        answer = sender.expect()
        assert (answer.src, answer[ICMP].type, answer[ICMP].code) == (ROUTER_WAN, 11, 0)
        assert answer["IP in ICMP"].dst == ROUTER_WAN
    sender.send(altered(IP(src=sender.address, dst=ROUTER_WAN) / UDP(sport=9, dport=6800) / b"x", ttl=2))
    assert inner.expect().ttl == 1


def test_adv_06_time_to_live_from_the_lan(lab, router):
    """1 ends at the router, which answers from its LAN address; 2 leaves with 1."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    inner.send(IP(src=inner.address, dst=outer.address, ttl=1) / UDP(sport=49003, dport=9) / b"x")
    answer = inner.expect()
    assert (answer.src, answer[ICMP].type, answer[ICMP].code) == (ROUTER_LAN, 11, 0)
    with lab.capture_wan() as outside:
        inner.send(IP(src=inner.address, dst=outer.address, ttl=2) / UDP(sport=49003, dport=9) / b"x")
        assert outside.expect(lambda ip: ip.proto == 17 and ip.dst == outer.address).ttl == 1


MARTIANS = [
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.9.9.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("source", MARTIANS)
def test_adv_07_martian_sources_from_the_wan(lab, router, source):
    refuse_from_wan(lab, router, IP(src=source, dst=ROUTER_WAN) / UDP(sport=9, dport=50001) / b"x", source_martian=1)


@pytest.mark.parametrize("source", MARTIANS)
def test_adv_07_martian_sources_from_the_lan(lab, router, source):
    """The kernel refuses some of them before culvertd sees them: none leaves."""
    peer = lab.raw("L1")
    with lab.capture_wan() as outside:
        peer.send(IP(src=source, dst="203.0.113.10") / UDP(sport=9, dport=9) / b"x")
        assert not outside.packets(0.05)


@pytest.mark.parametrize(
    "target", ["127.0.0.1", "224.0.0.1", "224.0.0.5", "239.1.2.3", "240.0.0.1", "255.255.255.255", "0.0.0.0"]
)
def test_martian_targets_from_the_lan(lab, router, target):
    peer = lab.raw("L1")
    with lab.capture_wan() as outside:
        peer.send(IP(src=peer.address, dst=target, ttl=5) / UDP(sport=9, dport=9) / b"x")
        assert not outside.packets(0.05)


def test_adv_08_land(lab, router):
    """Source and destination are the outside address, on the WAN and on the LAN."""
    packet = IP(src=ROUTER_WAN, dst=ROUTER_WAN) / TCP(sport=80, dport=80, flags="S")
    refuse_from_wan(lab, router, packet, source_is_ours=1)
    peer = lab.raw("L1")
    with lab.capture_wan() as outside:
        peer.send(packet)
        peer.send(IP(src=ROUTER_WAN, dst="203.0.113.10") / TCP(sport=80, dport=80, flags="S"))
        assert not outside.packets(0.05)


@pytest.mark.parametrize("source", ["10.77.0.11", "10.77.0.1", "10.77.0.255"])
def test_adv_07_inside_sources_from_the_wan(lab, router, source):
    refuse_from_wan(lab, router, IP(src=source, dst=ROUTER_WAN) / UDP(sport=9, dport=50001) / b"x", source_is_inside=1)


@pytest.mark.parametrize(
    "target", ["10.77.0.11", "10.77.0.1", "192.168.1.1", "198.51.100.77", "198.51.100.255", "192.0.0.8"]
)
def test_adv_10_targets_that_are_not_ours(lab, router, target):
    """A neighbour hands us packets for the LAN, for other networks, for the WAN's broadcast: nothing is forwarded or
    answered."""
    peer = lab.raw("X")
    with lab.capture_lan() as inside:
        peer.send(IP(src=peer.address, dst=target) / UDP(sport=9, dport=9) / b"x")
        peer.send(IP(src=peer.address, dst=target) / TCP(sport=9, dport=9, flags="S"))
        peer.expect_nothing(0.05)
        assert not inside.packets(0.02)


def test_adv_09_a_lan_host_with_a_foreign_source(lab, router):
    """From behind another router of the LAN, or spoofed: it is translated or dropped, but never leaves as it is."""
    peer = lab.raw("L1")
    with lab.capture_wan() as outside:
        for source in ("192.168.5.5", "8.8.8.8", "203.0.113.10"):
            peer.send(IP(src=source, dst="192.0.2.10") / UDP(sport=9, dport=9) / b"x")
        for ip in outside.packets(0.1):
            assert ip.src == ROUTER_WAN


@pytest.mark.parametrize("kind", [0x86DD, 0x8100, 0x0806, 0x88A8, 0x8863], ids=["ipv6", "vlan", "arp", "qinq", "pppoe"])
def test_adv_11_other_link_protocols(lab, router, kind):
    junk = os.urandom(64)
    lab.raw("X").send(junk, kind)
    lab.raw("L1").send(junk, kind)
    inner, outer, port = flow(lab, 49004)
    outer.send(IP(src=outer.address, dst=ROUTER_WAN) / UDP(sport=9, dport=port) / b"alive")
    inner.expect()


@pytest.mark.parametrize(
    "number,payload",
    [
        (4, bytes(IP(src="203.0.113.10", dst="10.77.0.11") / UDP(sport=9, dport=9) / b"decapsulate me")),
        (41, b"\x60" + b"\0" * 60),
        (47, bytes.fromhex("00000800") + bytes(IP(src="203.0.113.10", dst="10.77.0.11") / UDP() / b"x")),
    ],
    ids=["ipip", "6in4", "gre"],
)
def test_adv_13_decapsulation_bait(lab, router, number, payload):
    refuse_from_wan(lab, router, IP(src="198.51.100.101", dst=ROUTER_WAN, proto=number) / Raw(payload), no_owner=1)


# --- transport -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,packet,reason",
    [
        ("tcp-cut", IP(proto=6) / Raw(b"\x04\x00\x00\x50" + b"\0" * 12), "tcp_malformed"),
        ("tcp-offset-4", IP() / TCP(sport=1024, dport=80, dataofs=4), "tcp_malformed"),
        ("tcp-offset-15", IP() / TCP(sport=1024, dport=80, dataofs=15), "tcp_malformed"),
        ("tcp-null", IP() / TCP(sport=1024, dport=80, flags=0), "tcp_flags"),
        ("tcp-syn-fin", IP() / TCP(sport=1024, dport=80, flags="SF"), "tcp_flags"),
        ("tcp-syn-rst", IP() / TCP(sport=1024, dport=80, flags="SR"), "tcp_flags"),
        ("tcp-xmas", IP() / TCP(sport=1024, dport=80, flags="FSRPAUEC"), "tcp_flags"),
        ("tcp-port-0", IP() / TCP(sport=0, dport=80), "port_zero"),
        ("udp-cut", IP(proto=17) / Raw(b"\x04\x00\x00\x50"), "udp_malformed"),
        ("udp-length-7", IP() / UDP(sport=1024, dport=9, len=7), "udp_malformed"),
        ("udp-length-100", IP() / UDP(sport=1024, dport=9, len=100) / b"x", "udp_malformed"),
        ("udp-port-0", IP() / UDP(sport=1024, dport=0), "port_zero"),
        ("icmp-cut", IP(proto=1) / Raw(b"\x08\x00\xf7\xff"), "icmp_malformed"),
        ("gre-cut", IP(proto=47) / Raw(b"\0\0"), "gre_malformed"),
        ("esp-cut", IP(proto=50) / Raw(b"\1\2\3\4"), "esp_malformed"),
        ("esp-spi-0", IP(proto=50) / Raw(b"\0" * 16), "esp_malformed"),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_adv_24_25_34_35_transport_headers_that_lie(lab, router, name, packet, reason):
    for send, source, target in (
        (refuse_from_wan, "198.51.100.101", ROUTER_WAN),
        (refuse_from_lan, "10.77.0.101", "203.0.113.101"),
    ):
        copy = packet.copy()
        copy.src, copy.dst = source, target
        send(lab, router, copy, **{reason: 1})


def test_adv_36_wrong_checksum_of_a_ping(lab, router):
    packet = IP(src="10.77.0.101", dst="203.0.113.101") / ICMP(type=8, id=1, chksum=0x1234) / b"x"
    refuse_from_lan(lab, router, packet, icmp_checksum=1)


def test_udp_with_a_wrong_checksum_stays_wrong(lab, router):
    """Not ours to judge, and never repaired: the difference must travel on to the receiver."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    with lab.capture_wan() as outside:
        inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=49005, dport=9, chksum=0x1111) / b"damaged")
        sent = outside.expect(lambda ip: ip.proto == 17 and ip.dst == outer.address)
    assert not checksums_right(sent)
    lab.raw("W1")  # forgets the packet


# --- storms ----------------------------------------------------------------------------------------------------------


def test_adv_27_67_scan_from_the_wan_opens_nothing(lab, router):
    """10 000 SYNs and datagrams to random ports: no flow, no mapping, and a LAN flow goes on beside them."""
    inner, outer, port = flow(lab, 49006)
    sender = lab.raw("W2")
    before = router.statistics()
    rng = random.Random(1)
    syn = bytearray(bytes(IP(src=sender.address, dst=ROUTER_WAN) / TCP(sport=1, dport=1, flags="S")))
    udp = bytearray(bytes(IP(src=sender.address, dst=ROUTER_WAN) / UDP(sport=1, dport=1, chksum=0) / b"x"))
    answered = 0
    for number in range(10000):
        packet = udp if number % 2 else syn
        packet[20:24] = struct.pack("!HH", rng.randrange(1, 65536), rng.randrange(1024, 64512))
        sender.send(packet)
        if number % 500 == 499:
            outer.send(IP(src=outer.address, dst=ROUTER_WAN) / UDP(sport=9, dport=port) / b"beside")
            answered += inner.receive(5) is not None
    after = router.statistics()
    assert answered >= 19
    assert after.mappings <= before.mappings and after.flows <= before.flows + 1, after.text
    sender.expect_nothing(0.05)


@pytest.mark.config({"limits": {"flows": "64", "host_flows": "40", "hosts": "16"}})
def test_adv_64_66_one_host_takes_all_it_can(lab, router):
    """The host's share ends with 3/13 to it; another host still gets flows; the first flow survives; a full table
    refuses in words."""
    greedy, other, outer = lab.raw("L1"), lab.raw("L2"), lab.raw("W1")
    with router.dropping(lan={"host_limit": 10}):
        for number in range(50):
            greedy.send(IP(src=greedy.address, dst=outer.address) / UDP(sport=52000 + number, dport=9) / b"mine")
        router.catch_up()
        arrived = []
        while (got := outer.receive(0.2)) is not None:
            arrived.append(got)
        assert len(arrived) == 40
    refusals = []
    while (got := greedy.receive(0.1)) is not None:
        refusals.append((got[ICMP].type, got[ICMP].code))
    assert refusals == [(3, 13)] * 10
    for number in range(30):
        other.send(IP(src=other.address, dst=outer.address) / UDP(sport=53000 + number, dport=9) / b"fair")
    router.catch_up()
    count = 0
    while outer.receive(0.2) is not None:
        count += 1
    assert count == 24, "64 flows in all"
    outer.send(IP(src=outer.address, dst=ROUTER_WAN) / UDP(sport=9, dport=arrived[0][UDP].sport) / b"still there")
    assert bytes(greedy.expect(want=lambda ip: ip.proto == 17)[UDP].payload) == b"still there"


def test_random_bytes_do_no_harm(lab, router):
    """3000 packets of noise behind a plausible header from each side; afterwards all is as it was."""
    rng = random.Random(20)
    wan, lan = lab.raw("X"), lab.raw("L1")
    for _ in range(3000):
        size = rng.randrange(0, 120)
        body = rng.randbytes(size)
        number = rng.choice((1, 6, 17, 47, 50, 115, rng.randrange(1, 256)))
        fragment = rng.choice((0, 0, 0, 0x2000, rng.randrange(65536)))
        for peer, target in ((wan, ROUTER_WAN), (lan, "203.0.113.102")):
            packet = altered(
                bytes(IP(src=peer.address, dst=target, proto=number, len=20 + size)) + body, fragment=fragment
            )
            peer.send(packet)
    inner, outer, port = flow(lab, 49007)
    outer.send(IP(src=outer.address, dst=ROUTER_WAN) / UDP(sport=9, dport=port) / b"alive")
    assert bytes(inner.expect(want=lambda ip: ip.haslayer(UDP))[UDP].payload) == b"alive"
