# SPDX-License-Identifier: BSD-2-Clause
"""Packets as bytes: captures, raw peers that no kernel answers for, and the guard that watches the WAN in every test.

All of them are AF_PACKET sockets with a small classic BPF program, drained when somebody looks; no threads.
"""
import ctypes
import errno
import socket
import struct
import time

from namespace import LIMIT
from scapy.layers.inet import IP

ETH_P_ALL = 3
ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_STATISTICS = 6
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
TP_STATUS_CSUMNOTREADY = 1 << 3
PACKET_OUTGOING = 4
TCP_RST = 0x04


def number(address):
    return struct.unpack("!I", socket.inet_aton(address))[0]


def inside(address, network):
    base, length = network.split("/")
    mask = (0xFFFFFFFF << (32 - int(length))) & 0xFFFFFFFF
    return number(address) & mask == number(base) & mask


# --- classic BPF ---------------------------------------------------------------------------------------------------


def assemble(lines, snap):
    """Lines of (label or None, operation, operand, if true, if false); labels and "accept"/"reject" are jump
    targets."""
    codes = {"ldh": 0x28, "ld": 0x20, "ldb": 0x30, "and": 0x54, "jeq": 0x15, "jset": 0x45, "ldxb": 0xB1, "ldb x": 0x50}
    labels = {line[0]: index for index, line in enumerate(lines) if line[0]}
    labels["accept"], labels["reject"] = len(lines), len(lines) + 1
    program = []
    for index, (_, operation, operand, *jumps) in enumerate(lines):
        true, false = (labels[jump] - index - 1 if jump else 0 for jump in (jumps + [None, None])[:2])
        program.append(struct.pack("HBBI", codes[operation], true, false, operand))
    program += [struct.pack("HBBI", 0x06, 0, 0, snap), struct.pack("HBBI", 0x06, 0, 0, 0)]
    return program


def attach(sock, program):
    block = b"".join(program)
    buffer = ctypes.create_string_buffer(block)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))


def filter_to(address):
    """IPv4 to one address."""
    return assemble(
        [
            (None, "ldh", 12),
            (None, "jeq", ETH_P_IP, None, "reject"),
            (None, "ld", 30),
            (None, "jeq", number(address), "accept", "reject"),
        ],
        0x40000,
    )


def filter_guard(lan, wan, errors_only=False):
    """Everything that could be a leak or an answer of the router's kernel: ARP, ICMP, TCP resets, LAN addresses, and
    packets that have no address of the WAN's network. errors_only: ICMP and resets, for the LAN side."""
    lan_number, lan_length = number(lan.split("/")[0]), int(lan.split("/")[1])
    wan_number, wan_length = number(wan.split("/")[0]), int(wan.split("/")[1])
    lan_mask = (0xFFFFFFFF << (32 - lan_length)) & 0xFFFFFFFF
    wan_mask = (0xFFFFFFFF << (32 - wan_length)) & 0xFFFFFFFF
    addresses = (
        []
        if errors_only
        else [
            (None, "ld", 26),
            (None, "and", lan_mask),
            (None, "jeq", lan_number, "accept"),
            (None, "ld", 30),
            (None, "and", lan_mask),
            (None, "jeq", lan_number, "accept"),
            (None, "ld", 26),
            (None, "and", wan_mask),
            (None, "jeq", wan_number, "protocol"),
            (None, "ld", 30),
            (None, "and", wan_mask),
            (None, "jeq", wan_number, "protocol", "accept"),
        ]
    )
    return assemble(
        [
            (None, "ldh", 12),
            (None, "jeq", ETH_P_ARP, "reject" if errors_only else "accept"),
            (None, "jeq", ETH_P_IP, None, "reject"),
        ]
        + addresses
        + [
            ("protocol", "ldb", 23),
            (None, "jeq", 1, "accept"),
            (None, "jeq", 6, None, "reject"),
            (None, "ldh", 20),
            (None, "jset", 0x1FFF, "reject"),
            (None, "ldxb", 14),
            (None, "ldb x", 14 + 13),
            (None, "jset", TCP_RST, "accept", "reject"),
        ],
        0x40000,
    )


# --- captures ------------------------------------------------------------------------------------------------------


class Frame:
    """One captured frame: its bytes, Ethernet fields, and whether the transport checksum is still to be completed."""

    def __init__(self, data, outgoing, partial, when):
        self.data, self.outgoing, self.partial, self.when = data, outgoing, partial, when
        self.source_mac = ":".join(f"{byte:02x}" for byte in data[6:12])
        self.type = struct.unpack("!H", data[12:14])[0]

    @property
    def ip(self):
        return IP(self.data[14:])

    def __repr__(self):
        return self.ip.summary() if self.type == ETH_P_IP else f"frame of type {self.type:#x} from {self.source_mac}"


class Capture:
    """Frames of one device, both directions, from the moment it is made."""

    def __init__(self, namespace, device, program=None, buffer=32 << 20):
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        if program:
            attach(self.socket, program)
        self.socket.bind((device, ETH_P_ALL))
        self.lost = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def receive(self, timeout):
        """The next frame, or None when none came in time."""
        self.socket.settimeout(max(timeout, 0.000001))
        try:
            data, ancillary, _, address = self.socket.recvmsg(0x40000, 256)
        except (TimeoutError, BlockingIOError):
            return None
        except OSError as error:
            if error.errno != errno.ENETDOWN:  # told once when the device goes down; frames come again when it is up
                raise
            return self.receive(timeout)
        partial = any(
            level == SOL_PACKET and kind == PACKET_AUXDATA and struct.unpack("I", value[:4])[0] & TP_STATUS_CSUMNOTREADY
            for level, kind, value in ancillary
        )
        return Frame(data, address[2] == PACKET_OUTGOING, partial, time.monotonic())

    def frames(self, settle=0.0):
        """All frames since the last call; waits until nothing has come for settle seconds."""
        result = []
        while (frame := self.receive(settle)) is not None:
            result.append(frame)
        self.lost += struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        return result

    def expect(self, want, timeout=LIMIT):
        """The next IPv4 packet that want() accepts; packets() is for what should not be there."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            frame = self.receive(left)
            if frame is not None and frame.type == ETH_P_IP and want(frame.ip):
                return frame.ip
        raise AssertionError(f"no such packet within {timeout} s")

    def packets(self, settle=0.05):
        """The IPv4 packets among frames()."""
        return [frame.ip for frame in self.frames(settle) if frame.type == ETH_P_IP]


def ones_complement_sum(data):
    data = bytes(data) + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksums_right(packet):
    """Whether the IPv4 header's and the transport's checksum of a packet are right. Fragments: the header's only."""
    data = bytes(packet)
    header, body = data[: (data[0] & 15) * 4], data[(data[0] & 15) * 4 : int.from_bytes(data[2:4], "big")]
    if ones_complement_sum(header) != 0xFFFF:
        return False
    if int.from_bytes(header[6:8], "big") & 0x3FFF:
        return True
    pseudo = header[12:20] + struct.pack("!HH", header[9], len(body))
    if header[9] == 1:
        return ones_complement_sum(body) == 0xFFFF
    if header[9] == 17 and body[6:8] == b"\0\0":
        return True
    return header[9] not in (6, 17) or ones_complement_sum(pseudo + body) == 0xFFFF


# --- raw peers -----------------------------------------------------------------------------------------------------


class RawPeer:
    """A host made of nothing but a socket: an address on a link that no kernel owns, so nobody answers what it gets.
    catch_up() returns when the router has dealt with what was sent before."""

    def __init__(self, namespace, device, address, gateway_mac, catch_up=lambda: None):
        self.address, self.catch_up = address, catch_up
        self.header = bytes.fromhex(gateway_mac.replace(":", "")) + bytes.fromhex(
            namespace.mac(device).replace(":", "")
        )
        self.device = device
        self.namespace = namespace
        self.capture = Capture(namespace, device, filter_to(address), 4 << 20)
        self.sender = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sender.bind((device, 0))

    def close(self):
        self.capture.close()
        self.sender.close()

    def forget(self):
        """Throws away what has arrived so far."""
        self.capture.frames()

    def send(self, packet, ether_type=ETH_P_IP):
        """An IPv4 packet (scapy's or bytes), exactly as it is."""
        self.sender.send(self.header + struct.pack("!H", ether_type) + bytes(packet))

    def receive(self, timeout=1.0, want=lambda ip: True):
        """The next packet to this address that want() accepts, checksums verified; None when none came in time."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            frame = self.capture.receive(left)
            if frame is None or frame.outgoing:
                continue
            ip = frame.ip
            if want(ip):
                assert frame.partial or checksums_right(frame.data[14:]), f"wrong checksum in {ip!r}"
                return ip
        return None

    def expect(self, timeout=LIMIT, want=lambda ip: True):
        packet = self.receive(timeout, want)
        assert packet is not None, f"nothing arrived at {self.address} within {timeout} s"
        return packet

    def expect_nothing(self, timeout=0.15, want=lambda ip: True):
        self.catch_up()
        packet = self.receive(timeout, want)
        assert packet is None, f"{self.address} should have received nothing, but got {packet!r}"


# --- the guard -----------------------------------------------------------------------------------------------------


class Guard:
    """Watches the WAN link in every test, from the far end of the wire, and judges what the router sent when the
    test is over.

    Nothing from the router may carry a LAN address, outside or inside a quote, or in ARP; every source must be an
    address of the WAN's network; resets and unreachables must have been said by a LAN host first, else the router's
    kernel said them.
    """

    def __init__(self, wan_end, lan_end, router_mac, lan, wan):
        self.router_mac, self.lan, self.wan = router_mac, lan, wan
        self.wan_capture = Capture(*wan_end, filter_guard(lan, wan), 64 << 20)
        self.lan_capture = Capture(*lan_end, filter_guard(lan, wan, errors_only=True), 64 << 20)
        self.host_ports = set()
        self.said = set()

    def close(self):
        self.wan_capture.close()
        self.lan_capture.close()

    def leaks(self, allow=lambda ip: False):
        """What the router should not have sent since the last call, in words."""
        found = []
        # What was on the WAN now was on the LAN before; what was on the LAN late may be on the WAN in the next round.
        sent = self.wan_capture.frames(0.02)
        fresh = {Essence(frame.data[14:]).key for frame in self.lan_capture.frames(0.02) if frame.type == ETH_P_IP}
        said, self.said = fresh | self.said, fresh
        for frame in sent:
            if frame.source_mac != self.router_mac:
                continue
            if frame.type == ETH_P_ARP:
                sender = socket.inet_ntoa(frame.data[28:32])
                if inside(sender, self.lan):
                    found.append(f"ARP on the WAN tells the LAN address {sender}")
                continue
            reasons = list(self._judge(Essence(frame.data[14:]), said))
            if reasons and not allow(frame.ip):
                found += [f"{reason}: {frame.ip!r}" for reason in reasons]
        for capture in (self.wan_capture, self.lan_capture):
            if capture.lost:
                found.append(f"the capture itself lost {capture.lost} frames: nothing can be said about them")
                capture.lost = 0
        return found

    def _judge(self, packet, said):
        if any(inside(address, self.lan) for address in packet.outer):
            yield "LAN address on the WAN"
        elif not inside(packet.outer[0], self.wan):
            yield "source on the WAN that is not of the WAN"
        if any(inside(address, self.lan) for address in packet.quoted):
            yield "LAN address in a quote on the WAN"
        if packet.unreachable and packet.port not in self.host_ports and packet.key not in said:
            yield "unreachable said by the router's kernel"
        if packet.reset and packet.port not in self.host_ports and packet.key not in said:
            yield "reset said by the router's kernel"


class Essence:
    """What the guard asks about a packet: addresses, quoted addresses, and a key that translation does not change."""

    def __init__(self, data):
        size, number = (data[0] & 15) * 4, data[9]
        first = not int.from_bytes(data[6:8], "big") & 0x1FFF
        body = data[size:]
        self.outer = [socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])]
        self.quoted, self.unreachable, self.reset, self.port = [], False, False, None
        self.key = (number, data[16:20])
        if number == 1 and first and len(body) >= 28 and body[0] in (3, 4, 5, 11, 12):
            quote = body[8:]
            self.quoted = [socket.inet_ntoa(quote[12:16]), socket.inet_ntoa(quote[16:20])]
            self.unreachable = body[0] == 3 and body[1] in (2, 3)
            self.port = int.from_bytes(quote[(quote[0] & 15) * 4 + 2 :][:2], "big")  # where the quoted packet went
            self.key = (1, data[16:20], body[:2], quote[9])
        elif number == 6 and first and len(body) >= 14:
            self.reset = bool(body[13] & TCP_RST)
            self.port = int.from_bytes(body[:2], "big")
            self.key = (6, data[16:20], body[2:12])  # the remote's port, sequence and acknowledgement
