# SPDX-License-Identifier: BSD-2-Clause
"""What the calls look like on the two wires of the router."""
import contextlib
import struct

from wire import ETH_P_IP, Capture, assemble

TCP, UDP, GRE, ESP, AH = 6, 17, 47, 50, 51
# The first bytes of packets of TCP, UDP, GRE, ESP and AH: enough for a PPTP control message up to its Call IDs.
FILTER = assemble(
    [
        (None, "ldh", 12),
        (None, "jeq", ETH_P_IP, None, "reject"),
        (None, "ldb", 23),
        (None, "jeq", GRE, "accept"),
        (None, "jeq", UDP, "accept"),
        (None, "jeq", ESP, "accept"),
        (None, "jeq", AH, "accept"),
        (None, "jeq", TCP, "accept", "reject"),
    ],
    256,
)
CALL_REQUEST, CALL_REPLY = 7, 8  # Outgoing-Call-Request and -Reply, RFC 2637 sections 2.7 and 2.8


class Watch:
    """One wire; read() takes in what has come since.

    requests: (caller, server, caller's Call ID), replies: the same and the server's Call ID, both in their order;
    gre: (source, destination, Call ID) → packets; esp and ah: the same with SPIs; udp: (source, port, destination,
    port) → packets; each without the later fragments; fragments: source → fragments.
    """

    def __init__(self, namespace, device):
        self.capture = Capture(namespace, device, FILTER, 256 << 20)
        self.requests, self.replies = [], []
        self.gre, self.esp, self.ah, self.udp, self.fragments = {}, {}, {}, {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.capture.close()

    def read(self, settle=0.2):
        for frame in self.capture.frames(settle):
            self._read_packet(frame.data[14:])
        assert self.capture.lost == 0, f"the capture lost {self.capture.lost} frames"

    def _read_packet(self, packet):
        source, destination = (".".join(map(str, packet[at : at + 4])) for at in (12, 16))
        payload, offset = packet[(packet[0] & 15) * 4 :], struct.unpack("!H", packet[6:8])[0]
        if offset & 0x3FFF:
            count(self.fragments, source)
        if offset & 0x1FFF:
            return
        if packet[9] == GRE:
            count(self.gre, (source, destination, struct.unpack("!H", payload[6:8])[0]))
            return
        if packet[9] in (ESP, AH):
            at = 0 if packet[9] == ESP else 4
            counts = self.esp if packet[9] == ESP else self.ah
            count(counts, (source, destination, int.from_bytes(payload[at : at + 4], "big")))
            return
        ports = struct.unpack("!HH", payload[:4])
        if packet[9] == UDP:
            count(self.udp, (source, ports[0], destination, ports[1]))
        elif 1723 in ports:
            self._read_control(source, destination, payload[(payload[12] >> 4) * 4 :])

    def _read_control(self, source, destination, message):
        if message[4:8] != b"\x1a\x2b\x3c\x4d":
            return
        kind, own, peer = struct.unpack("!H2xHH", message[8:16])
        if kind == CALL_REQUEST and (source, destination, own) not in self.requests:
            self.requests.append((source, destination, own))
        if kind == CALL_REPLY and (destination, source, peer, own) not in self.replies:
            self.replies.append((destination, source, peer, own))


def count(counts, key):
    counts[key] = counts.get(key, 0) + 1


@contextlib.contextmanager
def watch(room):
    """Both wires of the router: (LAN, WAN)."""
    with Watch(room.lab.B, "to_r") as lan, Watch(room.lab.X, "to_r") as wan:
        yield lan, wan
