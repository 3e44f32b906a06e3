# SPDX-License-Identifier: BSD-2-Clause
"""ICMP (RFC 5508; RFC 4787 REQ-12, RFC 5382 REQ-9 and 10): errors in both directions with everything they quote, and
queries."""
import socket
import struct

import pytest

from control import ask
from lab import ROUTER_LAN, ROUTER_WAN, UPSTREAM, one_of_three, wait_for
from namespace import LIMIT
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.packet import Raw
from wire import checksums_right, ones_complement_sum

IP_RECVERR = 11
culvert_only = pytest.mark.culvert_only("conntrack has rules of its own here")


def error(source, target, quoted, kind=3, code=1, unused=0, tail=b""):
    """An ICMP error as bytes, its checksum still zero; the quote is exactly the bytes given."""
    body = struct.pack("!BBHI", kind, code, 0, unused) + bytes(quoted) + tail
    return bytes(IP(src=source, dst=target, proto=1, len=20 + len(body))) + body


def checked(packet):
    """The packet's bytes with its ICMP checksum filled in."""
    whole = bytes(packet)
    head, body = whole[:20], bytearray(whole[20:])
    body[2:4] = b"\0\0"
    body[2:4] = struct.pack("!H", ~ones_complement_sum(body) & 0xFFFF)
    return head + bytes(body)


def offender(sock):
    """The sender and (type, code) of the ICMP error in a socket's error queue."""
    _, ancillary, _, _ = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_RECVERR:
            fields = struct.unpack("IBBBBII", data[:16])
            return socket.inet_ntoa(data[20:24]), fields[2], fields[3]
    raise AssertionError("no error in the queue")


# --- real stacks -----------------------------------------------------------------------------------------------------


def test_rfc4787_req12_port_unreachable_from_the_remote(lab, router):
    with lab.udp("L1") as client:
        client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        client.connect(("203.0.113.10", 9))
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(10)
        assert offender(client) == ("203.0.113.10", 3, 3)


@pytest.mark.parametrize("route,code", [("unreachable", 1), ("prohibit", 13)])
def test_rfc4787_req12a_error_of_a_router_on_the_way(lab, router, route, code):
    """An error may come from anybody on the path: X, whose address L1 sees unchanged."""
    lab.X.ip(f"route add {route} 192.0.2.200/32")
    try:
        with lab.udp("L1") as client:
            client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            client.connect(("192.0.2.200", 9))
            client.send(b"anybody?")
            with pytest.raises(OSError):
                client.recv(10)
            assert offender(client) == (UPSTREAM, 3, code)
        with pytest.raises(OSError) as refused:
            lab.tcp_connect("L1", ("192.0.2.200", 80), timeout=1 if code == 13 else LIMIT)
        assert not isinstance(refused.value, TimeoutError) or code == 13
    finally:
        lab.X.ip("route del 192.0.2.200/32")


def test_rfc5508_req1_timestamp_request(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    inner.send(IP(src=inner.address, dst=outer.address) / ICMP(type=13, id=4242, seq=1, ts_ori=5))
    got = outer.expect()
    assert got[ICMP].type == 13
    outer.send(IP(src=outer.address, dst=got.src) / ICMP(type=14, id=got[ICMP].id, seq=1, ts_ori=5, ts_rx=6, ts_tx=7))
    back = inner.expect()
    assert (back[ICMP].type, back[ICMP].id, back[ICMP].ts_rx) == (14, 4242, 6)


def test_rfc5508_req1a_query_identifier_is_the_same_for_all_remotes(lab, router):
    inner = lab.raw("L1")
    seen = set()
    for host in ("W1", "W2"):
        outer = lab.raw(host)
        inner.send(IP(src=inner.address, dst=outer.address) / ICMP(type=8, id=4243) / b"x")
        seen.add(outer.expect()[ICMP].id)
    assert len(seen) == 1


def test_two_hosts_with_one_query_identifier(lab, router):
    one, two, outer = lab.raw("L1"), lab.raw("L2"), lab.raw("W1")
    for peer in (one, two):
        peer.send(IP(src=peer.address, dst=outer.address) / ICMP(type=8, id=4244) / b"x")
    first, second = outer.expect(), outer.expect()
    assert first[ICMP].id != second[ICMP].id
    for question, peer in ((first, one), (second, two)):
        outer.send(IP(src=outer.address, dst=question.src) / ICMP(type=0, id=question[ICMP].id) / b"x")
        assert peer.expect()[ICMP].id == 4244


# --- errors from outside, by hand ------------------------------------------------------------------------------------


def payload_of(kind, number):
    """The transport part of an outbound packet, different in each test."""
    return {
        "udp": UDP(sport=46000 + number, dport=9) / b"some data here",
        "tcp": TCP(sport=46000 + number, dport=80, flags="S", seq=12345, window=1000),
        "icmp": ICMP(type=8, id=6000 + number, seq=1) / b"question",
        "gre": Raw(bytes.fromhex("0000080011223344")),
        "esp": Raw(bytes.fromhex("aabbccdd000000010011223344556677")),
    }[kind]


def send_out(lab, kind, number=0, options=()):
    """An outbound packet of L1's raw peer: the packet as sent, as it arrived at W1, and both peers."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    number_of = {"udp": 17, "tcp": 6, "icmp": 1, "gre": 47, "esp": 50}[kind]
    packet = IP(
        bytes(
            IP(src=inner.address, dst=outer.address, id=700, flags="DF", proto=number_of, options=list(options))
            / payload_of(kind, number)
        )
    )
    inner.send(packet)
    return packet, outer.expect(), inner, outer


@culvert_only
@pytest.mark.parametrize("sender", ["W1", "X"])
@pytest.mark.parametrize("kind", ["udp", "tcp", "icmp", "gre", "esp"])
def test_rfc5508_req4_error_from_outside_for(lab, router, kind, sender):
    """The quote is what L1 sent, byte by byte; type and code stay; the outer source stays; all checksums are right."""
    packet, seen, inner, _ = send_out(lab, kind, 1)
    source = lab.raw(sender)
    source.send(checked(error(source.address, ROUTER_WAN, bytes(seen)[:28], 3, 1)))
    got = inner.expect()
    assert (got.src, got.dst, got[ICMP].type, got[ICMP].code) == (source.address, inner.address, 3, 1)
    quote, sent = bytes(got)[28:], bytes(packet)[:28]
    assert masked(quote, kind) == masked(sent, kind)
    assert ones_complement_sum(quote[:20]) == 0xFFFF


def masked(quote, kind):
    """A quote without what routers on the way change: time to live, and the checksum of both headers."""
    data = bytearray(quote)
    data[8:9] = data[10:12] = b"\0"
    if kind == "icmp":
        data = data[:21] + data[23:]
    if kind == "udp":
        data = data[:-2]
    return bytes(data)


@culvert_only
def test_rfc5508_req4_every_code_of_unreachable_and_no_harm(lab, router):
    """Codes 0 to 15, time exceeded and parameter problem arrive; none of them ends the mapping (RFC 4787 REQ-12)."""
    _, seen, inner, outer = send_out(lab, "udp", 2)
    for kind, code in [*((3, code) for code in range(16)), (11, 0), (11, 1), (12, 0)]:
        unused = 1400 if (kind, code) == (3, 4) else 0
        outer.send(checked(error(outer.address, ROUTER_WAN, bytes(seen)[:28], kind, code, unused)))
        got = inner.expect()
        assert (got[ICMP].type, got[ICMP].code) == (kind, code)
    outer.send(IP(src=outer.address, dst=ROUTER_WAN) / UDP(sport=9, dport=seen[UDP].sport) / b"alive")
    assert bytes(inner.expect()[UDP].payload) == b"alive"


@culvert_only
def test_rfc5382_req10_hard_errors_do_not_end_a_connection(lab, router):
    with lab.tcp_listen("W1", port=3500) as listener, lab.capture_wan() as capture, lab.tcp_connect(
        "L1", listener.getsockname()
    ) as client:
        server, peer = listener.accept()
        client.sendall(b"before")
        assert server.recv(10) == b"before"
        last = [
            ip for ip in capture.packets() if ip.haslayer(TCP) and ip.src == ROUTER_WAN and ip[TCP].sport == peer[1]
        ][-1]
        sender = lab.raw("X")
        for code in (2, 3):
            sender.send(checked(error(sender.address, ROUTER_WAN, bytes(last)[:28], 3, code)))
        server.sendall(b"after")
        assert client.recv(10) == b"after"
        client.sendall(b"all")
        assert server.recv(10) == b"all"
        server.close()


@culvert_only
def test_rfc5508_req3_checksums_of_errors(lab, router):
    """Wrong outer ICMP checksum, wrong quoted IPv4 header: dropped. Garbage in the quoted transport checksum:
    delivered."""
    _, seen, inner, outer = send_out(lab, "udp", 3)
    good = checked(error(outer.address, ROUTER_WAN, bytes(seen)[:28]))
    with router.dropping(wan={"icmp_checksum": 1, "icmp_quote_malformed": 1}):
        outer.send(good[:22] + bytes([good[22] ^ 0x55]) + good[23:])
        broken = bytearray(bytes(seen)[:28])
        broken[10] ^= 0x55
        outer.send(checked(error(outer.address, ROUTER_WAN, broken)))
        inner.expect_nothing()
    garbage = bytearray(bytes(seen)[:28])
    garbage[26:28] = b"\xde\xad"
    outer.send(checked(error(outer.address, ROUTER_WAN, garbage)))
    assert inner.expect()[ICMP].type == 3


@culvert_only
def test_rfc5508_req3b_quoted_options_are_skipped(lab, router):
    packet, seen, inner, outer = send_out(
        lab, "udp", 4, options=[IPOption_RR(length=11, pointer=4, routers=["0.0.0.0", "0.0.0.0"])]
    )
    assert seen.ihl > 5
    outer.send(checked(error(outer.address, ROUTER_WAN, bytes(seen)[: seen.ihl * 4 + 8])))
    quote = IP(bytes(inner.expect())[28:])
    assert (quote.src, quote.ihl, quote.payload.sport) == (inner.address, packet.ihl, 46004)


@culvert_only
def test_rfc5508_req3d_rfc4884_extensions_stay(lab, router):
    _, seen, inner, outer = send_out(lab, "udp", 5)
    extension = bytes.fromhex("2000deadbeef00080101") + b"label stack!"
    padded = bytes(seen)[:42] + b"\0" * (128 - len(bytes(seen)[:42]))
    outer.send(checked(error(outer.address, ROUTER_WAN, padded, 11, 0, 32 << 16, tail=extension)))
    got = bytes(inner.expect())
    assert got.endswith(extension) and got[25] == 32


@culvert_only
@pytest.mark.parametrize("size", [0, 1, 19, 20, 27])
def test_adv_37_short_quotes(lab, router, size):
    _, seen, inner, outer = send_out(lab, "udp", 6)
    with router.dropping(wan={"icmp_quote_malformed": 1}):
        outer.send(checked(error(outer.address, ROUTER_WAN, bytes(seen)[:size])))
        inner.expect_nothing()


@culvert_only
def test_adv_37_quotes_of_others(lab, router):
    """Of no flow, of an error, of a later fragment, of another address: nothing reaches the LAN."""
    _, seen, inner, outer = send_out(lab, "udp", 7)
    stranger = IP(bytes(seen))
    stranger[UDP].sport ^= 0x0101
    fragment = IP(bytes(seen))
    fragment.frag = 100
    foreign = IP(bytes(seen))
    foreign.dst = "192.0.2.99"
    about_error = error(ROUTER_WAN, outer.address, bytes(seen)[:28])
    for quoted in (stranger, fragment, foreign):
        del quoted.chksum
    for quoted in (stranger, fragment, foreign, about_error):
        outer.send(checked(error(outer.address, ROUTER_WAN, bytes(quoted)[:56])))
    inner.expect_nothing(0.2)


@culvert_only
@pytest.mark.parametrize("mtu,told", [(0, 0), (1, 68), (67, 68), (68, 68), (551, 551), (1400, 1400)])
def test_adv_39_fragmentation_needed_with_small_mtu(lab, router, mtu, told):
    """RFC 5508 REQ-4: the host hears of it, and decides how small a path it believes in."""
    _, seen, inner, outer = send_out(lab, "udp", 8)
    outer.send(checked(error(outer.address, ROUTER_WAN, bytes(seen)[:28], 3, 4, mtu)))
    got = inner.expect()
    assert got[ICMP].nexthopmtu == told and checksums_right(got)


@culvert_only
def test_icmp_quote_window_of_tcp(lab, router):
    """An error that quotes a sequence number which was never sent is a guess of somebody off the path."""
    _, seen, inner, outer = send_out(lab, "tcp", 9)
    guess = IP(bytes(seen))
    guess[TCP].seq = (guess[TCP].seq + 0x40000000) & 0xFFFFFFFF
    with router.dropping(wan={"icmp_quote_window": 1}):
        outer.send(checked(error(outer.address, ROUTER_WAN, bytes(guess)[:28], 3, 4, 1300)))
        inner.expect_nothing()
    outer.send(checked(error(outer.address, ROUTER_WAN, bytes(seen)[:28], 3, 4, 1300)))
    assert inner.expect()[ICMP].nexthopmtu == 1300


# --- errors from inside ----------------------------------------------------------------------------------------------


@pytest.mark.config({"forward:closed": {"protocol": "udp", "port": "6500", "to": "10.77.0.11:6501"}})
def test_rfc5508_req5_error_from_inside(lab, router):
    """L1's port unreachable leaves from the outside address and quotes what W1 sent."""
    with lab.udp("W1") as client, lab.capture_wan() as capture:
        client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        client.connect((ROUTER_WAN, 6500))
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(10)
        assert offender(client) == (ROUTER_WAN, 3, 3)
        quotes = [ip for ip in capture.packets() if ip.haslayer("IP in ICMP")]
    assert len(quotes) == 1
    quote = quotes[0]["IP in ICMP"]
    assert (quote.src, quote.dst, quote["UDP in ICMP"].dport) == ("203.0.113.10", ROUTER_WAN, 6500)


@pytest.mark.config({"forward:gone": {"protocol": "udp", "port": "6600", "to": "10.77.0.200:6601"}})
def test_an_inside_host_that_is_not_there(lab, router):
    """The router's kernel finds no neighbour; what it says about that names no inside address outside."""
    lab.R.set_sysctl("net/ipv4/neigh/lan0/mcast_solicit", 1)
    lab.R.set_sysctl("net/ipv4/neigh/lan0/retrans_time_ms", 100)
    with lab.udp("W1", timeout=0.6) as client, lab.capture_wan() as capture:
        client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        client.connect((ROUTER_WAN, 6600))
        client.send(b"anybody?")
        try:
            client.recv(10)
        except OSError:
            pass
        for ip in capture.packets():
            if ip.haslayer("IP in ICMP"):
                assert ip.src == ROUTER_WAN and ip["IP in ICMP"].dst == ROUTER_WAN
                assert ip["UDP in ICMP"].dport == 6600


@culvert_only
def test_errors_from_inside_about_nothing(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    quoted = IP(bytes(IP(src=outer.address, dst=inner.address) / UDP(sport=1, dport=2) / b"never sent"))
    with router.dropping(lan={"icmp_quote_unknown": 1}):
        inner.send(checked(error(inner.address, outer.address, bytes(quoted)[:28], 3, 3)))
        outer.expect_nothing()


# --- types -----------------------------------------------------------------------------------------------------------


@culvert_only
@pytest.mark.parametrize("kind", [4, 5, 6, 9, 10, 15, 16, 17, 18, 30, 42, 255])
def test_rfc5508_req10_types_that_are_not_translated(lab, router, kind):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    body = struct.pack("!BBHI", kind, 0, 0, 0x00010001) + b"\0" * 28
    with router.dropping(wan={"icmp_type": 1}, lan={"icmp_type": 1}):
        outer.send(checked(IP(bytes(IP(src=outer.address, dst=ROUTER_WAN, proto=1) / Raw(body)))))
        inner.expect_nothing(0.05)
        inner.send(checked(IP(bytes(IP(src=inner.address, dst=outer.address, proto=1) / Raw(body)))))
        outer.expect_nothing(0.05)


@culvert_only
@pytest.mark.config({"forward:limit": {"protocol": "udp", "port": "6900", "to": "10.77.0.101"}})
@one_of_three
def test_rfc1812_errors_made_here_are_limited(lab, router):
    """300 packets at once whose time to live ends here: far fewer errors than packets, and the rest is counted."""
    sender = lab.raw("X")
    before = router.statistics().counter.get("icmp_limited", 0)
    with router.dropping(wan={"ip_ttl": 300}):
        for number in range(300):
            sender.send(IP(src=sender.address, dst=ROUTER_WAN, ttl=1, id=number) / UDP(sport=9, dport=6900) / b"x")
        router.catch_up()
        got = []
        while (packet := sender.receive(0.2)) is not None:
            got.append(packet)
    assert 50 <= len(got) <= 250 and all(packet[ICMP].type == 11 for packet in got), len(got)
    assert router.statistics().counter["icmp_limited"] - before == 300 - len(got)


# --- what cannot leave: RFC 1812 section 5.2.7.1 ---


def warnings(router):
    return [row["warning"] for row in ask(router, "status") if row["kind"] == "warning"]


def expect_unreachable(router, inner, sent, code, reason):
    """Sends a packet that cannot leave: its sender hears of it from the router, and the drop is counted."""
    with router.dropping(lan={reason: 1}):
        inner.send(sent)
        got = inner.expect(want=lambda ip: ICMP in ip and ip[ICMP].type == 3)
    assert got.src == ROUTER_LAN and got[ICMP].code == code and checksums_right(got)
    quoted = IP(bytes(got[ICMP].payload))
    assert (quoted.src, quoted.dst, quoted[UDP].sport) == (sent.src, sent.dst, sent[UDP].sport)


@culvert_only
def test_without_a_default_route_hosts_hear_net_unreachable(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    sent = IP(src=inner.address, dst=outer.address) / UDP(sport=5100, dport=53) / Raw(b"q" * 700)
    lab.R.ip("route del default")
    try:
        router.settle()
        expect_unreachable(router, inner, sent, 0, "link_no_route")
        assert "no-default-route" in warnings(router)
    finally:
        lab.R.ip(f"route replace default via {UPSTREAM}")
        router.settle()
    assert "no-default-route" not in warnings(router)
    router.wait_for("has a default route again")
    assert router.log().count("has no default route; ") == 1
    inner.send(sent)
    assert outer.expect().src == ROUTER_WAN


@culvert_only
def test_a_dead_gateway_is_told_of(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    sent = IP(src=inner.address, dst=outer.address) / UDP(sport=5101, dport=53) / Raw(b"q" * 20)
    nobody = "198.51.100.78"
    lab.R.ip(f"route replace default via {nobody}")
    try:
        router.settle()
        expect_unreachable(router, inner, sent, 1, "link_next_hop")
        wait_for(lambda: inner.send(sent) or "gateway-silent" in warnings(router), "the warning")
        router.wait_for(f"the gateway {nobody} does not answer to ARP; ")
    finally:
        lab.R.ip(f"route replace default via {UPSTREAM}")
        router.settle()
    wait_for(lambda: inner.send(sent) or "gateway-silent" not in warnings(router), "the gateway that answers")
    router.wait_for(f"the gateway {UPSTREAM} answers to ARP")
