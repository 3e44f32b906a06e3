# SPDX-License-Identifier: BSD-2-Clause
"""What the data path drops beside the engine: links that are away, packets that the kernel refuses or that no buffer
and no offload of a link fits."""
import contextlib
import signal
import socket
import struct

import pytest

from lab import ROUTER_WAN, wait_for
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw

pytestmark = [pytest.mark.culvert_only("the kernel has other counters")]

SOL_PACKET, PACKET_VNET_HDR = 263, 15
NEEDS_CHECKSUM, GSO_TCPV4 = 1, 1
FRONT = bytes.fromhex("020000000002" + "020000000001" + "0800")


def udp(source, port, destination, to_port):
    return IP(src=source, dst=destination) / UDP(sport=port, dport=to_port) / Raw(b"u" * 20)


@pytest.mark.config({"nat": {"bypass": "203.0.113.0/24"}})
def test_the_wan_is_away(lab, router):
    """Under another name it is another device. What needs no outside address gets as far as the link then."""
    one, w1 = lab.raw("L1"), lab.raw("W1")
    lab.R.ip("link set wan0 down", "link set wan0 name wan9")
    try:
        router.settle()
        with router.dropping(lan={"link_down": 2}):
            one.send(udp(one.address, 5000, w1.address, 53))
            one.send(udp(one.address, 5000, w1.address, 53))
    finally:
        lab.R.ip("link set wan9 name wan0", "link set wan0 up", "route replace default via 198.51.100.1")
        lab.introduce_raw_peers()
        router.settle()


def test_the_kernel_refuses(lab, router):
    """The TUN is down: the packet that is read before the news of that cannot be given to it. Then it is up again."""
    one, w1 = lab.raw("L1"), lab.raw("W1")
    one.send(udp(one.address, 5001, w1.address, 53))
    assert w1.expect().src == ROUTER_WAN
    with router.dropping(wan={"link_send": 1}):
        router.process.send_signal(signal.SIGSTOP)
        try:
            w1.send(udp(w1.address, 53, ROUTER_WAN, 5001))
            lab.R.ip("link set cv0 down")
        finally:
            router.process.send_signal(signal.SIGCONT)
    wait_for(lambda: "UP" in lab.R.ip_json("link", "show", "dev", "cv0")[0]["flags"], "the TUN is up again")
    w1.send(udp(w1.address, 53, ROUTER_WAN, 5001))
    assert one.expect().dst == one.address


def send_large(space, device, packet, front=b""):
    """A TCP segment for the device to cut up, by its virtio header, so that it may be larger than the link allows."""
    start = len(front) + 20
    virtio = struct.pack("<BBHHHH", NEEDS_CHECKSUM, GSO_TCPV4, start + 20, 1000, start, 16)
    with contextlib.closing(space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) as sender:
        sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        sender.bind((device, 0x0800))
        sender.send(virtio + front + bytes(packet))


def test_segments_of_a_tunnel(lab, router):
    """TCP that is still one piece inside VXLAN: nothing that leaves could say how to cut it up."""
    inner = IP(src="10.99.0.1", dst="10.99.0.2", flags="DF") / TCP(sport=1, dport=2, flags="A") / Raw(b"s" * 4000)
    if lab.X.run("ip", "link", "add", "t0", "type", "vxlan", "id", "6", "dstport", "4789", check=False).returncode != 0:
        pytest.skip("this kernel has no VXLAN")
    lab.X.ip(
        "link delete t0",
        f"link add t0 type vxlan id 5 local 198.51.100.1 remote {ROUTER_WAN} dstport 4789 dev to_r",
        "address add 10.99.0.1/30 dev t0",
        "link set t0 up",
    )
    try:
        with router.dropping(wan={"link_offload": 1}):
            send_large(lab.X, "t0", inner, FRONT)
    finally:
        lab.X.ip("link delete t0")


def test_larger_than_any_packet(lab, router):
    head = bytes(IP(src="203.0.113.101", dst=ROUTER_WAN, len=65535) / TCP(sport=1, dport=2, flags="A"))
    front = bytes.fromhex(lab.router_wan_mac.replace(":", "")) + FRONT[6:]
    set_gso(lab, 200000)
    try:
        with router.dropping(wan={"link_truncated": 1}):
            send_large(lab.X, "to_r", head + b"s" * 80000, front)
    finally:
        set_gso(lab, 65536)


def set_gso(lab, size):
    """IFLA_GSO_IPV4_MAX_SIZE, which older versions of ip have no word for."""
    index = lab.X.ip_json("link", "show", "dev", "to_r")[0]["ifindex"]
    body = struct.pack("=BBHiII", 0, 0, 0, index, 0, 0) + struct.pack("=HHI", 8, 63, size)
    with contextlib.closing(lab.X.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)) as netlink:
        netlink.send(struct.pack("=IHHII", 16 + len(body), 19, 5, 1, 0) + body)
        answer = netlink.recv(4096)
    assert struct.unpack_from("=i", answer, 16) == (0,), answer
