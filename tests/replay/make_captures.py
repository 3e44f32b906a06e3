#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""make_captures.py DIRECTORY: writes lan-in.pcap and wan-in.pcap, what two LAN hosts and two remotes send.

A conversation of each kind: DNS, a TCP connection through to its FINs, ping and traceroute, GRE, ESP, a fragmented
datagram out of order, a forwarded connection from outside, strangers, broken packets. Ports are such that they are
preserved, so that the remotes' packets can be written beforehand. Nothing random: the same files come out every time.
"""
import sys

from scapy.all import ESP, GRE, ICMP, IP, TCP, UDP, RawPcapWriter, Raw, raw, fragment

L1, L2, OUT, W1, W2, HOP = "10.0.0.2", "10.0.0.3", "198.51.100.1", "203.0.113.1", "203.0.113.2", "203.0.113.9"
LAN, WAN = "lan-in.pcap", "wan-in.pcap"


def conversation():
    """Yields (side, packet) in order; 10 ms pass between any two."""
    body = Raw(bytes(range(64)))
    yield LAN, IP(src=L1, dst=W1, id=1) / UDP(sport=5353, dport=53) / body
    yield WAN, IP(src=W1, dst=OUT, id=1) / UDP(sport=53, dport=5353) / body
    syn = TCP(sport=40000, dport=443, flags="S", seq=1000, options=[("MSS", 9000)])
    yield LAN, IP(src=L1, dst=W1, id=2, flags="DF") / syn
    yield WAN, IP(src=W1, dst=OUT, id=2, flags="DF") / TCP(sport=443, dport=40000, flags="SA", seq=5000, ack=1001,
                                                          options=[("NOP", None), ("MSS", 1460)])
    yield LAN, IP(src=L1, dst=W1, id=3, flags="DF") / TCP(sport=40000, dport=443, flags="A", seq=1001, ack=5001)
    yield LAN, IP(src=L1, dst=W1, id=4, flags="DF") / TCP(sport=40000, dport=443, flags="PA", seq=1001, ack=5001) / body
    yield WAN, IP(src=W1, dst=OUT, id=3, flags="DF") / TCP(sport=443, dport=40000, flags="FA", seq=5001, ack=1065)
    yield LAN, IP(src=L1, dst=W1, id=5, flags="DF") / TCP(sport=40000, dport=443, flags="FA", seq=1065, ack=5002)
    yield WAN, IP(src=W1, dst=OUT, id=4, flags="DF") / TCP(sport=443, dport=40000, flags="A", seq=5002, ack=1066)
    yield LAN, IP(src=L2, dst=W2, id=6) / ICMP(type=8, id=77, seq=1) / body
    yield WAN, IP(src=W2, dst=OUT, id=6) / ICMP(type=0, id=77, seq=1) / body
    probe = IP(src=L1, dst=W2, id=7, ttl=4, flags="DF") / UDP(sport=33000, dport=33434) / body
    yield LAN, probe
    sent = IP(src=OUT, dst=W2, id=7, ttl=1, flags="DF") / UDP(sport=33000, dport=33434) / body
    yield WAN, IP(src=HOP, dst=OUT, id=7) / ICMP(type=11, code=0) / raw(sent)[:28]
    yield WAN, IP(src=W2, dst=OUT, id=8) / ICMP(type=3, code=3) / raw(sent)
    yield LAN, IP(src=L1, dst=W1, id=9) / GRE(proto=0x0800) / body
    yield WAN, IP(src=W1, dst=OUT, id=9) / GRE(proto=0x0800) / body
    yield LAN, IP(src=L2, dst=W1, id=10) / GRE(proto=0x0800) / body  # L1 owns it
    yield LAN, IP(src=L2, dst=W2, id=11) / ESP(spi=0x1001, seq=1, data=bytes(64))
    yield WAN, IP(src=W2, dst=OUT, id=11) / ESP(spi=0x2002, seq=1, data=bytes(64))
    pieces = fragment(IP(src=W1, dst=OUT, id=12) / UDP(sport=53, dport=5353) / Raw(bytes(3000)), fragsize=1000)
    for piece in reversed(pieces):
        yield WAN, piece
    yield WAN, IP(src=W2, dst=OUT, id=13, flags="DF") / TCP(sport=50000, dport=8080, flags="S", seq=1)
    yield LAN, IP(src=L1, dst=W2, id=13, flags="DF") / TCP(sport=80, dport=50000, flags="SA", seq=1, ack=2)
    yield LAN, IP(src=L1, dst=W1, id=14) / UDP(sport=5000, dport=9) / Raw(bytes(2000))  # larger than the MTU
    yield LAN, IP(src=L1, dst=W1, id=15, flags="DF") / UDP(sport=5000, dport=9) / Raw(bytes(2000))
    yield LAN, IP(src=L2, dst=OUT, id=16, flags="DF") / UDP(sport=6000, dport=5000) / body  # to L1 by its outside port
    yield WAN, IP(src=W2, dst=OUT, id=17) / UDP(sport=7, dport=1234) / body  # a stranger
    yield WAN, IP(src=L1, dst=OUT, id=18) / UDP(sport=7, dport=5000) / body  # a liar
    yield WAN, IP(src=W1, dst=OUT, id=19, ttl=1) / UDP(sport=9, dport=5000) / body
    yield LAN, IP(src=L1, dst=W1, id=20, chksum=1) / UDP(sport=5000, dport=9) / body
    yield LAN, Raw(b"\x60" + bytes(39))  # IPv6


def main(directory):
    writers = {
        name: RawPcapWriter(f"{directory}/{name}", linktype=101, endianness="<", sync=True) for name in (LAN, WAN)
    }
    for writer in writers.values():
        writer.write_header(None)
    for number, (side, packet) in enumerate(conversation()):
        at = 1000000000 + number * 10000
        writers[side].write_packet(raw(packet), sec=at // 1000000, usec=at % 1000000)
    for writer in writers.values():
        writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_captures.py DIRECTORY")
    main(sys.argv[1])
