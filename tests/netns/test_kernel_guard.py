# SPDX-License-Identifier: BSD-2-Clause
"""The kernel beside the engine: silent about what is translated, itself where it should be, and never a way past it."""
import signal
import socket
import threading
import time

import pytest
from lab import wait_for
from namespace import LIMIT
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Raw

from kernel_util import HOP, HOST, REMOTE, ROUTER_LAN, ROUTER_WAN, UPSTREAM
from wire import ETH_P_ARP, ETH_P_IP

NEIGHBOUR = "198.51.100.101"  # on the WAN link itself
NOBODY = "10.77.0.99"


@pytest.fixture
def probe(place):
    probe = place.start("--tcp", "22")
    yield probe
    if probe.process.poll() is None:
        assert probe.stop() == 0


def probes_of(source):
    """One packet of each kind that a host would answer; the test without culvert shows that it does."""
    to = IP(src=source, dst=ROUTER_WAN)
    big = bytes(UDP(sport=4500, dport=500) / Raw(b"\0" * 1600))
    return {
        "SYN": to / TCP(sport=80, dport=3000, flags="S"),
        "SYN-ACK": to / TCP(sport=80, dport=3000, flags="SA", ack=1),
        "data": to / TCP(sport=80, dport=40000, flags="PA", seq=5, ack=7) / Raw(b"data"),
        "UDP": to / UDP(sport=53, dport=3000) / Raw(b"answer"),
        "UDP to the last port": to / UDP(sport=53, dport=65535) / Raw(b"answer"),
        "GRE": to.__class__(src=source, dst=ROUTER_WAN, proto=47)
        / Raw(bytes.fromhex("3001880b00040001000000010102030405")),
        "GRE 0": IP(src=source, dst=ROUTER_WAN, proto=47)
        / Raw(bytes.fromhex("00000800") + bytes(IP(dst=ROUTER_WAN) / ICMP())),
        "ESP": IP(src=source, dst=ROUTER_WAN, proto=50) / Raw(b"\x12\x34\x56\x78" + b"\0" * 28),
        "AH": IP(src=source, dst=ROUTER_WAN, proto=51) / Raw(bytes.fromhex("3204000000001234000000010000000000000000")),
        "SCTP": to / SCTP(sport=1000, dport=3000) / SCTPChunkInit(init_tag=1),
        "IPIP": IP(src=source, dst=ROUTER_WAN, proto=4) / Raw(bytes(IP(src=source, dst=ROUTER_WAN) / UDP(dport=3000))),
        "L2TPv3": IP(src=source, dst=ROUTER_WAN, proto=115) / Raw(b"\0\0\0\1" + b"\0" * 20),
        "protocol 99": IP(src=source, dst=ROUTER_WAN, proto=99) / Raw(b"\0" * 20),
        "protocol 255": IP(src=source, dst=ROUTER_WAN, proto=255) / Raw(b"\0" * 20),
        "first fragment": IP(src=source, dst=ROUTER_WAN, proto=17, id=77, flags="MF") / Raw(big[:800]),
        "last fragment": IP(src=source, dst=ROUTER_WAN, proto=17, id=77, frag=100) / Raw(big[800:]),
    }


def answers(place, peer, packets):
    """The kinds of packets that the router said anything about."""
    answered = {}
    for kind, packet in packets.items():
        with place.capture_wan() as capture:
            peer.send(packet)
            said = [
                frame
                for frame in capture.frames(0.1)
                if frame.source_mac == place.R.mac("wan0") and frame.type == ETH_P_IP
            ]
            if said:
                answered[kind] = said
    return answered


@pytest.mark.parametrize("source", [REMOTE, NEIGHBOUR])
def test_the_kernel_is_silent_about_every_protocol(place, source):
    peer = place.remote(source)
    place.R.ip(f"neighbour replace {NEIGHBOUR} lladdr {place.X.mac('eth0')} dev wan0 nud permanent")
    place.R.set_sysctl("net/ipv4/icmp_ratelimit", 0)
    packets = probes_of(source)
    without = answers(place, peer, packets)
    assert set(packets) - set(without) <= {"first fragment"}, "without culvert the kernel answers everything"
    probe = place.start("--tcp", "22")
    assert answers(place, peer, packets) == {}
    probe.kill()
    assert (
        answers(place, peer, packets) == {}
    ), "and stays silent after a crash, so that connections live until a restart"
    probe = place.start("--tcp", "22")
    assert answers(place, peer, packets) == {}
    assert probe.stop() == 0
    assert set(answers(place, peer, packets)) == set(without), "and is itself again after an orderly stop"


def test_every_protocol_number(place, probe):
    peer = place.remote()
    with place.capture_wan() as capture:
        for protocol in range(2, 256):
            peer.send(IP(src=REMOTE, dst=ROUTER_WAN, proto=protocol) / Raw(b"\0" * 40))
        said = [
            frame for frame in capture.frames(0.3) if frame.source_mac == place.R.mac("wan0") and frame.type == ETH_P_IP
        ]
    assert not said


def test_the_engines_socket_sees_what_the_kernel_must_not(place, probe):
    peer = place.remote()
    with place.R.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP)) as sock:
        sock.bind(("wan0", ETH_P_IP))
        sock.settimeout(LIMIT)
        for packet in probes_of(REMOTE).values():
            peer.send(packet)
            assert sock.recv(4096)[14:].startswith(bytes(packet)[:20])


def test_arp_ping_and_the_routers_own_ports_work(place, probe):
    place.X.run("ip", "neigh", "flush", "dev", "eth0")
    place.X.run("ping", "-c", "1", "-W", str(LIMIT), ROUTER_WAN)
    with place.R.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("0.0.0.0", 22))
        listener.listen()
        listener.settimeout(LIMIT)
        with place.X.socket(socket.AF_INET, socket.SOCK_STREAM) as visitor:
            visitor.settimeout(LIMIT)
            visitor.connect((ROUTER_WAN, 22))
            session, _ = listener.accept()
            session.sendall(b"welcome")
            assert visitor.recv(100) == b"welcome"
            session.close()
    # the router as a client, both transports, and ping
    with place.X.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, place.R.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as client:
        server.bind((UPSTREAM, 53))
        server.settimeout(LIMIT)
        client.settimeout(LIMIT)
        client.sendto(b"question", (UPSTREAM, 53))
        _, whom = server.recvfrom(100)
        server.sendto(b"answer", whom)
        assert client.recv(100) == b"answer"
    place.R.run("ping", "-c", "1", "-W", str(LIMIT), UPSTREAM)
    # and from the LAN at its LAN address
    place.L.run("ping", "-c", "1", "-W", str(LIMIT), ROUTER_LAN)


def test_the_wan_can_not_reach_what_belongs_to_the_lan(place, probe):
    peer = place.remote(NEIGHBOUR)
    place.R.ip(f"neighbour replace {NEIGHBOUR} lladdr {place.X.mac('eth0')} dev wan0 nud permanent")
    with place.capture_wan() as wan, place.capture_lan() as lan:
        for target in (ROUTER_LAN, HOST, NOBODY, HOP, "10.77.0.255", REMOTE):
            for packet in (ICMP(), UDP(dport=3000), TCP(dport=22, flags="S")):
                peer.send(IP(src=NEIGHBOUR, dst=target) / packet)
        place.X.run("ping", "-c", "1", "-W", "1", ROUTER_LAN, check=False)  # by X's own route through the router
        assert not [
            frame for frame in wan.frames(0.2) if frame.type == ETH_P_IP and frame.source_mac == place.R.mac("wan0")
        ]
        assert not [frame for frame in lan.frames(0.1) if frame.type in (ETH_P_IP, ETH_P_ARP)]
    assert not probe.tun_packets()
    # nor does it learn by ARP what addresses the LAN has
    mac = bytes.fromhex(place.X.mac("eth0").replace(":", ""))
    with place.capture_wan() as wan:
        for target in (ROUTER_LAN, HOP, ROUTER_WAN):
            peer.send(
                bytes.fromhex("0001080006040001")
                + mac
                + socket.inet_aton(NEIGHBOUR)
                + b"\0" * 6
                + socket.inet_aton(target),
                ETH_P_ARP,
            )
        answered = [
            socket.inet_ntoa(frame.data[28:32])
            for frame in wan.frames(0.2)
            if frame.type == ETH_P_ARP and frame.data[20:22] == b"\0\2"
        ]
    assert answered == [ROUTER_WAN]


# --- the ways between LAN and TUN ---------------------------------------------------------------------------------


def send_udp(space, to, port=3000, payload=b"x", source=None, ttl=None, df=None):
    with space.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if source:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_FREEBIND if hasattr(socket, "IP_FREEBIND") else 15, 1)
            sock.bind((source, 0))
        if ttl:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        if df is not None:
            sock.setsockopt(socket.IPPROTO_IP, 10, 2 if df else 0)  # IP_MTU_DISCOVER: do or dont
        sock.sendto(payload, (to, port))
        return sock.getsockname()[1]


def test_what_goes_out_goes_to_the_tun(place, probe):
    with place.capture_wan() as wan:
        for to in (REMOTE, UPSTREAM, ROUTER_WAN, "198.51.100.55"):
            send_udp(place.L, to)
            (packet,) = [IP(data) for data in probe.tun_packets()]
            assert (packet.src, packet.dst, packet.ttl) == (HOST, to, 63)
        place.L.run("ping", "-c", "1", "-W", "1", ROUTER_WAN, check=False)
        (packet,) = [IP(data) for data in probe.tun_packets()]
        assert (
            packet[ICMP].type == 8 and packet.dst == ROUTER_WAN
        ), "pings of the outside address are the engine's to judge"
        assert not [frame for frame in wan.frames(0.1) if frame.type == ETH_P_IP]


def test_a_host_may_not_speak_for_others(place, probe):
    mac = bytes.fromhex(place.R.mac("lan0").replace(":", ""))
    with place.L.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("eth0", 0))
        own = bytes.fromhex(place.L.mac("eth0").replace(":", ""))
        for source in ("203.0.113.50", "198.51.100.50", ROUTER_WAN, HOP, HOST):
            sock.send(mac + own + b"\x08\x00" + bytes(IP(src=source, dst=REMOTE) / UDP()))
    assert [IP(data).src for data in probe.tun_packets()] == [HOST]


def test_inside_to_inside_does_not_pass_the_tun(place):
    place.R.ip("address add 10.78.0.1/24 dev lan0", f"route add 10.88.0.0/16 via {HOST}")
    place.L.ip("address add 10.78.0.11/24 dev eth0", "address add 10.88.1.1/32 dev lo")
    probe = place.start()
    place.L.ip(
        "rule add pref 5 from 10.77.0.11 to 10.88.0.0/16 lookup 100", f"route add default via {ROUTER_LAN} table 100"
    )
    with place.capture_lan() as lan:
        send_udp(place.L, "10.88.7.7", source=HOST)
        seen = [
            frame.ip for frame in lan.frames(0.2) if frame.type == ETH_P_IP and frame.source_mac == place.R.mac("lan0")
        ]
    assert any(packet.dst == "10.88.7.7" and packet.haslayer(UDP) for packet in seen)
    assert not probe.tun_packets()
    assert probe.stop() == 0


def inject(probe, packet):
    assert probe.ask("inject " + bytes(packet).hex()) == "injected"


def test_what_comes_from_the_tun_reaches_the_lan_only(place, probe):
    place.L.run("ping", "-c", "1", "-W", str(LIMIT), ROUTER_LAN)
    with place.capture_lan() as lan, place.capture_wan() as wan:
        # from a remote host; a hairpin, whose source is our own outside address
        for source in (REMOTE, UPSTREAM, ROUTER_WAN):
            inject(probe, IP(src=source, dst=HOST, ttl=9) / UDP(sport=80, dport=4000) / Raw(b"in"))
            got = [
                frame.ip
                for frame in lan.frames(0.2)
                if frame.type == ETH_P_IP and frame.source_mac == place.R.mac("lan0")
            ]
            assert [(packet.src, packet.dst, packet.ttl) for packet in got] == [(source, HOST, 8)]
        # to a remote host: refused, whatever the kernel's own routes say
        for target in (REMOTE, UPSTREAM):
            inject(probe, IP(src=HOST, dst=target) / UDP(sport=80, dport=4000))
        assert not [frame for frame in wan.frames(0.2) if frame.type == ETH_P_IP]
    # the host's own "port unreachable", and the kernel's "unreachable"
    said = [(packet.src, packet.dst, packet[ICMP].type) for packet in map(IP, probe.tun_packets())]
    from_host = [(HOST, source, 3) for source in (REMOTE, UPSTREAM, ROUTER_WAN)]
    assert sorted(said) == sorted([*from_host, (HOP, HOST, 3), (HOP, HOST, 3)])


def test_the_routers_own_ports_are_reached_from_the_lan_by_the_outside_address(place, probe):
    with place.R.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, place.L.socket(
        socket.AF_INET, socket.SOCK_DGRAM
    ) as client:
        server.bind(("0.0.0.0", 64600))
        server.settimeout(LIMIT)
        client.settimeout(LIMIT)
        client.bind((HOST, 0))
        client.sendto(b"hello", (ROUTER_WAN, 64600))
        data, whom = server.recvfrom(100)
        assert (data, whom) == (b"hello", client.getsockname())
    assert not probe.tun_packets()


@pytest.mark.parametrize("strict", [0, 1])
def test_hairpins_to_any_port_reach_the_lan(place, strict):
    """To a port, too, that is the router's own on the outside address, and with strict reverse paths everywhere.
    What the engine says itself comes from the router's LAN address."""
    for device in ("all", "default"):
        place.R.set_sysctl(f"net/ipv4/conf/{device}/rp_filter", strict)
    probe = place.start("--tcp", "22", "--udp", "22")
    ports = (22, 4000, 64600)
    place.L.run("ping", "-c", "1", "-W", str(LIMIT), ROUTER_LAN)
    with place.capture_lan() as lan:
        for port in ports:
            inject(probe, IP(src=ROUTER_WAN, dst=HOST) / UDP(sport=5000, dport=port))
            inject(probe, IP(src=REMOTE, dst=HOST) / UDP(sport=5000, dport=port))
            inject(probe, IP(src=ROUTER_LAN, dst=HOST) / UDP(sport=5000, dport=port))
        got = [frame.ip for frame in lan.frames(0.3) if frame.type == ETH_P_IP and frame.ip.dst == HOST]
    seen = {(packet.src, packet[UDP].dport) for packet in got if packet.haslayer(UDP) and packet.proto == 17}
    assert seen == {(source, port) for source in (ROUTER_WAN, REMOTE, ROUTER_LAN) for port in ports}
    assert probe.stop() == 0


def test_the_engine_hands_the_router_its_own_traffic_through_the_tun(place, probe):
    with place.capture_lan() as lan:
        inject(probe, IP(src=HOST, dst=ROUTER_WAN) / ICMP(id=7, seq=1))
        replies = [
            frame.ip for frame in lan.frames(0.3) if frame.type == ETH_P_IP and frame.source_mac == place.R.mac("lan0")
        ]
    assert [(packet.src, packet.dst, packet[ICMP].type) for packet in replies] == [(ROUTER_WAN, HOST, 0)]


def test_sizes_and_hops_on_the_way_out_are_answered_from_the_lan_address(place, probe):
    place.R.ip("link set wan0 mtu 1300")
    place.L.run("ping", "-c", "1", "-W", str(LIMIT), ROUTER_LAN)
    wait_for(lambda: place.R.ip_json("link", "show", "dev", "cv0")[0]["mtu"] == 1300, "MTU of the TUN")
    with place.capture_lan() as lan:
        send_udp(place.L, REMOTE, payload=b"x" * 1400, df=True)
        send_udp(place.L, REMOTE, ttl=1)
        errors = [
            frame.ip
            for frame in lan.frames(0.3)
            if frame.type == ETH_P_IP and frame.ip.proto == 1 and frame.source_mac == place.R.mac("lan0")
        ]
    assert [(packet.src, packet[ICMP].type, packet[ICMP].code) for packet in errors] == [
        (ROUTER_LAN, 3, 4),
        (ROUTER_LAN, 11, 0),
    ]
    assert errors[0][ICMP].nexthopmtu == 1300
    assert not probe.tun_packets()
    place.L.run("ip", "route", "flush", "cache")
    send_udp(place.L, "203.0.113.77", payload=b"x" * 1400, df=False)
    pieces = [IP(data) for data in probe.tun_packets()]
    assert len(pieces) == 2 and all(
        len(piece) <= 1300 for piece in pieces
    ), "the kernel fragments what may be fragmented"


def test_the_kernels_own_errors_about_inside_hosts_go_to_the_tun(place, probe):
    """A host that does not answer: "host unreachable" quotes inside addresses, so it must pass the engine."""
    with place.capture_wan() as wan:
        for target, source in ((NOBODY, REMOTE), (NOBODY, ROUTER_WAN), ("10.77.0.98", UPSTREAM)):
            inject(probe, IP(src=source, dst=target) / UDP(sport=80, dport=4000) / Raw(b"in"))
        end = time.monotonic() + LIMIT
        errors = []
        while len(errors) < 2 and time.monotonic() < end:
            errors += [IP(data) for data in probe.tun_packets(0.1)]
        assert {(packet.src, packet.dst) for packet in errors} >= {(HOP, REMOTE), (HOP, UPSTREAM)}
        for packet in errors:
            assert (packet.src, packet[ICMP].type, packet[ICMP].code) == (HOP, 3, 1)
        # an error that the kernel makes about a packet too big for the LAN, and one whose hops ran out
        place.R.ip("link set lan0 mtu 1000")
        inject(probe, IP(src=REMOTE, dst=HOST, flags="DF") / UDP(sport=80, dport=4000) / Raw(b"x" * 1200))
        inject(probe, IP(src=REMOTE, dst=HOST, ttl=1) / UDP(sport=80, dport=4000))
        errors = [IP(data) for data in probe.tun_packets()]
        assert [(packet.src, packet.dst, packet[ICMP].type) for packet in errors] == [
            (HOP, REMOTE, 3),
            (HOP, REMOTE, 11),
        ]
        leaked = [
            frame for frame in wan.frames(0.1) if frame.type == ETH_P_IP and frame.source_mac == place.R.mac("wan0")
        ]
        assert not leaked, f"inside addresses left by the WAN: {leaked}"


# --- nothing leaves untranslated, at no moment --------------------------------------------------------------------


class Flood:
    """Packets of an inside host to a remote one, all the time."""

    def __init__(self, place):
        self.socket = place.L.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.running = True
        self.sent = 0
        self.thread = threading.Thread(target=self._send, daemon=True)

    def _send(self):
        while self.running:
            for port in range(1000, 1032):
                try:
                    self.socket.sendto(b"inside", (REMOTE, port))
                except OSError:
                    continue  # unreachable, said to an earlier one
                finally:
                    self.sent += 1
            time.sleep(0.001)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join(LIMIT)
        self.socket.close()


def leaked(frames, place):
    router, network = place.R.mac("wan0"), socket.inet_aton("10.77.0.0")[:3]
    return [
        frame
        for frame in frames
        if frame.type == ETH_P_IP and network in (frame.data[26:29], frame.data[30:33]) and frame.source_mac == router
    ]


def test_without_culvert_the_flood_would_be_seen(place):
    """The check of the check: with forwarding and nothing else, inside addresses are on the WAN."""
    place.R.set_sysctl("net/ipv4/ip_forward", 1)
    with place.capture_wan() as wan:
        with Flood(place):
            wait_for(lambda: leaked(wan.frames(), place), "inside addresses on the WAN")


def test_nothing_leaks_at_start_stop_kill_and_while_down(place):
    with place.capture_wan() as wan, Flood(place) as flood:
        for end in ("stop", "kill", "stop", "kill", "kill", "stop"):
            probe = place.start()
            sent = flood.sent
            wait_for(lambda: flood.sent > sent, "the flood goes on")
            wait_for(lambda: probe.tun_packets(0.05), "the flood arrives at the TUN")
            if end == "stop":
                assert probe.stop() == 0
            else:
                probe.kill()
            time.sleep(0.1)
            assert not leaked(wan.frames(), place), f"leaked until after {end}"


def test_inside_hosts_are_told_while_the_daemon_is_down(place):
    probe = place.start()
    probe.kill()
    with place.capture_lan() as lan:
        send_udp(place.L, REMOTE)
        errors = [
            frame.ip for frame in lan.frames(0.3) if frame.type == ETH_P_IP and frame.source_mac == place.R.mac("lan0")
        ]
    assert [(packet.src, packet[ICMP].type) for packet in errors] == [(ROUTER_LAN, 3)]


def test_nothing_leaks_when_the_wan_changes(place, probe):
    with place.capture_wan() as wan, Flood(place):
        for lines in (
            ["address add 198.51.100.77/24 dev wan0"],
            [f"address delete {ROUTER_WAN}/24 dev wan0"],
            [f"address add {ROUTER_WAN}/24 dev wan0", f"route replace default via {UPSTREAM}"],
            ["link set wan0 mtu 1300"],
            ["link set wan0 mtu 1500"],
            ["route delete default"],
            [f"route add default via {UPSTREAM}"],
        ):
            place.R.ip(*lines)
            time.sleep(0.1)
        assert not leaked(wan.frames(), place)


def test_a_stopped_daemon_leaks_nothing(place, probe):
    """Hung rather than dead: the TUN's queue fills, and that is all."""
    probe.process.send_signal(signal.SIGSTOP)
    try:
        with place.capture_wan() as wan, Flood(place):
            time.sleep(0.5)
            assert not leaked(wan.frames(), place)
    finally:
        probe.process.send_signal(signal.SIGCONT)
