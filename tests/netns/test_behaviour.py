# SPDX-License-Identifier: BSD-2-Clause
"""Mapping, filtering, ports and hairpinning as seen from outside (RFC 4787, 5382, 7857), with sockets that tell one
another what they saw, as STUN servers do."""
import itertools
import os

import pytest

from lab import ROUTER_WAN, carry
from namespace import LIMIT
from scapy.layers.inet import IP, TCP, UDP
from wire import ones_complement_sum

DEPENDENCES = ["endpoint-independent", "address-dependent", "address-and-port-dependent"]
EIF = {"nat": {"filtering": "endpoint-independent"}}


def mapped(lab, client, host, address=None, port=0):
    """Where client's datagrams seem to come from, seen by a fresh socket at host; the way back is tried, too."""
    with lab.udp(host, address, port) as server:
        return lab.echo_once(client, server)


# --- mapping -------------------------------------------------------------------------------------------------------


@pytest.mark.culvert_only("masquerading is address-and-port-dependent when ports collide")
def test_rfc4787_req1_udp_mapping_is_endpoint_independent(lab, router):
    with lab.udp("L1", port=40001) as client:
        seen = {
            mapped(lab, client, *where)
            for where in (("W1", None, 3478), ("W1", None, 3479), ("W1", "203.0.113.11", 3478), ("W2", None, 3478))
        }
    assert len(seen) == 1


@pytest.mark.culvert_only("masquerading is address-and-port-dependent when ports collide")
def test_rfc5382_req1_tcp_mapping_is_endpoint_independent(lab, router):
    with lab.tcp_listen("W1", port=3480) as first, lab.tcp_listen("W2", port=3481) as second, lab.tcp_connect(
        "L2", first.getsockname(), port=40002
    ):
        first.accept()[0].close()  # L2 has port 40002 now, L1 must get another one, and keep it
        with lab.tcp_connect("L1", first.getsockname(), port=40002), lab.tcp_connect(
            "L1", second.getsockname(), port=40002
        ):
            seen = {first.accept()[1], second.accept()[1]}
    assert len(seen) == 1 and seen.pop()[1] != 40002


@pytest.mark.parametrize(
    "number",
    range(9),
    ids=[f"map-{m[:12]}-filter-{f[:12]}" for m, f in itertools.product(("ei", "ad", "apd"), ("ei", "ad", "apd"))],
)
@pytest.mark.culvert_only("the kernel knows one kind of mapping and filtering")
def test_rfc4787_req1_req8_matrix(lab, number, request):
    """Every kind of mapping with every kind of filtering: which remotes see one port, and which may answer to it."""
    mapping, filtering = number // 3, number % 3
    request.node.add_marker(
        pytest.mark.config({"nat": {"mapping": DEPENDENCES[mapping], "filtering": DEPENDENCES[filtering]}})
    )
    request.getfixturevalue("router")
    with lab.udp("L2", port=41000) as rival, lab.udp("W1", port=3478) as a1, lab.udp("W1", port=3479) as a2, lab.udp(
        "W1", "203.0.113.11", 3478
    ) as b1, lab.udp("L1", port=41000) as client:
        for server in (a1, a2, b1):  # so that L1's port cannot simply be kept
            lab.echo_once(rival, server)
        first = lab.echo_once(client, a1)
        # Filtering, before the client has spoken to the others.
        reach = max(mapping, filtering)
        for server, let_in in ((a1, True), (a2, reach < 2), (b1, reach < 1)):
            assert hears(lab, client, server, first, LIMIT if let_in else 0.15) == let_in
        # Mapping.
        assert (lab.echo_once(client, a2) == first) == (mapping < 2)
        assert (lab.echo_once(client, b1) == first) == (mapping < 1)


def hears(lab, client, server, endpoint, timeout):
    """Whether what server sends to endpoint arrives at client."""
    server.sendto(b"unasked", endpoint)
    lab.catch_up()
    client.settimeout(timeout)
    try:
        return client.recvfrom(100) == (b"unasked", server.getsockname())
    except TimeoutError:
        return False
    finally:
        client.settimeout(LIMIT)


def test_rfc7857_5_udp_and_tcp_have_mappings_of_their_own(lab, router):
    with lab.udp("L2", port=40005) as rival, lab.udp("L1", port=40005) as client, lab.udp(
        "W1", port=3482
    ) as server, lab.tcp_listen("W1", port=3482) as listener:
        lab.echo_once(rival, server)
        assert lab.echo_once(client, server)[1] != 40005
        with lab.tcp_connect("L1", listener.getsockname(), port=40005):
            connection, peer = listener.accept()
            connection.close()
            assert peer == (ROUTER_WAN, 40005)


# --- ports ---------------------------------------------------------------------------------------------------------


def test_free_ports_are_kept(lab, router):
    router.start_anew()  # ports of flows that earlier tests had may rest
    for port in (40010, 40011, 50000, 65535, 1024):
        with lab.udp("L1", port=port) as client:
            assert mapped(lab, client, "W1") == (ROUTER_WAN, port)


def test_rfc4787_req3_two_hosts_with_one_source_port(lab, router):
    """No overloading: two hosts, one source port, one server; two outside ports, each with its own answers."""
    with lab.udp("L1", port=40020) as one, lab.udp("L2", port=40020) as two, lab.udp("W1", port=3483) as server:
        first, second = lab.echo_once(one, server), lab.echo_once(two, server)
        assert first != second
        server.sendto(b"for one", first)
        server.sendto(b"for two", second)
        assert one.recv(100) == b"for one" and two.recv(100) == b"for two"


def test_rfc5382_req7_two_hosts_with_one_source_port_tcp(lab, router):
    with lab.tcp_listen("W1", port=3484) as listener, lab.tcp_connect("L1", listener.getsockname(), port=40021) as one:
        first, first_peer = listener.accept()
        with lab.tcp_connect("L2", listener.getsockname(), port=40021) as two:
            second, second_peer = listener.accept()
            assert first_peer != second_peer
            first.sendall(b"for one")
            second.sendall(b"for two")
            assert one.recv(100) == b"for one" and two.recv(100) == b"for two"
            second.close()
        first.close()


@pytest.mark.culvert_only("masquerading keeps no parity and only three port classes")
def test_rfc4787_req3a_req4_collisions_keep_class_and_parity(lab, router):
    ports = [*range(42000, 42020), 2, 3, 500, 501, 1023]
    with lab.udp("W1", port=3485) as server:
        for port in ports:
            with lab.udp("L1", port=port) as one, lab.udp("L2", port=port) as two:
                first, second = lab.echo_once(one, server)[1], lab.echo_once(two, server)[1]
            assert first == port and second != port, f"{port} became {first} and {second}"
            assert (second < 1024) == (port < 1024) and second % 2 == port % 2, f"{port} became {second}"


@pytest.mark.culvert_only("masquerading looks for the next free port")
def test_rfc6056_ports_of_collisions_are_hard_to_guess(lab, router):
    """The ports given in 40 collisions lie all over the range."""
    given = []
    with lab.udp("W1", port=3486) as server:
        for port in range(43000, 43040):
            with lab.udp("L1", port=port) as one, lab.udp("L2", port=port) as two:
                lab.echo_once(one, server)
                given.append(lab.echo_once(two, server)[1])
    assert len(set(given)) == 40
    steps = {abs(second - first) for first, second in zip(given, given[1:])}
    assert len(steps) > 30 and max(given) - min(given) > 20000, sorted(given)


# --- hairpinning ---------------------------------------------------------------------------------------------------


@pytest.mark.config(EIF)
@pytest.mark.culvert_only("masquerading does not hairpin to dynamic mappings")
def test_rfc4787_req9_hairpin_udp_with_endpoint_independent_filtering(lab, router):
    """L1 reaches L2 at once, and L2 sees the outside address (REQ-9a)."""
    with lab.udp("L1", port=44001) as one, lab.udp("L2", port=44001) as two:
        first, second = mapped(lab, one, "W1"), mapped(lab, two, "W1")
        one.sendto(b"hello", second)
        assert two.recvfrom(100) == (b"hello", first)
        two.sendto(b"hello yourself", first)
        assert one.recvfrom(100) == (b"hello yourself", second)


@pytest.mark.culvert_only("masquerading does not hairpin to dynamic mappings")
def test_rfc4787_req9_hairpin_udp_with_address_dependent_filtering(lab, router):
    """Both have to send, as to any other peer; from then on it flows."""
    with lab.udp("L1", port=44002) as one, lab.udp("L2", port=44002) as two:
        first, second = mapped(lab, one, "W1"), mapped(lab, two, "W1")
        one.sendto(b"opens the door", second)
        router.catch_up()
        two.sendto(b"hello", first)
        assert one.recvfrom(100) == (b"hello", second)
        one.sendto(b"hello yourself", second)
        while (got := two.recvfrom(100))[0] == b"opens the door":
            pass
        assert got == (b"hello yourself", first)


@pytest.mark.config(EIF)
@pytest.mark.culvert_only("masquerading does not hairpin to dynamic mappings")
def test_rfc5382_req8_hairpin_tcp(lab, router):
    with lab.tcp_listen("W1", port=3487) as outside, lab.tcp_connect(
        "L2", outside.getsockname(), port=44003
    ) as opener, lab.tcp_listen("L2", port=44003) as listener:
        server, endpoint = outside.accept()
        with lab.tcp_connect("L1", endpoint, port=44004) as client:
            connection, peer = listener.accept()
            assert peer == (ROUTER_WAN, 44004)
            carry(connection, client, os.urandom(100000))
            connection.close()
        server.close()
        opener.close()


@pytest.mark.config({"nat": {"hairpinning": "no"}})
@pytest.mark.culvert_only("the kernel has no such switch")
def test_hairpinning_can_be_switched_off(lab, router):
    with lab.udp("L1", port=44005) as one, lab.udp("L2", port=44005) as two:
        first, second = mapped(lab, one, "W1"), mapped(lab, two, "W1")
        with router.dropping(lan={"hairpin_off": 2}):
            one.sendto(b"no", second)
            two.sendto(b"no", first)
            router.catch_up()
            for sock in (one, two):
                sock.settimeout(0.15)
                with pytest.raises(TimeoutError):
                    sock.recv(100)


@pytest.mark.config(EIF)
@pytest.mark.culvert_only("masquerading does not hairpin to dynamic mappings")
def test_rfc5508_req7_hairpinned_error(lab, router):
    """Nobody listens at L1's port any more: L1's port unreachable reaches L2 as from the outside address."""
    with lab.udp("L1", port=44006) as one:
        first = mapped(lab, one, "W1")
    with lab.udp("L2", port=44007) as two:
        two.connect(first)
        two.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            two.recv(100)


@pytest.mark.parametrize("host", ["L1", "L2"])
def test_the_outside_address_answers_ping_from_the_lan(lab, router, host):
    lab.spaces[host].ping(ROUTER_WAN, 3)


def test_the_outside_address_answers_ping_from_the_wan(lab, router):
    lab.W1.ping(ROUTER_WAN, 3)


@pytest.mark.config(EIF)
@pytest.mark.culvert_only("RFC 7857 section 12")
def test_rfc7857_12_hairpinned_ping_of_a_query_mapping(lab, router):
    """L1 has an identifier outside; L2 pings that identifier at the outside address and L1 gets the question."""
    from scapy.layers.inet import ICMP

    one, two, peer = lab.raw("L1"), lab.raw("L2"), lab.raw("W1")
    one.send(IP(src=one.address, dst=peer.address) / ICMP(type=8, id=0x7777) / b"out")
    identifier = peer.expect()[ICMP].id
    two.send(IP(src=two.address, dst=ROUTER_WAN) / ICMP(type=8, id=identifier, seq=3) / b"hairpin")
    got = one.expect()
    assert got.src == ROUTER_WAN and got[ICMP].type == 8 and got[ICMP].seq == 3
    one.send(IP(src=one.address, dst=got.src) / ICMP(type=0, id=got[ICMP].id, seq=3) / b"hairpin")
    back = two.expect()
    assert back.src == ROUTER_WAN and back[ICMP].type == 0 and back[ICMP].id == identifier


# --- headers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tos", [0x00, 0x01, 0x03, 0xB8, 0xFF])
def test_rfc2474_rfc3168_dscp_and_ecn_are_copied(lab, router, tos):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    inner.send(IP(src=inner.address, dst=outer.address, tos=tos) / UDP(sport=45000, dport=9) / b"out")
    got = outer.expect()
    assert got.tos == tos and got.ttl == 62  # the router and X
    outer.send(IP(src=outer.address, dst=got.src, tos=tos) / UDP(sport=9, dport=got[UDP].sport) / b"in")
    assert inner.expect().tos == tos


@pytest.mark.culvert_only("conntrack-free rule of the engine")
def test_rfc6864_identifications_of_two_hosts_differ(lab, router):
    """RFC 7857 section 10: fragmentable datagrams of two hosts with equal identifications get different ones; atomic
    ones keep theirs."""
    one, two, outer = lab.raw("L1"), lab.raw("L2"), lab.raw("W1")
    seen = []
    for peer in (one, two) * 3:
        peer.send(IP(src=peer.address, dst=outer.address, id=1234) / UDP(sport=45001, dport=9) / b"x")
        seen.append(outer.expect().id)
    assert len(set(seen)) == 6
    one.send(IP(src=one.address, dst=outer.address, id=4321, flags="DF") / UDP(sport=45001, dport=9) / b"x")
    assert outer.expect().id == 4321


def test_rfc3022_udp_checksum_zero_stays_zero(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    packet = IP(bytes(IP(src=inner.address, dst=outer.address) / UDP(sport=45002, dport=9, chksum=0) / b"none"))
    inner.send(packet)
    got = outer.expect()
    assert got[UDP].chksum == 0
    outer.send(IP(src=outer.address, dst=got.src) / UDP(sport=9, dport=got[UDP].sport, chksum=0) / b"none")
    assert inner.expect()[UDP].chksum == 0


def test_conntrack_clash_first_datagrams_in_a_burst(lab, router):
    """40 first datagrams of one socket to four remotes, none waiting for another: none is lost, all have one source."""
    with lab.udp("L1", port=45010) as client, lab.udp("W1", port=3488) as a1, lab.udp("W1", port=3489) as a2:
        with lab.udp("W1", "203.0.113.11", 3488) as b1, lab.udp("W2", port=3488) as c1:
            for number in range(10):
                for server in (a1, a2, b1, c1):
                    client.sendto(bytes([number]), server.getsockname())
            seen = {server.recvfrom(10)[1] for server in (a1, a2, b1, c1) for _ in range(10)}
    assert seen == {(ROUTER_WAN, 45010)}


@pytest.mark.culvert_only("its kernel answers for ports that nobody has yet")
def test_conntrack_reverse_clash_both_ends_speak_first(lab, router):
    """Both ends send at the same moment from ports they know of one another; no port changes on the way."""
    with lab.udp("L1", port=45011) as client, lab.udp("W1", port=45012) as server:
        for _ in range(20):
            server.sendto(b"in", (ROUTER_WAN, 45011))
            client.sendto(b"out", server.getsockname())
            assert server.recvfrom(10) == (b"out", (ROUTER_WAN, 45011))
        server.sendto(b"last", (ROUTER_WAN, 45011))
        while client.recv(10) != b"last":
            pass


# --- TCP by hand ---------------------------------------------------------------------------------------------------


def test_rfc5382_req2a_simultaneous_open(lab, router):
    """Both sides send a SYN, the SYNs cross, both answer with SYN and ACK."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    inner.send(IP(src=inner.address, dst=outer.address) / TCP(sport=45100, dport=80, flags="S", seq=1000))
    syn = outer.expect()
    outer.send(IP(src=outer.address, dst=syn.src) / TCP(sport=80, dport=syn[TCP].sport, flags="S", seq=5000))
    got = inner.expect()
    assert got[TCP].flags == "S" and got[TCP].dport == 45100 and got[TCP].seq == 5000
    inner.send(IP(src=inner.address, dst=outer.address) / TCP(sport=45100, dport=80, flags="SA", seq=1000, ack=5001))
    assert outer.expect()[TCP].flags == "SA"
    outer.send(IP(src=outer.address, dst=syn.src) / TCP(sport=80, dport=syn[TCP].sport, flags="SA", seq=5000, ack=1001))
    assert inner.expect()[TCP].flags == "SA"


@pytest.mark.culvert_only("the kernel's window tracking drops inexact resets")
def test_rfc7857_2_2_a_reset_does_not_end_the_session_at_once(lab, router):
    """A reset passes, and data after it revives the session."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    out = lambda flags, seq, ack, data=b"": inner.send(  # noqa: E731
        IP(src=inner.address, dst=outer.address) / TCP(sport=45101, dport=80, flags=flags, seq=seq, ack=ack) / data
    )
    out("S", 100, 0)
    port = outer.expect()[TCP].sport
    into = lambda flags, seq, ack, data=b"": outer.send(  # noqa: E731
        IP(src=outer.address, dst=ROUTER_WAN) / TCP(sport=80, dport=port, flags=flags, seq=seq, ack=ack) / data
    )
    into("SA", 500, 101)
    inner.expect()
    out("A", 101, 501)
    outer.expect()
    into("R", 501, 0)
    assert inner.expect()[TCP].flags == "R"
    into("PA", 501, 101, b"still here")
    assert bytes(inner.expect()[TCP].payload) == b"still here"
    out("PA", 101, 511, b"me too")
    assert bytes(outer.expect()[TCP].payload) == b"me too"


def test_mss_is_lowered_to_what_fits(lab, router):
    """A SYN that claims more than the links carry leaves with 1460, whatever the position of the option; smaller
    ones stay."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    if router.kind == "kernel":
        pytest.skip("ROUTER=kernel: masquerading does not clamp")
    for number, options in enumerate(
        (
            [("MSS", 8960)],
            [("NOP", None), ("MSS", 8960)],
            [("SAckOK", b""), ("NOP", None), ("MSS", 9000), ("WScale", 7)],
        )
    ):
        inner.send(
            IP(src=inner.address, dst=outer.address)
            / TCP(sport=45110 + number, dport=80, flags="S", seq=1, options=options)
        )
        got = outer.expect()
        assert dict(got[TCP].options)["MSS"] == 1460
        outer.send(
            IP(src=outer.address, dst=got.src)
            / TCP(sport=80, dport=got[TCP].sport, flags="SA", seq=1, ack=2, options=options)
        )
        assert dict(inner.expect()[TCP].options)["MSS"] == 1460
    inner.send(
        IP(src=inner.address, dst=outer.address) / TCP(sport=45120, dport=80, flags="S", seq=1, options=[("MSS", 536)])
    )
    assert dict(outer.expect()[TCP].options)["MSS"] == 536


@pytest.mark.parametrize(
    "options",
    [
        b"\x02\x04\x00\x00",
        b"\x02\x03\x05\x00",
        b"\x02\x00\x00\x00",
        b"\x05\xff\x00\x00",
        b"\x00\x00\x00\x00",
        b"\x01\x01\x01\x02",
        b"\x03\x03\xff\x00",
        b"\xfe" * 40,
        b"",
    ],
    ids=["mss-0", "mss-short", "length-0", "sack-overrun", "padding", "cut", "wscale-255", "unknown", "none"],
)
def test_adv_26_tcp_options_zoo(lab, router, options):
    """Whatever options a SYN has: it passes with the same bytes, and its checksum holds."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    offset = (20 + len(options)) // 4
    syn = TCP(sport=45130, dport=80, flags="S", seq=1, dataofs=offset)
    packet = IP(src=inner.address, dst=outer.address, proto=6) / (bytes(syn)[:20] + options)
    data = bytearray(bytes(packet))
    data[36:38] = b"\0\0"
    pseudo = bytes(data[12:20]) + (6).to_bytes(2, "big") + (len(data) - 20).to_bytes(2, "big")
    data[36:38] = (~ones_complement_sum(pseudo + bytes(data[20:])) & 0xFFFF).to_bytes(2, "big")
    inner.send(data)
    assert bytes(outer.expect())[40:] == options
