# SPDX-License-Identifier: BSD-2-Clause
"""Both ends of PPTP (RFC 2637), spoken by the test itself: whole control messages over real TCP, and enhanced GRE with
sequence and acknowledgement numbers by raw sockets.

Nothing here runs by itself. A test holds the client and the server of a Connection and moves them in turn, so it can
cut a message anywhere, put several into one segment, and let either end misbehave. Every ID and every packet that
arrives is checked; what arrives at an address and belongs to no call of it is kept in Line.strays.
"""
import hashlib
import os
import re
import select
import socket
import struct
import time
import types

from lab import linger_reset
from namespace import LIMIT

PORT = 1723
COOKIE = 0x1A2B3C4D
GRE = 47
PPP = 0x880B
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0
HEADER = "!HHIHH"

# Control messages: number, layout behind the header, names of the fields.
SHAPES = {
    "start_request": (1, "HBBIIHH64s64s", "version result error framing bearer channels firmware host vendor"),
    "start_reply": (2, "HBBIIHH64s64s", "version result error framing bearer channels firmware host vendor"),
    "stop_request": (3, "BBH", "reason reserved reserved2"),
    "stop_reply": (4, "BBH", "result error reserved"),
    "echo_request": (5, "I", "identifier"),
    "echo_reply": (6, "IBBH", "identifier result error reserved"),
    "outgoing_call_request": (
        7,
        "HHIIIIHHHH64s64s",
        "call serial low high bearer framing window delay length reserved phone subaddress",
    ),
    "outgoing_call_reply": (8, "HHBBHIHHI", "call peer result error cause speed window delay channel"),
    "incoming_call_request": (
        9,
        "HHIIHH64s64s64s",
        "call serial bearer channel dialed_length dialing_length dialed dialing subaddress",
    ),
    "incoming_call_reply": (10, "HHBBHHH", "call peer result error window delay reserved"),
    "incoming_call_connected": (11, "HHIHHI", "peer reserved speed window delay framing"),
    "call_clear_request": (12, "HH", "call reserved"),
    "call_disconnect_notify": (13, "HBBHH128s", "call result error cause reserved statistics"),
    "wan_error_notify": (14, "HHIIIIII", "peer reserved crc framing hardware buffer timeout alignment"),
    "set_link_info": (15, "HHII", "peer reserved send receive"),
}
NAMES = {shape[0]: name for name, shape in SHAPES.items()}
DEFAULTS = {"version": 0x0100, "framing": 3, "bearer": 3, "window": 64, "speed": 100000000, "low": 300, "high": 1 << 30}
LENGTHS = {name: 12 + struct.calcsize("!" + shape[1]) for name, shape in SHAPES.items()}


def message(name, **values):
    """A whole control message. Fields that are not named have a default of their own, or 0."""
    number, layout, fields = SHAPES[name]
    filler = [b"" if part.endswith("s") else 0 for part in layout.replace("64s", "s").replace("128s", "s")]
    filled = [values.pop(field, DEFAULTS.get(field, empty)) for field, empty in zip(fields.split(), filler)]
    assert not values, f"{name} has no field {', '.join(values)}"
    return struct.pack(HEADER, LENGTHS[name], 1, COOKIE, number, 0) + struct.pack("!" + layout, *filled)


def parse(data):
    """The name and the fields of a control message that must be perfect."""
    length, kind, cookie, number, _ = struct.unpack(HEADER, data[:12])
    assert (kind, cookie) == (1, COOKIE) and number in NAMES, f"not a control message: {data[:12].hex()}"
    name = NAMES[number]
    assert length == len(data) == LENGTHS[name], f"{name} of {length} bytes"
    _, layout, fields = SHAPES[name]
    return name, types.SimpleNamespace(**dict(zip(fields.split(), struct.unpack("!" + layout, data[12:]))))


class Control:
    """One end of a control connection."""

    def __init__(self, sock):
        self.socket = sock
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(LIMIT)
        self.buffer = b""

    def send(self, *messages):
        """All of them with one write, that is, in one segment if they fit."""
        self.socket.sendall(b"".join(messages))

    def send_cut(self, data, *cuts):
        """One segment for each part: the next one is only written when the last one has left."""
        for start, end in zip((0, *cuts), (*cuts, len(data))):
            self.socket.sendall(data[start:end])
            time.sleep(0.002)

    def receive(self, name):
        """The fields of the next message, which must be that one."""
        while len(self.buffer) < 12 or len(self.buffer) < int.from_bytes(self.buffer[:2], "big"):
            more = self.socket.recv(65536)
            assert more, f"the connection ended where {name} was awaited"
            self.buffer += more
        length = int.from_bytes(self.buffer[:2], "big")
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        got, fields = parse(data)
        assert got == name, f"{got} instead of {name}: {fields}"
        return fields

    def close(self):
        self.socket.close()

    def abort(self):
        """Without a trace: no kernel goes on about this connection after its test."""
        if self.socket.fileno() >= 0:
            linger_reset(self.socket)


class Line:
    """Everything with GRE at one address of a host: the calls there, and packets that belong to none of them."""

    def __init__(self, lab, host, address):
        self.lab, self.address = lab, address
        self.socket = lab.spaces[host].socket(socket.AF_INET, socket.SOCK_RAW, GRE)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((address, 0))
        self.calls, self.strays = {}, []

    def pump(self, timeout):
        """Gives what arrives within that time to its calls; returns as soon as anything has come."""
        while select.select([self.socket], [], [], timeout)[0]:
            packet = self.socket.recv(65536)
            timeout = 0
            source = socket.inet_ntoa(packet[12:16])
            body = packet[(packet[0] & 15) * 4 :]
            call = None
            if len(body) >= 8 and struct.unpack("!I", body[:4])[0] & 0xEF7FFFFF == 0x2001880B:
                call = self.calls.get((source, int.from_bytes(body[6:8], "big")))
            if call:
                call.arrive(body)
            else:
                self.strays.append((source, body))

    def close(self):
        self.socket.close()


class Call:
    """One end of a call: own_id was chosen here, peer_id by the other end; each sends with the other's."""

    def __init__(self, line, remote, own_id, peer_id):
        self.line, self.remote, self.own_id, self.peer_id = line, remote, own_id, peer_id
        self.sent = 0  # sequence number of the next packet
        self.heard = None  # the highest that came
        self.acknowledged = None  # the highest of ours that the other end has
        self.inbox = []
        line.calls[remote, own_id] = self

    def packet(self, payload=None):
        """The next packet, without payload an acknowledgement alone."""
        flags, tail = 0x2001, b""
        if payload is not None:
            flags |= 0x1000
            tail += struct.pack("!I", self.sent)
            self.sent += 1
        if self.heard is not None:
            flags |= 0x0080
            tail += struct.pack("!I", self.heard)
        return struct.pack("!HHHH", flags, PPP, len(payload or b""), self.peer_id) + tail + (payload or b"")

    def send(self, payload=None):
        self.line.socket.sendto(self.packet(payload), (self.remote, 0))

    def arrive(self, body):
        flags, length, at = int.from_bytes(body[:2], "big"), int.from_bytes(body[4:6], "big"), 8
        if flags & 0x1000:
            sequence = int.from_bytes(body[at : at + 4], "big")
            assert self.heard is None or sequence > self.heard, f"sequence {sequence} after {self.heard}"
            self.heard, at = sequence, at + 4
        if flags & 0x0080:
            self.acknowledged, at = int.from_bytes(body[at : at + 4], "big"), at + 4
            assert self.acknowledged < self.sent, f"{self.acknowledged} acknowledged, {self.sent} sent"
        assert len(body) == at + length, f"payload of {len(body) - at} bytes instead of {length}"
        if flags & 0x1000:
            self.inbox.append(body[at:])

    def take(self, count, timeout=LIMIT):
        """That many payloads, or as many as came in time."""
        end = time.monotonic() + timeout
        while len(self.inbox) < count and (left := end - time.monotonic()) > 0:
            self.line.pump(left)
        got, self.inbox = self.inbox[:count], self.inbox[count:]
        return got

    def forget(self):
        self.line.calls.pop((self.remote, self.own_id), None)


class Tunnel:
    """A call's two ends: pns is the client's, pac the server's."""

    def __init__(self, pns, pac):
        self.pns, self.pac = pns, pac

    def forget(self):
        self.pns.forget()
        self.pac.forget()


class Server:
    """A PPTP server: a listener and its GRE."""

    def __init__(self, lab, host, address=None):
        self.lab, self.host, self.address = lab, host, address or lab.address(host)
        self.listener = lab.tcp_listen(host, self.address, PORT)
        self.line = Line(lab, host, self.address)

    def accept(self):
        sock, peer = self.listener.accept()
        return Control(sock), peer[0]

    def close(self):
        self.listener.close()
        self.line.close()


class Connection:
    """A control connection with both ends in hand: pns, the client's, and pac, the server's."""

    def __init__(self, lab, client_line, host, server, to=None, port=0):
        self.to, self.server, self.client_line = to or server.address, server, client_line
        self.pns = Control(lab.tcp_connect(host, (self.to, PORT), client_line.address, port))
        self.pac, self.seen_from = server.accept()

    def start(self):
        self.pns.send(message("start_request", channels=65535, host=b"client", vendor=b"a test"))
        assert self.pac.receive("start_request").host.startswith(b"client")
        self.pac.send(message("start_reply", result=1, channels=65535, host=b"server", vendor=b"a test"))
        assert self.pns.receive("start_reply").result == 1
        return self

    def tunnel(self, pns_id, pns_seen, pac_id, pac_seen):
        """A tunnel of the IDs that each end chose, and what the other one saw of them."""
        return Tunnel(
            Call(self.client_line, self.to, pns_id, pac_seen),
            Call(self.server.line, self.seen_from, pac_id, pns_seen),
        )

    def dial(self, pns_id, pac_id, cuts=(), reply_cuts=()):
        """The client calls."""
        self.pns.send_cut(message("outgoing_call_request", call=pns_id, serial=1), *cuts)
        return self.answer(pns_id, pac_id, reply_cuts)

    def answer(self, pns_id, pac_id, cuts=()):
        """The server takes a call that the client requested, and the client hears it."""
        request = self.pac.receive("outgoing_call_request")
        self.pac.send_cut(message("outgoing_call_reply", call=pac_id, peer=request.call, result=1), *cuts)
        return self.hear_answer(pns_id, request.call, pac_id)

    def hear_answer(self, pns_id, pns_seen, pac_id):
        reply = self.pns.receive("outgoing_call_reply")
        assert (reply.peer, reply.result) == (pns_id, 1), f"the answer is for {reply.peer}, not {pns_id}"
        return self.tunnel(pns_id, pns_seen, pac_id, reply.call)

    def call_in(self, pac_id, pns_id, cuts=()):
        """The server has a call for the client (RFC 2637 section 2.9 to 2.11)."""
        self.pac.send_cut(message("incoming_call_request", call=pac_id, serial=2), *cuts)
        request = self.pns.receive("incoming_call_request")
        self.pns.send_cut(message("incoming_call_reply", call=pns_id, peer=request.call, result=1), *cuts)
        reply = self.pac.receive("incoming_call_reply")
        assert (reply.peer, reply.result) == (pac_id, 1), f"the answer is for {reply.peer}, not {pac_id}"
        self.pac.send_cut(message("incoming_call_connected", peer=reply.call), *cuts)
        assert self.pns.receive("incoming_call_connected").peer == pns_id
        return self.tunnel(pns_id, reply.call, pac_id, request.call)

    def hang_up(self, tunnel, echo=False):
        """The client clears a call. The server's notify carries its own ID as the RFC has it, or echoes the client's as
        some servers do."""
        self.pns.send(message("call_clear_request", call=tunnel.pns.own_id))
        heard = self.pac.receive("call_clear_request").call
        assert heard == tunnel.pac.peer_id, f"{heard} cleared instead of {tunnel.pac.peer_id}"
        self.notify(tunnel, echo)

    def notify(self, tunnel, echo=False):
        """The server ends a call."""
        sent = tunnel.pac.peer_id if echo else tunnel.pac.own_id
        want = tunnel.pns.own_id if echo else tunnel.pns.peer_id
        self.pac.send(message("call_disconnect_notify", call=sent, result=4))
        heard = self.pns.receive("call_disconnect_notify").call
        assert heard == want, f"notify of {heard} instead of {want}"

    def set_link_info(self, tunnel):
        """Of both ends, and a WAN-Error-Notify: each names the other end's ID."""
        self.pns.send(message("set_link_info", peer=tunnel.pns.peer_id, send=0xFFFFFFFF))
        assert self.pac.receive("set_link_info").peer == tunnel.pac.own_id
        self.pac.send(
            message("set_link_info", peer=tunnel.pac.peer_id), message("wan_error_notify", peer=tunnel.pac.peer_id)
        )
        assert self.pns.receive("set_link_info").peer == tunnel.pns.own_id
        assert self.pns.receive("wan_error_notify").peer == tunnel.pns.own_id

    def echo(self):
        for one, two in ((self.pns, self.pac), (self.pac, self.pns)):
            one.send(message("echo_request", identifier=77))
            assert two.receive("echo_request").identifier == 77
            two.send(message("echo_reply", identifier=77, result=1))
            assert one.receive("echo_reply").identifier == 77

    def echo_from_server(self):
        """Only the server's request: it arrives, whatever the client is in the middle of."""
        self.pac.send(message("echo_request", identifier=78))
        assert self.pns.receive("echo_request").identifier == 78

    def stop(self):
        self.pns.send(message("stop_request", reason=1))
        self.pac.receive("stop_request")
        self.pac.send(message("stop_reply", result=1))
        self.pns.receive("stop_reply")

    def close(self):
        self.pns.close()
        self.pac.close()


class Ends:
    """All ends of a test, and what must be true of them together."""

    def __init__(self, lab):
        self.lab = lab
        self.servers, self.lines, self.connections = [], {}, []

    def line(self, host, address=None):
        address = address or self.lab.address(host)
        for server in self.servers:
            if server.address == address:
                return server.line
        if address not in self.lines:
            self.lines[address] = Line(self.lab, host, address)
        return self.lines[address]

    def serve(self, host, address=None):
        self.servers.append(Server(self.lab, host, address))
        return self.servers[-1]

    def connect(self, host, server, to=None, address=None, start=True, port=0):
        connection = Connection(self.lab, self.line(host, address), host, server, to, port)
        self.connections.append(connection)
        return connection.start() if start else connection

    def all_lines(self):
        return [*self.lines.values(), *(server.line for server in self.servers)]

    def strays(self, settle=0.05):
        """(address, source, packet) of everything that came to the wrong place since the last call."""
        self.lab.catch_up()
        return self.known_strays(settle)

    def known_strays(self, settle=0.0):
        """The same, when all that was sent is known to have arrived somewhere."""
        found = []
        for line in self.all_lines():
            line.pump(settle)
            found += [(line.address, source, body[:16].hex()) for source, body in line.strays]
            line.strays.clear()
        return found

    def close(self):
        for connection in self.connections:
            connection.pns.abort()
            connection.pac.abort()
        for part in (*self.servers, *self.lines.values()):
            part.close()


def carry(ends, tunnels, count=6, size=600):
    """Data through all tunnels at once, both ways, packet by packet in turn: each end gets all that was sent to it, in
    order and unchanged, and nothing else; the acknowledgements come back."""
    sent = {}
    pairs = [pair for tunnel in tunnels for pair in ((tunnel.pns, tunnel.pac), (tunnel.pac, tunnel.pns))]
    for number in range(count):
        for one, two in pairs:
            payload = os.urandom(size if number else 1)
            one.send(payload)
            sent.setdefault(two, []).append(payload)
        for one, _ in pairs if number % 3 == 2 else ():
            one.line.pump(0)
    for call, payloads in sent.items():
        got = call.take(count)
        want, have = (hashlib.sha256(b"".join(parts)).hexdigest() for parts in (payloads, got))
        assert len(got) == count, f"{call.line.address} got {len(got)} of {count} packets for its Call ID {call.own_id}"
        assert have == want, f"{call.line.address} got other data for its Call ID {call.own_id}"
    for one, two in pairs:
        one.send()
        end = time.monotonic() + LIMIT
        while two.acknowledged != two.sent - 1 and time.monotonic() < end:
            two.line.pump(0.1)
        assert two.acknowledged == two.sent - 1, f"{two.line.address} was told {two.acknowledged} of {two.sent}"
    assert not (strays := ends.known_strays(0.01)), f"at the wrong place: {strays}"


def loses(sender, receiver, count=2, wait=0.15):
    """How many packets of one end the other one does not get."""
    receiver.take(1000, 0.01)
    for _ in range(count):
        sender.send(os.urandom(100))
    sender.line.lab.catch_up()
    return count - len(receiver.take(count, wait))


# --- what the router tells about it ----------------------------------------------------------------------------------

TUNNEL = re.compile(
    r"tunnel: PPTP (\S+) -> (\S+) by (\S+), Call ID inside (\d+), outside (\d+)(?:, remote (\d+))?: (\w+), age \d+ s"
    r"(?: \(([^)]*)\))?; from LAN (\d+) bytes in (\d+) packets[^;\n]*; from WAN (\d+) bytes in (\d+) packets[^;\n]*(.*)"
)


def tunnels(router):
    """The tunnels in the statistics as tuples of text: client, server, outside address, inside ID, outside ID, remote
    ID, state, reason of the end, bytes and packets from the LAN, bytes and packets from the WAN, silence."""
    return [found.groups() for found in TUNNEL.finditer(router.statistics().text)]


def live_tunnels(router):
    return [tunnel for tunnel in tunnels(router) if tunnel[6] != "ended"]


def ended(router, call_id):
    """{client: why} of the ended calls with that inside ID."""
    return {tunnel[0]: tunnel[7] for tunnel in tunnels(router) if tunnel[3] == str(call_id) and tunnel[6] == "ended"}


def outside_ids(*calls):
    """The IDs that the servers see."""
    return [tunnel.pac.peer_id for tunnel in calls]
