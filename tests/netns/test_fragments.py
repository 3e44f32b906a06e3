# SPDX-License-Identifier: BSD-2-Clause
"""Fragments (RFC 4787 REQ-14, RFC 791, RFC 6864) by hand, in every order and with every trick; kernels at both ends
come in test_traffic."""
import itertools
import os
import random

import pytest

from lab import ROUTER_WAN
from namespace import LIMIT
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw
from wire import checksums_right, ones_complement_sum

pytestmark = [pytest.mark.culvert_only("conntrack reassembles, so none of this can be seen")]


def split(packet, *ends):
    """Fragments of a packet whose IPv4 payload is cut at the given offsets."""
    whole = IP(bytes(packet))
    payload = bytes(whole.payload)
    cuts = [0, *ends, len(payload)]
    return [piece(whole, start, payload[start:end], end < len(payload)) for start, end in zip(cuts, cuts[1:])]


def piece(whole, offset, payload, more):
    """One fragment; every field but these three is the whole packet's."""
    return IP(
        bytes(
            IP(
                src=whole.src,
                dst=whole.dst,
                proto=whole.proto,
                id=whole.id,
                tos=whole.tos,
                ttl=whole.ttl,
                frag=offset // 8,
                flags="MF" if more else 0,
            )
            / Raw(payload)
        )
    )


IDENTS = itertools.count(1000)


def fresh_ident():
    """An identification that no earlier datagram of these peers had: sets are remembered for a while."""
    return next(IDENTS)


class Conversation:
    """A flow between raw peers L1 and W1 that exists already, to send fragments through in both directions."""

    number = 47000

    def __init__(self, lab, host="L1"):
        Conversation.number += 1
        self.inner, self.outer = lab.raw(host), lab.raw("W1")
        self.port = Conversation.number
        self.inner.send(self.outbound(b"hello"))
        self.mapped = self.outer.expect()[UDP].sport

    def outbound(self, payload, ident=None):
        return (
            IP(src=self.inner.address, dst=self.outer.address, id=ident or fresh_ident())
            / UDP(sport=self.port, dport=9)
            / payload
        )

    def inbound(self, payload, ident=None):
        return (
            IP(src=self.outer.address, dst=ROUTER_WAN, id=ident or fresh_ident())
            / UDP(sport=9, dport=self.mapped)
            / payload
        )

    def way(self, direction):
        """(sender, receiver, packet maker) of a direction."""
        return (self.inner, self.outer, self.outbound) if direction == "out" else (self.outer, self.inner, self.inbound)


def collect(peer, count):
    got = []
    while len(got) < count and (packet := peer.receive(LIMIT)) is not None:
        got.append(packet)
    return got


def joined(pieces):
    """The datagram that fragments make, put together the plain way."""
    pieces = sorted(pieces, key=lambda ip: ip.frag)
    assert (
        len({(ip.src, ip.dst, ip.id, ip.proto) for ip in pieces}) == 1
    ), "fragments of one datagram must stay recognisable"
    payload = b"".join(bytes(ip.payload) for ip in pieces)
    assert [ip.frag * 8 for ip in pieces] == [
        sum(len(bytes(ip.payload)) for ip in pieces[:i]) for i in range(len(pieces))
    ]
    first = pieces[0]
    return IP(bytes(IP(src=first.src, dst=first.dst, proto=first.proto, id=first.id) / Raw(payload)))


both = pytest.mark.parametrize("direction", ["out", "in"])


@both
@pytest.mark.parametrize("order", ["forward", "reverse", "shuffled", "first-in-the-middle"])
def test_rfc4787_req14_fragments_in_order(lab, router, direction, order):
    """Whatever the order, all arrive with one address pair and one identification, and the datagram's checksum is
    right."""
    talk = Conversation(lab)
    sender, receiver, make = talk.way(direction)
    payload = os.urandom(4000)
    pieces = split(make(payload), 800, 1600, 2400, 3200)
    if order == "reverse":
        pieces.reverse()
    elif order == "shuffled":
        random.Random(7).shuffle(pieces)
    elif order == "first-in-the-middle":
        pieces = [*pieces[1:3], pieces[0], *pieces[3:]]
    for fragment in pieces:
        sender.send(fragment)
    datagram = joined(collect(receiver, 5))
    assert checksums_right(datagram) and bytes(datagram[UDP].payload) == payload
    if direction == "out":
        assert datagram.src == ROUTER_WAN and datagram[UDP].sport == talk.mapped
    else:
        assert datagram.dst == talk.inner.address and datagram[UDP].dport == talk.port


@both
@pytest.mark.parametrize("twice", [0, 1, 2])
@pytest.mark.parametrize("order", ["forward", "backward"])
def test_adv_19_duplicates_of_a_fragment(lab, router, direction, twice, order):
    """A network that delivers a fragment twice, at once and again at the end, harms nothing."""
    talk = Conversation(lab)
    sender, receiver, make = talk.way(direction)
    pieces = split(make(b"d" * 2000), 800, 1600)
    sent = [pieces[0], pieces[1], pieces[2]] if order == "forward" else [pieces[2], pieces[1], pieces[0]]
    with router.dropping(**{"lan" if direction == "out" else "wan": {"fragment_duplicate": 2}}):
        for fragment in [*sent[: twice + 1], *sent[twice:], sent[twice]]:
            sender.send(fragment)
        got = collect(receiver, 3)
        assert bytes(joined(got)[UDP].payload) == b"d" * 2000
        receiver.expect_nothing()


@both
@pytest.mark.parametrize("trick", ["identical", "contained", "over-the-ports"])
def test_adv_15_copies_are_not_passed_on(lab, router, direction, trick):
    """What lies within what has gone on already is dropped alone, whatever it says: the receiver gets no overlap."""
    talk = Conversation(lab)
    sender, receiver, make = talk.way(direction)
    whole = IP(bytes(make(b"o" * 1000)))
    payload = bytes(whole.payload)
    first, last = piece(whole, 0, payload[:800], True), piece(whole, 800, payload[800:], False)
    bad = {
        "identical": first,
        "contained": piece(whole, 400, b"e" * 80, True),
        "over-the-ports": piece(whole, 0, b"\0\x35\0\x35" + payload[4:80], True),
    }[trick]
    with router.dropping(**{"lan" if direction == "out" else "wan": {"fragment_duplicate": 1}}):
        for fragment in (first, bad, last):
            sender.send(fragment)
        assert bytes(joined(collect(receiver, 2))[UDP].payload) == b"o" * 1000
        receiver.expect_nothing()


@both
@pytest.mark.parametrize("trick", ["shifted", "before-the-first"])
def test_adv_15_overlaps(lab, router, direction, trick):
    talk = Conversation(lab)
    sender, receiver, make = talk.way(direction)
    whole = IP(bytes(make(b"o" * 1000)))
    payload = bytes(whole.payload)
    first, last = piece(whole, 0, payload[:800], True), piece(whole, 800, payload[800:], False)
    order = {
        "shifted": (first, piece(whole, 792, b"evil" * 4, True), last),
        "before-the-first": (piece(whole, 400, b"e" * 400, True), piece(whole, 400, b"f" * 400, True), first),
    }[trick]
    passes = int(trick == "shifted")
    with router.dropping(**{"lan" if direction == "out" else "wan": {"fragment_overlap": 3 - passes}}):
        for fragment in order:
            sender.send(fragment)
        assert len(collect(receiver, passes)) == passes
        receiver.expect_nothing()


@both
def test_a_first_fragment_of_udp_may_have_8_bytes(lab, router, direction):
    """RFC 3128 is about TCP; the first 8 bytes of UDP are all that a NAT needs."""
    talk = Conversation(lab)
    sender, receiver, make = talk.way(direction)
    for fragment in split(make(b"8" * 1000), 8, 408):
        sender.send(fragment)
    assert bytes(joined(collect(receiver, 3))[UDP].payload) == b"8" * 1000


@both
def test_adv_14_tiny_first_fragment(lab, router, direction):
    """8 bytes of TCP: the flags would come in the second fragment, at offset 8."""
    talk = Conversation(lab)
    sender, receiver, _ = talk.way(direction)
    target = talk.outer.address if direction == "out" else ROUTER_WAN
    whole = IP(bytes(IP(src=sender.address, dst=target, id=fresh_ident()) / TCP(sport=4444, dport=80, flags="S")))
    with router.dropping(**{"lan" if direction == "out" else "wan": {"fragment_tiny": 2}}):
        for fragment in (
            piece(whole, 0, bytes(whole.payload)[:8], True),
            piece(whole, 8, bytes(whole.payload)[8:], False),
        ):
            sender.send(fragment)
        receiver.expect_nothing()


@both
@pytest.mark.parametrize("what", ["past-65535", "odd-middle", "empty-middle"])
def test_adv_16_17_lengths(lab, router, direction, what):
    talk = Conversation(lab)
    sender, receiver, make = talk.way(direction)
    whole = IP(bytes(make(b"l" * 100)))
    bad = {
        "past-65535": piece(whole, 65528, b"x" * 100, False),
        "odd-middle": piece(whole, 80, b"x" * 13, True),
        "empty-middle": piece(whole, 80, b"", True),
    }[what]
    with router.dropping(**{"lan" if direction == "out" else "wan": {"fragment_length": 1}}):
        sender.send(bad)
        receiver.expect_nothing()


@both
def test_fragments_of_a_refused_first_one_are_refused(lab, router, direction):
    talk = Conversation(lab)
    sender, receiver, _ = talk.way(direction)
    whole = IP(
        bytes(
            IP(src=sender.address, dst=talk.outer.address if direction == "out" else ROUTER_WAN, id=fresh_ident())
            / UDP(sport=0 if direction == "out" else 5, dport=61111)
            / (b"r" * 1000)
        )
    )
    pieces = split(whole, 400, 800)
    reason = (
        {"lan": {"port_zero": 1, "fragment_refused": 2}}
        if direction == "out"
        else {"wan": {"unsolicited": 1, "fragment_refused": 2}}
    )
    with router.dropping(**reason):
        for fragment in (pieces[1], pieces[0], pieces[2]):
            sender.send(fragment)
        receiver.expect_nothing()


def test_rfc6864_two_hosts_with_one_identification(lab, router):
    """RFC 3022 6.3: equal identifications of two hosts to one destination must not be mixed up outside."""
    one, two = Conversation(lab, "L1"), Conversation(lab, "L2")
    first, second = split(one.outbound(b"1" * 2000, 77), 800, 1600), split(two.outbound(b"2" * 2000, 77), 800, 1600)
    for mine, theirs in zip(first, second):
        one.inner.send(mine)
        two.inner.send(theirs)
    got = collect(one.outer, 6)
    idents = {ip.id for ip in got}
    assert len(got) == 6 and len(idents) == 2
    for ident in idents:
        datagram = joined([ip for ip in got if ip.id == ident])
        assert bytes(datagram[UDP].payload) in (b"1" * 2000, b"2" * 2000)


@pytest.mark.parametrize("kind", ["icmp", "gre", "esp", "tcp"])
def test_adv_21_fragments_of(lab, router, kind):
    """Echo, GRE, ESP and TCP in two fragments, out and back, in reverse order."""
    inner, outer = lab.raw("L1", 1), lab.raw("W1", 1)
    number = {"icmp": 1, "gre": 47, "esp": 50, "tcp": 6}[kind]
    out, back = {
        "icmp": (
            ICMP(type=8, id=808) / (b"q" * 1000),
            lambda ip: ICMP(type=0, id=IP(bytes(ip))[ICMP].id) / (b"a" * 1000),
        ),
        "gre": (Raw(bytes.fromhex("00000800") + b"g" * 1000), lambda ip: Raw(bytes.fromhex("00000800") + b"h" * 1000)),
        "esp": (
            Raw(bytes.fromhex("0102030400000001") + b"e" * 1000),
            lambda ip: Raw(bytes.fromhex("0506070800000001") + b"f" * 1000),
        ),
        "tcp": (
            TCP(sport=48100, dport=80, flags="S", seq=1) / (b"s" * 1000),
            lambda ip: TCP(sport=80, dport=ip[TCP].sport, flags="SA", seq=1, ack=2) / (b"t" * 1000),
        ),
    }[kind]
    for fragment in reversed(
        split(IP(src=inner.address, dst=outer.address, id=fresh_ident(), proto=number) / out, 400)
    ):
        inner.send(fragment)
    datagram = joined(collect(outer, 2))
    assert datagram.src == ROUTER_WAN
    answer = IP(bytes(IP(src=outer.address, dst=ROUTER_WAN, id=fresh_ident(), proto=number) / back(datagram)))
    for fragment in reversed(split(answer, 400)):
        outer.send(fragment)
    got = joined(collect(inner, 2))
    assert got.dst == inner.address and bytes(got.payload)[-500:] == bytes(answer.payload)[-500:]


@both
def test_adv_22_fragments_with_df(lab, router, direction):
    """DF on fragments means that nobody may cut them further; they fit, so they pass."""
    talk = Conversation(lab)
    sender, receiver, make = talk.way(direction)
    for fragment in split(make(b"D" * 2000), 800, 1600):
        fragment.flags = fragment.flags | 2
        del fragment.chksum
        sender.send(fragment)
    assert len(collect(receiver, 3)) == 3


def test_rfc4787_req14a_flood_of_fragments(lab, router):
    """20 000 first-missing fragments from as many datagrams: what waits is bounded, and a fragmented flow that has
    its first fragment in front goes on through the flood, as does everything unfragmented."""
    talk = Conversation(lab)
    sender = lab.raw("W2")
    bogus = bytearray(
        bytes(
            piece(IP(bytes(IP(src=sender.address, dst=ROUTER_WAN, id=1) / UDP() / (b"z" * 64))), 160, b"z" * 64, False)
        )
    )
    arrived = 0
    for number in range(20000):
        bogus[4:6] = number.to_bytes(2, "big")
        bogus[12:16] = bytes([192, 0, 2, 50 + number % 64])
        bogus[10:12] = b"\0\0"
        bogus[10:12] = (~ones_complement_sum(bogus[:20]) & 0xFFFF).to_bytes(2, "big")
        sender.send(bogus)
        if number % 1000 == 999:
            talk.outer.send(talk.inbound(b"through the flood"))
            arrived += talk.inner.receive(5) is not None
    assert arrived >= 19
    for fragment in split(talk.inbound(b"v" * 2000), 800, 1600):
        talk.outer.send(fragment)
    numbers = router.statistics()
    assert numbers.side["WAN"]["held"] <= 2048 and numbers.drop["WAN"].get("fragment_limit", 0) > 1000, numbers.text


def test_adv_18_a_fragment_without_a_first_one_waits_and_is_let_go(lab, router):
    """It is held (nothing arrives), and counted as held, not lost."""
    talk = Conversation(lab)
    before = router.statistics().side["LAN"]["held"]
    talk.inner.send(split(talk.outbound(b"w" * 2000, 31), 800, 1600)[1])
    talk.outer.expect_nothing()
    assert router.statistics().side["LAN"]["held"] == before + 1
    talk.inner.send(split(talk.outbound(b"w" * 2000, 31), 800, 1600)[0])
    assert len(collect(talk.outer, 2)) == 2
    assert router.statistics().side["LAN"]["held"] == before
