# SPDX-License-Identifier: BSD-2-Clause
"""Links of different size: path MTU discovery (RFC 1191, RFC 4787 REQ-13, RFC 5508) with real stacks and by hand."""
import errno
import os
import socket

import pytest

from lab import ROUTER_LAN, ROUTER_WAN, UPSTREAM, carry
from namespace import LIMIT
from scapy.layers.inet import ICMP, IP, TCP, UDP
from test_icmp import IP_RECVERR, offender

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14
SMALL_HOP = (("X", "to_w1", 1280), ("W1", "eth0", 1280))
SMALL_WAN = (("R", "wan0", 1400), ("X", "to_r", 1400))
SMALL_LAN = (("R", "lan0", 1300), ("B", "to_r", 1300), ("B", "to_l1", 1300), ("B", "br0", 1300), ("L1", "eth0", 1300))

pytestmark = [
    pytest.mark.parametrize(
        "_daemon",
        [
            pytest.param(value, marks=pytest.mark.config({"wan": {"offload": value}}), id=f"daemon-{value}")
            for value in ("yes", "no")
        ],
        scope="module",
    )
]


@pytest.fixture(autouse=True)
def _daemon():
    """Replaced by the parameter above; there so that a test need not name it."""


def both_ways(lab, port):
    """A TCP connection that carries 300 kB up and 300 kB down."""
    with lab.tcp_listen("W1", port=port) as listener, lab.tcp_connect("L1", listener.getsockname()) as client:
        server, _ = listener.accept()
        for end in (client, server):
            end.settimeout(LIMIT)
        carry(client, server, os.urandom(300000))
        carry(server, client, os.urandom(300000))
        mtus = [end.getsockopt(socket.IPPROTO_IP, IP_MTU) for end in (client, server)]
        server.close()
    return mtus


def probe_with_df(lab, host, address, to, size):
    """Sends a UDP datagram of size bytes with DF; returns (sender of the error, type, code, learned MTU), or None if
    nothing came back."""
    with lab.udp(host, address) as client:
        client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        client.connect(to)
        client.send(b"x" * size)
        try:
            client.recv(10)
        except TimeoutError:
            return None
        except OSError as refused:
            assert refused.errno == errno.EMSGSIZE, refused
        sender = offender(client)
        return (*sender, client.getsockopt(socket.IPPROTO_IP, IP_MTU))


def test_tcp_behind_a_small_hop(lab, router):
    """W1's link carries 1280 (its SYN does not tell): X says so to the outside address, and L1 hears it."""
    with lab.mtu(*SMALL_HOP):
        lab.W1.ip("route change default via 203.0.113.1 advmss 1460")
        try:
            assert both_ways(lab, 3600)[0] == 1280
        finally:
            lab.W1.ip("route change default via 203.0.113.1")


def test_rfc1191_udp_behind_a_small_hop(lab, router):
    with lab.mtu(*SMALL_HOP):
        router.settle()
        assert probe_with_df(lab, "L1", None, ("203.0.113.10", 9), 1400) == (UPSTREAM, 3, 4, 1280)


@pytest.mark.culvert_only("the kernel quotes what it likes")
def test_rfc1191_the_quote_is_the_hosts_own_packet(lab, router):
    """The error of the small hop, by hand: outer addresses X and L1, inner ones L1 and W1."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    with lab.mtu(*SMALL_HOP):
        router.settle()
        inner.send(IP(src=inner.address, dst=outer.address, flags="DF") / UDP(sport=46200, dport=9) / (b"x" * 1400))
        got = inner.expect()
        quote = got["IP in ICMP"]
        assert (got.src, got[ICMP].type, got[ICMP].code, got[ICMP].nexthopmtu) == (UPSTREAM, 3, 4, 1280)
        assert (quote.src, quote.dst, quote["UDP in ICMP"].sport) == (inner.address, outer.address, 46200)


def test_tcp_with_a_small_wan(lab, router):
    with lab.mtu(*SMALL_WAN):
        router.settle()
        both_ways(lab, 3601)
    router.settle()


def test_rfc4787_req13_udp_with_df_and_a_small_wan(lab, router):
    """The router itself answers, from its LAN address, with the MTU of the WAN."""
    with lab.mtu(*SMALL_WAN):
        router.settle()
        sender, kind, code, mtu = probe_with_df(lab, "L1", None, ("203.0.113.10", 9), 1440)
        assert (sender, kind, code, mtu) == (ROUTER_LAN, 3, 4, 1400)
    router.settle()


def test_rfc4787_req13a_udp_without_df_and_a_small_wan(lab, router):
    """Fragmented at the router, in order, each fragment fits, and the receiver puts them together."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    with lab.mtu(*SMALL_WAN):
        router.settle()
        payload = os.urandom(1450)
        inner.send(IP(src=inner.address, dst=outer.address, id=99) / UDP(sport=46201, dport=9) / payload)
        pieces = [outer.expect() for _ in range(2)]
        assert all(piece.len <= 1400 for piece in pieces)
        assert [piece.frag for piece in pieces] == [0, (pieces[0].len - 20) // 8]
        assert pieces[0].id == pieces[1].id and pieces[0].flags.MF and not pieces[1].flags.MF
        whole = IP(
            bytes(
                IP(src=pieces[0].src, dst=outer.address, proto=17)
                / (bytes(pieces[0].payload) + bytes(pieces[1].payload))
            )
        )
        assert bytes(whole[UDP].payload) == payload
        with lab.udp("W1", port=7100) as server, lab.udp("L1") as client:
            for sock in (server, client):
                sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
            for size in (1372, 1373, 1472, 5000):
                lab.echo_once(client, server, os.urandom(size))
    router.settle()


def test_tcp_with_a_small_lan(lab, router):
    with lab.mtu(*SMALL_LAN):
        router.settle()
        both_ways(lab, 3602)
    router.settle()


@pytest.mark.config({"forward:probe": {"protocol": "udp", "port": "6700", "to": "10.77.0.11"}})
def test_rfc4787_req13_inbound_df_and_a_small_lan(lab, router):
    """W1 sends too much with DF to a forward: the router answers from its outside address with the MTU of the LAN."""
    with lab.mtu(*SMALL_LAN):
        router.settle()
        assert probe_with_df(lab, "W1", None, (ROUTER_WAN, 6700), 1400) == (ROUTER_WAN, 3, 4, 1300)
    router.settle()


def test_udp_without_df_and_a_small_lan(lab, router):
    with lab.mtu(*SMALL_LAN):
        router.settle()
        with lab.udp("W1", port=7101) as server, lab.udp("L1") as client:
            for sock in (server, client):
                sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
            for size in (1272, 1273, 1400, 4000):
                lab.echo_once(client, server, os.urandom(size))
    router.settle()


@pytest.mark.culvert_only("masquerading does not clamp")
def test_mss_follows_the_smaller_link(lab, router):
    """The clamp follows the WAN's MTU, in both directions."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    with lab.mtu(*SMALL_WAN):
        router.settle()
        inner.send(
            IP(src=inner.address, dst=outer.address)
            / TCP(sport=46202, dport=80, flags="S", seq=1, options=[("MSS", 1460)])
        )
        got = outer.expect()
        assert dict(got[TCP].options)["MSS"] == 1360
        outer.send(
            IP(src=outer.address, dst=ROUTER_WAN)
            / TCP(sport=80, dport=got[TCP].sport, flags="SA", seq=1, ack=2, options=[("MSS", 1460)])
        )
        assert dict(inner.expect()[TCP].options)["MSS"] == 1360
    router.settle()


@pytest.mark.config({"nat": {"clamp_mss": "no"}})
def test_tcp_without_the_clamp_discovers_the_path(lab, router):
    with lab.mtu(*SMALL_WAN):
        router.settle()
        assert both_ways(lab, 3603)[0] == 1400
    router.settle()


def test_jumbo_links(lab, router):
    """Both links carry 9000: datagrams and segments of that size pass whole."""
    jumbo = [
        ("R", "wan0", 9000),
        ("X", "to_r", 9000),
        ("X", "to_w1", 9000),
        ("W1", "eth0", 9000),
        ("R", "lan0", 9000),
        ("B", "to_r", 9000),
        ("B", "to_l1", 9000),
        ("B", "br0", 9000),
        ("L1", "eth0", 9000),
    ]
    with lab.mtu(*jumbo):
        router.settle()
        with lab.udp("W1", port=7102) as server, lab.udp("L1") as client, lab.capture_wan() as capture:
            lab.echo_once(client, server, os.urandom(8972))
            sizes = [ip.len for ip in capture.packets() if ip.proto == 17]
            assert sizes == [9000, 9000]
        both_ways(lab, 3604)
    router.settle()
