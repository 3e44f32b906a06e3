# SPDX-License-Identifier: BSD-2-Clause
"""Both ends of native ESP (RFC 4303) with keys that somebody has typed in: security parameter indexes and sequence
numbers as on the wire, and in place of ciphertext random bytes that say who sent them.

An End has a raw socket of its host's kernel below it. Nothing runs by itself: Field.pump() takes in what has arrived
everywhere, and the ends that answer do so. What comes to an address without an end there for its SPI and its source
is kept in Line.strays, in a real host the "unknown SPI" of its statistics; so is what nobody there has sent.
"""
import contextlib
import hashlib
import itertools
import os
import select
import socket
import struct
import time

from lab import ROUTER_WAN
from namespace import LIMIT
from test_icmp import offender

ESP = 50
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_DO, IP_RECVERR = 10, 0, 2, 11
REMOTE = {"W1": "203.0.113.", "W2": "192.0.2."}
OVERHEAD = 20 + 8  # of IPv4 and ESP headers
CHECK = 8


def new_spi():
    """1 to 255 are reserved, RFC 4303 section 2.1."""
    return int.from_bytes(os.urandom(4), "big") % (2**32 - 256) + 256


def seal(spi, number, sender, size):
    """An ESP packet whose payload of size bytes names its sender."""
    name = f"{sender} {number} ".encode()
    text = name + os.urandom(max(0, size - len(name) - CHECK))
    return (
        struct.pack("!II", spi, number) + text + hashlib.sha256(struct.pack("!II", spi, number) + text).digest()[:CHECK]
    )


def unseal(packet):
    """SPI, sequence number and the sender's name; None in its place if the packet is not what was sent."""
    spi, number = struct.unpack("!II", packet[:8])
    if hashlib.sha256(packet[:-CHECK]).digest()[:CHECK] != packet[-CHECK:]:
        return spi, number, None
    sender, said, _ = packet[8:].split(b" ", 2)
    return spi, number, sender.decode() if int(said) == number else None


class Line:
    """Everything with ESP at one address of a host."""

    def __init__(self, lab, host, address):
        self.host, self.address = host, address
        self.socket = lab.spaces[host].socket(socket.AF_INET, socket.SOCK_RAW, ESP)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.setblocking(False)
        self.socket.bind((address, 0))
        self.ends, self.strays = {}, []

    def take(self):
        packet = self.socket.recv(65536)
        source, body = socket.inet_ntoa(packet[12:16]), packet[(packet[0] & 15) * 4 :]
        end = self.ends.get((source, int.from_bytes(body[:4], "big")))
        if end is None or not end.arrive(body):
            self.strays.append((source, *unseal(body)))


class End:
    """One end of a pair of security associations: what it receives has own_spi, what it sends the other end's."""

    def __init__(self, line, name, remote, own_spi):
        self.line, self.name, self.remote, self.own_spi = line, name, remote, own_spi
        self.peer = None
        self.sent = 0  # the last sequence number
        self.expected = 1  # the first one of the other end that counts
        self.received = []  # those of the other end
        self.answers = False
        line.ends[remote, own_spi] = self

    def packet(self, size=100):
        self.sent += 1
        return seal(self.peer.own_spi, self.sent, self.name, size)

    def send(self, size=100):
        self.line.socket.sendto(self.packet(size), (self.remote, 0))

    def arrive(self, body):
        _, number, sender = unseal(body)
        if sender != self.peer.name:
            return False
        self.received.append(number)
        if self.answers:
            self.send(len(body) - 8)
        return True

    def close(self):
        """The host has forgotten this SPI."""
        self.line.ends.pop((self.remote, self.own_spi), None)

    def __repr__(self):
        return f"{self.name} ({self.line.address}, SPI {self.own_spi:08x}, {self.sent} sent, {self.received} received)"


class Pair:
    """A pair of associations, one each way: client and server are its ends, the server's answers every packet."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        client.peer, server.peer = server, client
        server.answers = True

    def whole(self):
        """Whether all that was sent so far has arrived once and in order, both ways."""
        return all(end.received == list(range(end.expected, end.peer.sent + 1)) for end in (self.client, self.server))

    def forgive(self):
        """What was sent so far does not count any more."""
        for end in (self.client, self.server):
            end.expected, end.received = end.peer.sent + 1, []

    def close(self):
        self.client.close()
        self.server.close()

    def __repr__(self):
        return f"{self.client} to {self.server}"


class Field:
    """All ends of a test. Hosts outside have an address of their own in each, so that the router knows nothing of it
    from a test before."""

    fresh = itertools.count(20)

    def __init__(self, lab):
        self.lab, self.lines, self.pairs, self.remotes = lab, {}, [], {}

    def close(self):
        for line in self.lines.values():
            line.socket.close()
        for host, address in self.remotes.items():
            self.lab.spaces[host].ip(f"address delete {address}/24 dev eth0")

    def address(self, host):
        if host not in REMOTE:
            return self.lab.address(host)
        if host not in self.remotes:
            self.remotes[host] = REMOTE[host] + str(next(self.fresh))
            self.lab.spaces[host].ip(f"address add {self.remotes[host]}/24 dev eth0")
        return self.remotes[host]

    def line(self, host, address=None):
        address = address or self.address(host)
        if address not in self.lines:
            self.lines[address] = Line(self.lab, host, address)
        return self.lines[address]

    def pair(self, client, server, spis=None, seen_from=ROUTER_WAN):
        """A client inside and a server outside, each a host or (host, address); spis: what each of them receives."""
        client, server = (self.line(*([end] if isinstance(end, str) else end)) for end in (client, server))
        return self._join(client, server.address, server, seen_from, spis)

    def pair_inward(self, client, server, spis=None):
        """A client outside and a server inside, which is reached by the outside address."""
        client, server = (self.line(*([end] if isinstance(end, str) else end)) for end in (client, server))
        return self._join(client, ROUTER_WAN, server, client.address, spis)

    def _join(self, client, to, server, back, spis):
        number = len(self.pairs)
        own, far = spis or (new_spi(), new_spi())
        pair = Pair(
            End(client, f"client{number}@{client.address}", to, own),
            End(server, f"server{number}@{server.address}", back, far),
        )
        self.pairs.append(pair)
        return pair

    def pump(self, timeout=0.0):
        """Takes in what arrives within that time; returns as soon as anything has, and whether it has."""
        by_socket = {line.socket: line for line in self.lines.values()}
        ready = select.select(list(by_socket), [], [], timeout)[0]
        for sock in ready:
            by_socket[sock].take()
        return bool(ready)

    def run(self, until, timeout=LIMIT):
        """Pumps until a condition holds; whether it does."""
        end = time.monotonic() + timeout
        while not until() and (left := end - time.monotonic()) > 0:
            self.pump(min(left, 0.05))
        return until()

    def rest(self, seconds=0.1):
        """Pumps for that long, whatever comes; what was sent before has come then, or does not."""
        self.lab.catch_up()
        self.run(lambda: False, seconds)
        while self.pump():
            pass

    def strays(self):
        return [(line.address, *stray) for line in self.lines.values() for stray in line.strays]

    def forget_strays(self):
        for line in self.lines.values():
            line.strays.clear()


def carry(field, pairs, rounds=3, size=100, timeout=LIMIT):
    """That many packets each way in every pair, all at one time: none lost, none changed, none where it does not
    belong, each in order."""
    for _ in range(rounds):
        for pair in pairs:
            pair.client.send(size)
        assert field.run(lambda: all(pair.whole() for pair in pairs), timeout), "\n".join(map(repr, pairs))
    assert not field.strays(), field.strays()


def settle(field, pairs, timeout):
    """All clients send again and again, until each of them has had an answer; it may take that long, and packets may
    get lost or to the wrong host. Afterwards no more."""
    begin = time.monotonic()
    for pair in pairs:
        pair.forgive()
    while not all(pair.client.received for pair in pairs):
        assert time.monotonic() < begin + timeout, "\n".join(map(repr, pairs)) + f"\nstrays {field.strays()}"
        for pair in pairs:
            pair.client.send()
        field.rest(0.2)
    field.rest(0.1)
    for pair in pairs:
        pair.forgive()
    field.forget_strays()


def start_at_once(field, pairs, count=5, size=100, timeout=LIMIT):
    """All clients send before any server has been heard. Nothing of it may be lost, and everything must be back, with
    the right client, in time."""
    for _ in range(count):
        for pair in pairs:
            pair.client.send(size)
    assert field.run(lambda: all(pair.whole() for pair in pairs), timeout), "\n".join(map(repr, pairs))
    assert not field.strays(), field.strays()


def server_first(field, pair):
    """The server is the first to use new SPIs, and the client answers."""
    pair.server.answers, pair.client.answers = False, True
    pair.server.send()
    assert field.run(lambda: pair.server.received == [1]), f"{pair}, strays {field.strays()}"
    pair.server.answers, pair.client.answers = True, False


def refused_df(end, size):
    """Sends a packet with DF; the offender, type and code of the error that comes, or None."""
    sock = end.line.socket
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    sock.sendto(end.packet(size), (end.remote, 0))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            return offender(sock)
        time.sleep(0.005)
    return None


def learned_mtu(space, remote):
    return space.ip_json("route", "get", remote)[0].get("metrics", [{}])[0].get("mtu")
