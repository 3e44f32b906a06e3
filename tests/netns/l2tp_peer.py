# SPDX-License-Identifier: BSD-2-Clause
"""Both ends of L2TP over UDP (RFC 2661), just enough of it for tunnels to come up, carry data and end: headers as in
section 3.1, attributes as in section 4.4. Each end names itself in what it sends, and looks for its partner's name in
what it gets. Clients and servers are made of raw peers, so nothing runs by itself.
"""
import os
import struct

from lab import ROUTER_WAN
from namespace import LIMIT
from scapy.layers.inet import IP, UDP, fragment
from scapy.packet import Raw

PORT = 1701
SCCRQ, SCCRP, SCCCN, STOPCCN, HELLO = 1, 2, 3, 4, 6
HOST_NAME, ASSIGNED_TUNNEL = 7, 9
MANDATORY, HIDDEN = 0x8000, 0x4000
CONTROL = 0xC802


def attribute(kind, value, bits=MANDATORY):
    return struct.pack("!HHH", bits | (6 + len(value)), 0, kind) + value


def number(value):
    return struct.pack("!H", value)


class Message:
    """A control message, or data if kind is None."""

    def __init__(self, tunnel, kind=None, name="", own=None, payload=b"", hide=False):
        self.tunnel, self.kind, self.name, self.own, self.payload, self.hide = tunnel, kind, name, own, payload, hide

    def __bytes__(self):
        if self.kind is None:
            return struct.pack("!HHH", 2, self.tunnel, 1) + self.payload
        body = attribute(0, number(self.kind)) + attribute(HOST_NAME, self.name.encode())
        if self.own is not None and self.hide:
            body += attribute(ASSIGNED_TUNNEL, os.urandom(18), MANDATORY | HIDDEN)
        elif self.own is not None:
            body += attribute(ASSIGNED_TUNNEL, number(self.own))
        return struct.pack("!HHHHHH", CONTROL, 12 + len(body), self.tunnel, 0, 0, 0) + body

    @classmethod
    def read(cls, data):
        (bits,) = struct.unpack("!H", data[:2])
        if bits == 2:
            return cls(struct.unpack("!H", data[2:4])[0], payload=data[6:])
        _, length, tunnel = struct.unpack("!HHH", data[:6])
        assert bits == CONTROL and length == len(data), data.hex()
        message, at = cls(tunnel), 12
        while at < length:
            size, _, kind = struct.unpack("!HHH", data[at : at + 6])
            value, at = data[at + 6 : at + (size & 0x3FF)], at + (size & 0x3FF)
            if kind == 0:
                (message.kind,) = struct.unpack("!H", value)
            elif kind == HOST_NAME:
                message.name = value.decode()
            elif kind == ASSIGNED_TUNNEL and not size & HIDDEN:
                (message.own,) = struct.unpack("!H", value)
        return message

    def __repr__(self):
        return f"kind {self.kind} for tunnel {self.tunnel} of {self.name!r}, own ID {self.own}, {self.payload[:40]}"


def is_udp(ip):
    return UDP in ip


class Client:
    """A host on the LAN with one tunnel to a server."""

    def __init__(self, peer, there, own, port=PORT, hide=False):
        self.peer, self.there, self.own, self.port, self.hide = peer, there, own, port, hide
        self.name = peer.address
        self.to_port, self.tunnel = PORT, 0

    def send(self, message, **fields):
        ip = IP(src=self.peer.address, dst=self.there, **fields)
        self.peer.send(ip / UDP(sport=self.port, dport=self.to_port) / Raw(bytes(message)))

    def ask(self):
        self.to_port = PORT
        self.send(Message(0, SCCRQ, self.name, self.own, hide=self.hide))

    def receive(self, timeout=LIMIT):
        """The next message, which must be for this host and its tunnel; None if there is none."""
        packet = self.peer.receive(timeout, is_udp)
        if packet is None:
            return None
        assert (packet.src, packet[UDP].dport) == (self.there, self.port), packet.summary()
        message = Message.read(bytes(packet[UDP].payload))
        assert message.tunnel == self.own, f"{self.name} has tunnel {self.own} and got {message}"
        self.to_port = packet[UDP].sport
        return message


class Server:
    """A host outside. What it hears and where it answers from and to is told by its marks."""

    def __init__(self, peer, strict=False, answers_from=PORT, answers_to=None):
        self.peer, self.strict, self.answers_from, self.answers_to = peer, strict, answers_from, answers_to
        self.ports = []  # source ports of all that has come
        self.seen = {}  # own Tunnel ID → (client's name, its Tunnel ID as seen here, its outside port)
        self.next_id = int.from_bytes(os.urandom(2), "big") % 30000 + 1000

    def take(self, timeout=LIMIT):
        packet = self.peer.receive(timeout, is_udp)
        if packet is None:
            return None
        assert packet.src == ROUTER_WAN, packet.summary()
        self.ports.append(packet[UDP].sport)
        return Message.read(bytes(packet[UDP].payload)), packet[UDP].sport

    def send(self, message, port, pieces=0):
        packet = IP(src=self.peer.address, dst=ROUTER_WAN, id=int.from_bytes(os.urandom(2), "big")) / UDP(
            sport=self.answers_from, dport=self.answers_to or port
        )
        packet = IP(bytes(packet / Raw(bytes(message))))
        for piece in fragment(packet, pieces) if pieces else [packet]:
            self.peer.send(piece)

    def answer(self):
        """Answers the next message, if it is heard: an SCCRQ, which may come again; whether it was."""
        taken = self.take()
        if taken is None or (self.strict and taken[1] != PORT):
            return False
        message, port = taken
        assert message.kind == SCCRQ and message.tunnel == 0, message
        own = next((key for key, value in self.seen.items() if value[:2] == (message.name, message.own)), None)
        if own is None:
            own, self.next_id = self.next_id, self.next_id + 1
            assert self.answers_to is None or message.own not in [value[1] for value in self.seen.values()]
            self.seen[own] = message.name, message.own, port
        self.send(Message(message.own, SCCRP, f"to {message.name}", own), port)
        return True

    def expect(self, client, kind):
        """The next message is this client's."""
        taken = self.take()
        assert taken is not None, f"nothing came of {client.name}"
        message, port = taken
        assert message.kind == kind and self.seen[message.tunnel][0] == client.name, message
        self.seen[message.tunnel] = *self.seen[message.tunnel][:2], port
        return message

    def id_of(self, client):
        """The Tunnel ID by which a client's tunnel is known out here."""
        return self.seen[client.tunnel][1]

    def speak(self, client, message, pieces=0):
        self.send(message, self.seen[client.tunnel][2], pieces)


def dial(client, server, tries=1):
    """Brings a tunnel up; how many times it was asked for."""
    for count in range(1, tries + 1):
        client.ask()
        message = client.receive(LIMIT if server.answer() else 0.05)
        if message is not None:
            assert message.kind == SCCRP and message.name == f"to {client.name}", message
            client.tunnel = message.own
            client.send(Message(client.tunnel, SCCCN, client.name))
            server.expect(client, SCCCN)
            return count
    raise AssertionError(f"{client.name} got no answer in {tries} tries, from ports {server.ports[-tries:]}")


def carry(server, clients, count=5):
    """Data of all tunnels in turn, both ways; each gets its own, and nothing else."""
    for turn in range(count):
        for client in clients:
            payload = os.urandom(20 + 37 * turn)
            client.send(Message(client.tunnel, payload=payload))
            assert server.expect(client, None).payload == payload
            server.speak(client, Message(server.id_of(client), payload=payload[::-1]))
            message = client.receive()
            assert message is not None, f"{client.name} got no data"
            assert message.kind is None and message.payload == payload[::-1], message
    for client in clients:
        client.peer.expect_nothing(0.01)


def hang_up(client, server):
    client.send(Message(client.tunnel, STOPCCN, client.name, client.own))
    message = server.expect(client, STOPCCN)
    assert message.own == server.id_of(client), f"{message}: its own ID is {server.id_of(client)}"
