# SPDX-License-Identifier: BSD-2-Clause
"""The parts of IPsec and L2TP as an administrator sees them: forwards of a whole service beside outbound clients, and
reloads that block one part. The ends are sockets of real kernels that speak just as much IKE and L2TP as a router can
read; ESP is that of esp_peer.py."""
import os
import re
import socket
import struct

import pytest

from control import Control
from esp_peer import Field, carry
from lab import ROUTER_WAN
from namespace import LIMIT
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

pytestmark = pytest.mark.culvert_only("services and their parts are culvert's own")

SA_INIT, AUTH, INITIATOR, RESPONSE = 34, 35, 0x08, 0x20
MARKER = bytes(4)  # RFC 3948 section 2.2
IMPATIENCE = 0.15  # seconds, for what must not come


def ike(spis, exchange, flags, number):
    """A message of IKEv2 (RFC 7296 section 3.1) with one payload: a nonce, or what nobody can read."""
    payload = struct.pack("!BBH", 0, 0, 36) + os.urandom(32)
    kind = 40 if exchange == SA_INIT else 46
    return struct.pack("!QQBBBBII", *spis, kind, 0x20, exchange, flags, number, 28 + len(payload)) + payload


def attribute(kind, value):
    return struct.pack("!HHH", 0x8000 | 6 + len(value), 0, kind) + value


def control(tunnel, sent, heard, kind, *attributes):
    """A control message of L2TP (RFC 2661 section 3.1)."""
    body = attribute(0, struct.pack("!H", kind)) + b"".join(attributes)
    return struct.pack("!HHHHHH", 0xC802, 12 + len(body), tunnel, 0, sent, heard) + body


def arrived(lab, sock):
    """The next datagram; the router may have had no time for it yet."""
    try:
        return sock.recvfrom(2048)
    except TimeoutError:
        lab.catch_up()
        return sock.recvfrom(2048)


def swap(lab, client, to, server, question, answer):
    """One datagram there and one back; the client's address as the server sees it. TimeoutError if either is lost."""
    for sock in (client, server):
        while drain(sock):
            pass
    client.sendto(question, to)
    data, seen = arrived(lab, server)
    assert data == question, "the question was changed"
    server.sendto(answer, seen)
    data, source = arrived(lab, client)
    assert data == answer and source == to, "the answer was changed, or is somebody else's"
    return seen


def drain(sock):
    """Takes what an earlier attempt has left; None if there is nothing."""
    timeout = sock.gettimeout()
    sock.setblocking(False)
    try:
        return sock.recv(2048)
    except BlockingIOError:
        return None
    finally:
        sock.settimeout(timeout)


class Ends:
    """The sockets of a test: one for each address and port, however many tunnels use it."""

    def __init__(self, lab):
        self.lab, self.field, self.sockets = lab, Field(lab), {}

    def close(self):
        self.field.close()
        for sock in self.sockets.values():
            sock.close()

    def udp(self, host, port):
        if (host, port) not in self.sockets:
            self.sockets[host, port] = self.lab.udp(host, self.field.address(host), port, timeout=LIMIT)
        return self.sockets[host, port]

    def protocol(self, host, number):
        if (host, -number) not in self.sockets:
            sock = self.lab.spaces[host].socket(socket.AF_INET, socket.SOCK_RAW, number)
            sock.bind((self.field.address(host), 0))
            sock.settimeout(LIMIT)
            self.sockets[host, -number] = sock
        return self.sockets[host, -number]

    def patience(self, seconds):
        for sock in self.sockets.values():
            sock.settimeout(seconds)


@pytest.fixture
def ends(lab):
    ends = Ends(lab)
    yield ends
    ends.close()


class Tunnel:
    """Between a client at one host and a server at another one, of which one is inside and the other outside."""

    def __init__(self, ends, client, server):
        self.ends, self.client, self.server = ends, client, server
        self.inward = client.startswith("W")
        self.address = ROUTER_WAN if self.inward else ends.field.address(server)

    def swap(self, port, question, answer):
        client, server = self.ends.udp(self.client, port), self.ends.udp(self.server, port)
        return swap(self.ends.lab, client, (self.address, port), server, question, answer)

    def carries(self):
        """Whether data passes both ways."""
        self.ends.patience(IMPATIENCE)
        try:
            self.carry()
        except TimeoutError:
            return False
        finally:
            self.ends.patience(LIMIT)
        return True


class Ike(Tunnel):
    """IKE alone, on port 500."""

    def start(self, port=500, marker=b""):
        one, other = (int.from_bytes(os.urandom(8), "big") | 1 for _ in range(2))
        self.spis = one, other
        self.swap(500, ike((one, 0), SA_INIT, INITIATOR, 0), ike((one, other), SA_INIT, RESPONSE, 0))
        self.number = 0
        self.talk(AUTH, port, marker)

    def talk(self, exchange=37, port=500, marker=b""):
        self.number += 1
        question, answer = (marker + ike(self.spis, exchange, flags, self.number) for flags in (INITIATOR, RESPONSE))
        self.seen = self.swap(port, question, answer)

    def carry(self):
        self.talk()


class InUdp(Ike):
    """IPsec with NAT traversal: IKE moves on to port 4500, where ESP goes as well."""

    def start(self):
        super().start(4500, MARKER)
        self.out, self.back = (os.urandom(3) + bytes([number]) for number in (1, 2))

    def carry(self):
        self.swap(4500, self.out + os.urandom(100), self.back + os.urandom(100))


class Native(Ike):
    """IPsec without NAT traversal: IKE on port 500, and ESP as a protocol of its own."""

    def start(self):
        super().start()
        field = self.ends.field
        self.pair = (field.pair_inward if self.inward else field.pair)(self.client, self.server)

    def carry(self):
        carry(self.ends.field, [self.pair], 2)

    def carries(self):
        before = len(self.pair.server.received)
        self.pair.client.send()
        if not self.ends.field.run(lambda: self.pair.whole(), IMPATIENCE):
            self.ends.lab.catch_up()
            self.ends.field.run(lambda: self.pair.whole(), IMPATIENCE)
        return len(self.pair.server.received) > before and self.pair.whole()


class L2tp(Tunnel):
    """A tunnel and a session of L2TP, both ends on port 1701."""

    def start(self):
        self.own, self.far = (int.from_bytes(os.urandom(2), "big") | 1 for _ in range(2))
        start = [attribute(2, b"\1\0"), attribute(3, bytes(4))]
        sccrq = control(0, 0, 0, 1, *start, attribute(7, b"client"), attribute(9, struct.pack("!H", self.own)))
        sccrp = control(self.own, 0, 1, 2, *start, attribute(7, b"server"), attribute(9, struct.pack("!H", self.far)))
        self.swap(1701, sccrq, sccrp)
        self.swap(1701, control(self.far, 1, 1, 3), struct.pack("!HHHHHH", 0xC802, 12, self.own, 0, 1, 2))

    def carry(self):
        question, answer = (struct.pack("!HHH", 2, tunnel, 1) + os.urandom(60) for tunnel in (self.far, self.own))
        self.swap(1701, question, answer)


class OverIp(Tunnel):
    """L2TPv3 without UDP, protocol 115: data of a session that somebody has typed in."""

    def start(self):
        self.carry()

    def carry(self):
        client, server = self.ends.protocol(self.client, 115), self.ends.protocol(self.server, 115)
        question, answer = (struct.pack("!I", 7) + os.urandom(40) for _ in range(2))
        client.sendto(question, (self.address, 0))
        packet, seen = arrived(self.ends.lab, server)
        assert packet[20:] == question
        server.sendto(answer, seen)
        packet, source = arrived(self.ends.lab, client)
        assert packet[20:] == answer and source[0] == self.address


# --- forwards of a service -------------------------------------------------------------------------------------------

SERVERS = {
    "forward:l2tp": {"service": "l2tp", "to": "10.77.0.12"},
    "forward:ipsec": {"service": "ipsec", "to": "10.77.0.12"},
}


@pytest.mark.config(SERVERS)
@pytest.mark.parametrize("first", ["server inside first", "clients inside first"])
@pytest.mark.parametrize("remote", ["other remotes", "same remotes"])
def test_a_service_opens_all_its_parts_beside_outbound_clients(lab, router, ends, first, remote):
    """L2 is called by W1 and W2 while L1 calls them: IKE and ESP in UDP with one, with the other native ESP, L2TP over
    UDP and over IP, all at one time. Protocol 115 has nothing that tells two inside hosts of one remote apart."""
    others = {"W1": "W2", "W2": "W1"} if remote == "other remotes" else {"W1": "W1", "W2": "W2"}
    sites = {InUdp: "W1", Native: "W2", L2tp: "W2", OverIp: "W2"}
    inward = [kind(ends, site, "L2") for kind, site in sites.items()]
    outward = [
        kind(ends, "L1", others[site])
        for kind, site in sites.items()
        if kind is not OverIp or remote == "other remotes"
    ]
    tunnels = inward + outward if first.startswith("server") else outward + inward
    for tunnel in tunnels:
        tunnel.start()
        tunnel.carry()
    for _ in range(3):
        for tunnel in tunnels:
            tunnel.carry()
    for tunnel in outward:
        if isinstance(tunnel, Ike):
            assert tunnel.seen[1] not in (500, 4500), "the forwards' ports are the server's"
    w1, w2 = (ends.field.address(host) for host in ("W1", "W2"))
    assert [tunnel.seen for tunnel in inward[:2]] == [(w1, 4500), (w2, 500)]


@pytest.mark.config({"ipsec": {"esp": "block"}, **SERVERS})
def test_a_blocked_part_is_not_opened_by_its_service(lab, router, ends):
    """IKE and ESP in UDP reach the server, native ESP does not, and the daemon has said so at its start."""
    in_udp, native = InUdp(ends, "W2", "L2"), Native(ends, "W1", "L2")
    for tunnel in (in_udp, native):
        tunnel.start()
    with router.dropping(wan={"ipsec_blocked": 1}):
        assert not native.carries()
    assert in_udp.carries()
    assert "[forward:ipsec] lets no ESP in while [ipsec] esp = block" in router.log()


# --- reloads that block a part ---------------------------------------------------------------------------------------


class Alone(Ike):
    """Nothing but IKE so far."""


def four_tunnels(ends):
    """One of each part. Those of ESP and of ESP in UDP have their IKE, too."""
    tunnels = {
        "natt": InUdp(ends, "L1", "W1"),
        "esp": Native(ends, "L2", "W1"),
        "ike": Alone(ends, "L1", "W2"),
        "l2tp": L2tp(ends, "L2", "W2"),
    }
    for tunnel in tunnels.values():
        tunnel.start()
        tunnel.carry()
    return tunnels


BLOCKED = {
    "natt": ({"ipsec": {"natt": "block"}}, "NAT traversal", "ipsec_blocked"),
    "esp": ({"ipsec": {"esp": "block"}}, "ESP", "ipsec_blocked"),
    "ike": ({"ipsec": {"ike": "block"}}, "IKE", "ipsec_blocked"),
    "l2tp": ({"l2tp": {"mode": "block"}}, "L2TP", "l2tp_blocked"),
}


@pytest.mark.parametrize("part", BLOCKED)
def test_a_reload_that_blocks_a_part_ends_its_tunnel_and_no_other(lab, router, ends, part):
    """At once and both ways, with the reason counted."""
    sections, _, reason = BLOCKED[part]
    tunnels = four_tunnels(ends)
    router.reload(sections)
    with router.dropping(lan={reason: 1}):
        assert {key for key, tunnel in tunnels.items() if not tunnel.carries()} == {part}


def test_a_reload_that_blocks_all_ends_all(lab, router, ends):
    """Once they pass again, new tunnels open."""
    tunnels = four_tunnels(ends)
    router.reload({"ipsec": {"mode": "block"}, "l2tp": {"mode": "block"}})
    assert not [key for key, tunnel in tunnels.items() if tunnel.carries()]
    router.reload({})
    for tunnel in four_tunnels(ends).values():
        tunnel.carry()


def test_a_reload_of_something_else_leaves_all_tunnels_alone(lab, router, ends):
    tunnels = four_tunnels(ends)
    text = router.reload({"pptp": {"mode": "block"}, "timeouts": {"udp": "200"}})
    assert "this ends" not in text and "flows ended" not in text, text
    for tunnel in tunnels.values():
        tunnel.carry()


# --- what is told about them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", BLOCKED)
def test_a_reload_says_how_many_tunnels_it_costs(lab, router, ends, part):
    """Before they end, by the part that carries them."""
    sections, name, _ = BLOCKED[part]
    four_tunnels(ends)
    text = router.reload(sections)
    assert re.findall(r"(\w[\w -]*) is blocked now; this ends (\d+) tunnel\b", text) == [(name, "1")], text


def test_a_reload_to_plain_ends_what_needs_help(lab, router, ends):
    """Pairs of SPIs end; what ports tell apart goes on, and so does IKE. Of the rest ESP goes on as a protocol without
    ports."""
    tunnels = four_tunnels(ends)
    text = router.reload({"ipsec": {"mode": "plain"}, "l2tp": {"mode": "plain"}})
    assert re.findall(r"(\w[\w -]*) is not read any more; this ends (\d+) tunnel\b", text) == [("ESP", "1")], text
    for tunnel in tunnels.values():
        tunnel.carry()
    assert "tunnel: " not in "".join(line for line in router.statistics().text.splitlines() if ": ended" not in line)


def test_what_the_statistics_say_of_each(lab, router, ends):
    """Ends, names, how data goes and what passed, each in one line; and how many encrypt nothing."""
    tunnels = four_tunnels(ends)
    w1, w2 = (ends.field.address(host) for host in ("W1", "W2"))
    pair, l2tp = tunnels["esp"].pair, tunnels["l2tp"]
    spis = f"{pair.client.own_spi:08x}, remote {pair.server.own_spi:08x}"
    ids = f"{l2tp.own}, outside {l2tp.own}, remote {l2tp.far}"
    ike_said = "IKEv2, no NAT traversal offered"
    text = router.statistics().text
    for line in (
        f"IPsec 10.77.0.11 -> {w1} by {ROUTER_WAN}, {ike_said}, data by ESP in UDP: connected, age 0 s; from LAN 104",
        f"IPsec 10.77.0.12 -> {w1} by {ROUTER_WAN}, {ike_said}, data by ESP, SPI inside {spis} (pairing: sole): "
        "connected, age 0 s; from LAN 256 bytes in 2 packets, the last 0 s ago; from WAN 256 bytes in 2 packets",
        f"IPsec 10.77.0.11 -> {w2} by {ROUTER_WAN}, {ike_said}: negotiating, ",
        f'L2TP 10.77.0.12 "client" -> {w2} "server" by {ROUTER_WAN}, Tunnel ID inside {ids}: connected, ',
    ):
        assert f"tunnel: {line}" in text, f"{line}\nis not in\n{text}"
    assert "tunnels: 1 by PPTP or L2TP without IPsec. Hint not_encrypted: " in text


def test_a_hint_where_nobody_answers(lab, router, jump):
    """Three first messages of one client, and silence, whether it has port 500 outside or not: in the statistics, and
    told once to who watches and to the log."""
    client, server = lab.raw("L1"), lab.raw("W1")
    first = ike((int.from_bytes(os.urandom(8), "big") | 1, 0), SA_INIT, INITIATOR, 0)
    for _ in range(3):
        client.send(IP(src=client.address, dst=server.address) / UDP(sport=500, dport=500) / Raw(first))
        assert bytes(server.expect()[UDP].payload) == first
    jump(11)
    mark = router.mark()
    with Control(router) as watcher:
        watcher.send(b"watch\n")
        assert watcher.line() == {"schema": "culvert.watch/1"}
        told = watcher.line()
    ends = (told["internal-src-address"], told["external-dst-address"])
    assert (told["event"], told["hint"], *ends) == ("hint", "no_answer", client.address, server.address), told
    fields = r"\[event=tunnel_hint service=ipsec .* hint=no_answer\]"
    router.wait_for(rf"tunnel hint: IPsec {client.address} .*{fields}", mark)
    line = f"tunnel: IPsec {client.address} -> {server.address} by {ROUTER_WAN}, IKEv2, no NAT traversal offered: requ"
    said = [said for said in router.statistics().text.splitlines() if line in said]
    assert len(said) == 1 and ". Hint no_answer: nothing has come back from the server: " in said[0], said


@pytest.mark.config(SERVERS)
def test_a_private_wan_address_is_told_where_there_are_forwards(lab, router):
    mark = router.mark()
    with_forwards = "192.168.55.2 is not a public address; if there is another NAT between this router and the"
    lab.R.ip("address add 192.168.55.2/24 dev wan0")
    try:
        router.wait_for(re.escape(with_forwards), mark)
        assert "is not a public address" in router.reload(SERVERS)
        assert "is not a public address" not in router.reload({})
    finally:
        lab.R.ip("address del 192.168.55.2/24 dev wan0")
        router.settle()
    assert "is not a public address" not in router.reload(SERVERS)
