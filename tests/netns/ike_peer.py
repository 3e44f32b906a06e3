# SPDX-License-Identifier: BSD-2-Clause
"""Both ends of IKE on UDP port 500, as far as a router sees it: headers as RFC 2408 section 3.1 and RFC 7296 section
3.1 have them, and in place of what would be negotiated a word that says for whom it is. They never move to port 4500.

Initiators and responders are made of raw peers, so nothing runs by itself: ask() lets one message go and come back.
"""
import itertools
import os
import struct
import time

from lab import ROUTER_WAN
from namespace import LIMIT
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

PORT = 500
HEADER = struct.Struct("!QQBBBBII")
MAIN_MODE, QUICK_MODE, INFORMATIONAL_V1 = 2, 32, 5
SA_INIT, AUTH, CREATE_CHILD_SA, INFORMATIONAL = 34, 35, 36, 37
FIRST = {1: MAIN_MODE, 2: SA_INIT}
PHASE_2 = {1: QUICK_MODE, 2: AUTH}
ANYTHING = {1: INFORMATIONAL_V1, 2: INFORMATIONAL}
ENCRYPTED, INITIATOR, RESPONSE = 0x01, 0x08, 0x20
NONCE_V1, HASH_V1, NONCE, SEALED = 10, 8, 40, 46  # the one payload of a message


def new_spi():
    return int.from_bytes(os.urandom(8), "big") | 1


class Message:
    """One IKE message with one payload: words with blanks between."""

    def __init__(self, version, initiator, responder, exchange, flags, number, text):
        self.version, self.initiator, self.responder = version, initiator, responder
        self.exchange, self.flags, self.number, self.text = exchange, flags, number, text

    def __bytes__(self):
        if self.version == 1:
            payload = HASH_V1 if self.flags & ENCRYPTED else NONCE_V1
        else:
            payload = NONCE if self.exchange == SA_INIT else SEALED
        body = self.text.encode()
        body = struct.pack("!BBH", 0, 0, 4 + len(body)) + body
        spis, rest = (self.initiator, self.responder), (payload, self.version << 4, self.exchange, self.flags)
        return HEADER.pack(*spis, *rest, self.number, HEADER.size + len(body)) + body

    @classmethod
    def read(cls, data):
        initiator, responder, _, version, exchange, flags, number, length = HEADER.unpack(data[: HEADER.size])
        assert length == len(data), f"an IKE message of {len(data)} bytes says that it has {length}"
        return cls(version >> 4, initiator, responder, exchange, flags, number, data[HEADER.size + 4 :].decode())

    def __repr__(self):
        return f"{self.initiator:016x} {self.responder:016x} exchange {self.exchange} number {self.number}: {self.text}"


def is_ike(ip):
    return UDP in ip and PORT in (ip[UDP].sport, ip[UDP].dport)


class Initiator:
    """One host on the LAN that uses port 500. It may have several IKE SAs, one after the other, with one responder."""

    def __init__(self, peer, there, version=2):
        self.peer, self.there, self.version = peer, there, version
        self.name = peer.address
        self.counter = itertools.count(1)
        self.start()

    def start(self, initiator=None):
        """From now on it is a new IKE SA."""
        self.initiator, self.responder, self.number = initiator or new_spi(), 0, 0
        self.message = None

    def send(self, message):
        self.peer.send(self.packet(message))

    def packet(self, message):
        return IP(src=self.peer.address, dst=self.there) / UDP(sport=PORT, dport=PORT) / Raw(bytes(message))

    def begin(self, exchange):
        """Sends a request that again() repeats."""
        flags = INITIATOR
        if self.version == 1:
            flags = 0 if exchange == MAIN_MODE else ENCRYPTED
            self.number = 0 if exchange == MAIN_MODE else int.from_bytes(os.urandom(4), "big")
        text = f"from {self.name} {next(self.counter)}"
        self.message = Message(self.version, self.initiator, self.responder, exchange, flags, self.number, text)
        self.send(self.message)

    def again(self):
        self.send(self.message)

    def receive(self, timeout=LIMIT):
        """The next IKE message, which must be for this host, or None."""
        packet = self.peer.receive(timeout, is_ike)
        if packet is None:
            return None
        assert (packet.src, packet[UDP].sport, packet[UDP].dport) == (self.there, PORT, PORT), packet.summary()
        message = Message.read(bytes(packet[UDP].payload))
        assert message.text.split()[1] == self.name, f"{self.name} got what is for another host: {message}"
        return message

    def answered(self, timeout):
        """Whether the request gets its answer in time."""
        message = self.receive(timeout)
        if message is None:
            return False
        asked = self.message
        assert message.text == f"to {asked.text.split(' ', 1)[1]}", f"{message} for {asked}"
        assert (message.initiator, message.number) == (asked.initiator, asked.number), f"{message} for {asked}"
        self.responder = message.responder
        self.number += 1
        return True


class Responder:
    """A host outside; hears only port 500 unless it is_tolerant."""

    def __init__(self, peer, is_tolerant=False):
        self.peer, self.is_tolerant = peer, is_tolerant
        self.ports = []  # the source ports of all that has come
        self.own = {}  # initiator's SPI → responder's SPI
        self.seen = {}  # initiator's SPI → its name and its outside port
        self.last = None  # outside port of the last message

    def take(self, timeout=LIMIT):
        """The next message and its source port, heard or not; None if there is none."""
        packet = self.peer.receive(timeout, is_ike)
        if packet is None:
            return None
        assert packet.src == ROUTER_WAN and packet[UDP].dport == PORT, packet.summary()
        self.ports.append(packet[UDP].sport)
        return Message.read(bytes(packet[UDP].payload)), packet[UDP].sport

    def answer(self, timeout):
        """Answers the next message, if one comes and is heard; whether it did."""
        taken = self.take(timeout)
        if taken is None or not (taken[1] == PORT or self.is_tolerant):
            return False
        message, port = taken
        own = self.own.setdefault(message.initiator, new_spi())
        assert message.responder in (0, own), f"{message} belongs to no IKE SA"
        self.seen[message.initiator] = message.text.split()[1], port
        flags = RESPONSE if message.version == 2 else message.flags
        rest = (message.exchange, flags, message.number, f"to {message.text.split(' ', 1)[1]}")
        self.send(Message(message.version, message.initiator, own, *rest), port)
        return True

    def send(self, message, port=PORT):
        self.peer.send(self.packet(message, port))

    def packet(self, message, port=PORT):
        return IP(src=self.peer.address, dst=ROUTER_WAN) / UDP(sport=PORT, dport=port) / Raw(bytes(message))

    def ask(self, initiator, name, exchange=INFORMATIONAL, flags=0):
        """Sends a request of its own in the IKE SA with this initiator's SPI, meant for the host of this name."""
        text = f"to {name} asked"
        message = Message(2, initiator, self.own.setdefault(initiator, new_spi()), exchange, flags, 0, text)
        self.send(message)
        return message


SHARE = 4  # the message that reaches a strict server: three get no answer
PATIENCE = 3.05  # seconds since the first of them


def ask(client, server, exchange, tries=1):
    """A request and its answer; how many times it was sent. A strict server is reached by each of SHARE tries."""
    client.begin(exchange)
    for count in range(1, tries + 1):
        if count == tries == SHARE:
            time.sleep(PATIENCE)
        if count > 1:
            client.again()
        timeout = LIMIT if count == tries or tries == SHARE else 1
        if client.answered(timeout if server.answer(timeout) else 0.05):
            return count
    ports = server.ports[-tries:]
    raise AssertionError(f"{client.name} got no answer to exchange {exchange} in {tries} tries, from ports {ports}")


def expect_request(client, message):
    """What the server asked must have reached the client."""
    got = client.receive()
    assert got is not None and bytes(got) == bytes(message), f"{client.name} got {got} instead of {message}"
