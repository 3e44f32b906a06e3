# SPDX-License-Identifier: BSD-2-Clause
"""The network every test works in (drawn in conftest.py), and the few verbs that tests speak: sockets at its hosts,
raw peers, captures, changes of links that are taken back."""
import contextlib
import functools
import socket
import struct
import time

from namespace import LIMIT, Namespace
from wire import Capture, Guard, RawPeer

LAN = "10.77.0.0/24"
WAN = "198.51.100.0/24"
ROUTER_LAN = "10.77.0.1"
ROUTER_WAN = "198.51.100.2"
ROUTER_WAN_SECOND = "198.51.100.3"
UPSTREAM = "198.51.100.1"

# Hosts with a kernel: name → (device, addresses).
ADDRESSES = {
    "L1": ["10.77.0.11"],
    "L2": ["10.77.0.12"],
    "W1": ["203.0.113.10", "203.0.113.11"],
    "W2": ["192.0.2.10", "192.0.2.11"],
}
THIRD = "10.77.0.13"  # for a second address of L2: a third client
# Addresses on the same links that no kernel owns.
RAW = {
    "L1": ["10.77.0.101", "10.77.0.103"],
    "L2": ["10.77.0.102", "10.77.0.104"],
    "W1": ["203.0.113.101", "203.0.113.102"],
    "W2": ["192.0.2.101", "192.0.2.102"],
    # On the WAN link itself, beside the upstream router.
    "X": ["198.51.100.101", "198.51.100.102"],
}


class Lab:
    """Namespaces B L1 L2 R X W1 W2 and the links between them. close() leaves nothing behind."""

    def __init__(self, label, offload=True):
        self.spaces = {}
        self.peers = {}
        self.guard = None
        self.router = None  # the one that the tests of a file share
        try:
            self._build(label, offload)
        except BaseException:
            self.close()
            raise

    def _build(self, label, offload):
        for name in ("B", "L1", "L2", "R", "X", "W1", "W2"):
            self.spaces[name] = Namespace(f"{label}-{name}")
        for name, space in self.spaces.items():
            space.set_sysctl("net/ipv6/conf/default/accept_dad", 0)
            if name != "R":
                space.set_sysctl("net/ipv6/conf/all/disable_ipv6", 1)
                space.set_sysctl("net/ipv6/conf/default/disable_ipv6", 1)
            for key, value in (("icmp_ratelimit", 0), ("icmp_msgs_per_sec", 100000), ("icmp_msgs_burst", 10000)):
                if name != "R":
                    with contextlib.suppress(FileNotFoundError, PermissionError):  # the latter two were global once
                        space.set_sysctl(f"net/ipv4/{key}", value)
        b, l1, l2, r, x, w1, w2 = (self.spaces[name] for name in ("B", "L1", "L2", "R", "X", "W1", "W2"))
        b.ip(
            "link add br0 type bridge forward_delay 0 mcast_snooping 0",
            "link set br0 up",
            f"link add to_r type veth peer name lan0 netns {r.name}",
            f"link add to_l1 type veth peer name eth0 netns {l1.name}",
            f"link add to_l2 type veth peer name eth0 netns {l2.name}",
            *(f"link set {port} master br0" for port in ("to_r", "to_l1", "to_l2")),
            *(f"link set {port} up" for port in ("to_r", "to_l1", "to_l2")),
        )
        x.ip(
            f"link add to_r type veth peer name wan0 netns {r.name}",
            f"link add to_w1 type veth peer name eth0 netns {w1.name}",
            f"link add to_w2 type veth peer name eth0 netns {w2.name}",
            "link set lo up",
            *(f"link set {port} up" for port in ("to_r", "to_w1", "to_w2")),
            f"address add {UPSTREAM}/24 dev to_r",
            "address add 203.0.113.1/24 dev to_w1",
            "address add 192.0.2.1/24 dev to_w2",
        )
        for key in ("net/ipv4/ip_forward",):
            x.set_sysctl(key, 1)
        for device in ("all", "default", "to_r", "to_w1", "to_w2"):
            x.set_sysctl(f"net/ipv4/conf/{device}/rp_filter", 0)
            x.set_sysctl(f"net/ipv4/conf/{device}/send_redirects", 0)
        r.ip(
            "link set lo up",
            "link set lan0 up",
            "link set wan0 up",
            f"address add {ROUTER_LAN}/24 dev lan0",
            f"address add {ROUTER_WAN}/24 dev wan0",
            f"route add default via {UPSTREAM}",
        )
        for space, gateway in ((l1, ROUTER_LAN), (l2, ROUTER_LAN), (w1, "203.0.113.1"), (w2, "192.0.2.1")):
            name = next(key for key, value in self.spaces.items() if value is space)
            space.ip(
                "link set lo up",
                "link set eth0 up",
                *(f"address add {address}/24 dev eth0" for address in ADDRESSES[name]),
                f"route add default via {gateway}",
            )
        if not offload:
            self._switch_offloads_off()
        self.introduce_raw_peers()
        self.router_lan_mac, self.router_wan_mac = r.mac("lan0"), r.mac("wan0")
        self.guard = Guard((x, "to_r"), (b, "to_r"), self.router_wan_mac, LAN, WAN)

    def introduce_raw_peers(self):
        """Nobody answers ARP for the raw peers: their neighbours know them already (until a device is set down)."""
        r, x = self.R, self.X
        for name, router, device, port in (
            ("L1", r, "lan0", "eth0"),
            ("L2", r, "lan0", "eth0"),
            ("W1", x, "to_w1", "eth0"),
            ("W2", x, "to_w2", "eth0"),
            ("X", r, "wan0", "to_r"),
        ):
            mac = self.spaces[name].mac(port)
            router.ip(
                *(f"neighbour replace {address} lladdr {mac} dev {device} nud permanent" for address in RAW[name])
            )

    def _switch_offloads_off(self):
        for name, space in self.spaces.items():
            for link in space.ip_json("link"):
                if link.get("link_type") == "ether":
                    space.run(
                        "ethtool",
                        "-K",
                        link["ifname"],
                        "tx",
                        "off",
                        "gro",
                        "off",
                        "tso",
                        "off",
                        "gso",
                        "off",
                        check=False,
                    )

    def close(self):
        for peer in self.peers.values():
            peer.close()
        if self.guard:
            self.guard.close()
        for space in self.spaces.values():
            space.remove()
        self.spaces.clear()

    def __getattr__(self, name):
        try:
            return self.__dict__["spaces"][name]
        except KeyError:
            raise AttributeError(name) from None

    # --- sockets ---------------------------------------------------------------------------------------------------

    def udp(self, host, address=None, port=0, timeout=LIMIT):
        """A UDP socket at a host, bound to its first address unless told otherwise."""
        sock = self.spaces[host].socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(timeout)
        sock.bind((address or self.address(host), port))
        return sock

    def tcp_listen(self, host, address=None, port=0):
        sock = self.spaces[host].socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.settimeout(LIMIT)
        sock.bind((address or self.address(host), port))
        sock.listen(64)
        return sock

    def tcp_connect(self, host, to, address=None, port=0, timeout=LIMIT):
        sock = self.spaces[host].socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.settimeout(timeout)
        sock.bind((address or self.address(host), port))
        sock.connect(to)
        return sock

    def address(self, host):
        return {"R": ROUTER_WAN, "X": UPSTREAM}.get(host) or ADDRESSES[host][0]

    def catch_up(self):
        """Waits until the router has dealt with what was sent before; so what has not come by then does not come."""
        if self.router and self.router.alive():
            self.router.catch_up()

    # --- raw peers and captures ------------------------------------------------------------------------------------

    def raw(self, host, index=0):
        """The raw peer number index on a host's link; what it got earlier is forgotten."""
        key = host, index
        if key not in self.peers:
            gateway = {
                "L1": self.router_lan_mac,
                "L2": self.router_lan_mac,
                "X": self.router_wan_mac,
                "W1": self.X.mac("to_w1"),
                "W2": self.X.mac("to_w2"),
            }[host]
            device = "to_r" if host == "X" else "eth0"
            self.peers[key] = RawPeer(self.spaces[host], device, RAW[host][index], gateway, self.catch_up)
        self.peers[key].forget()
        return self.peers[key]

    def capture_wan(self, program=None):
        """Frames of the WAN link as its far end sees them."""
        return Capture(self.X, "to_r", program)

    def capture_lan(self, program=None):
        return Capture(self.B, "to_r", program)

    @contextlib.contextmanager
    def mtu(self, *links):
        """MTUs for the time of a test: (host, device, mtu) each; old values come back, learned path MTUs are
        forgotten."""
        old = [
            (host, device, self.spaces[host].ip_json("link", "show", "dev", device)[0]["mtu"])
            for host, device, _ in links
        ]
        try:
            for host, device, value in links:
                self.spaces[host].ip(f"link set {device} mtu {value}")
            yield
        finally:
            for host, device, value in old:
                self.spaces[host].ip(f"link set {device} mtu {value}")
            for name in ("L1", "L2", "W1", "W2", "X"):
                self.spaces[name].ip("route flush cache")

    def echo_once(self, client, server, payload=b"ping", to=None):
        """One datagram from client to server (both sockets of udp()) and back; returns the client's address as the
        server saw it."""
        client.sendto(payload, to or server.getsockname())
        data, seen = server.recvfrom(65535)
        assert data == payload
        server.sendto(payload[::-1], seen)
        answer, source = client.recvfrom(65535)
        assert answer == payload[::-1] and source == (to or server.getsockname())
        return seen


def one_of_three(test):
    """For a test with a bound that the machine can break as well, by standing still for a moment: the router would
    break it each time, so one good run of three is enough."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        for _ in range(2):
            try:
                return test(*args, **kwargs)
            except (AssertionError, TimeoutError) as missed:
                print(f"once more, because of: {missed}")
        return test(*args, **kwargs)

    return run


def wait_for(condition, what, timeout=LIMIT):
    """Waits until a condition holds, and says what it was if it does not."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not within {timeout} s: {what() if callable(what) else what}"
        time.sleep(0.02)


def linger_reset(sock):
    """Closes a TCP socket with a reset instead of a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def carry(source, target, payload):
    """Sends payload from one end of a TCP connection to the other, in pieces that fit any buffer, and checks what
    arrives."""
    for start in range(0, len(payload), 32768):
        piece = payload[start : start + 32768]
        source.sendall(piece)
        got = b""
        while len(got) < len(piece):
            more = target.recv(len(piece) - len(got))
            assert more, "the connection ended early"
            got += more
        assert got == piece
