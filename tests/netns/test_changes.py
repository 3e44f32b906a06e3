# SPDX-License-Identifier: BSD-2-Clause
"""The WAN changes while flows are alive: addresses, carrier, routes, neighbours, MACs, MTU."""
import contextlib
import os
import socket
import struct
import time

import pytest

from lab import ROUTER_WAN, ROUTER_WAN_SECOND, UPSTREAM, Lab, carry, wait_for
from namespace import LIMIT
from router import Culvert
from scapy.layers.inet import IP, TCP, UDP

IP_MTU_DISCOVER = 10
THIRD = "198.51.100.7"
pytestmark = [pytest.mark.culvert_only("masquerading follows changes in its own way")]


@contextlib.contextmanager
def wan_addresses(lab, *addresses):
    """Exactly these addresses on the WAN device, the default route kept; afterwards the usual one again."""
    set_addresses(lab, addresses)
    try:
        yield
    finally:
        set_addresses(lab, [ROUTER_WAN])


def set_addresses(lab, addresses):
    old = [
        entry["local"] for link in lab.R.ip_json("-4", "address", "show", "dev", "wan0") for entry in link["addr_info"]
    ]
    # Without this, the other addresses of the network go with the first one.
    lab.R.set_sysctl("net/ipv4/conf/wan0/promote_secondaries", 1)
    lab.R.ip(
        *(f"address add {address}/24 dev wan0" for address in addresses if address not in old),
        *(f"address del {address}/24 dev wan0" for address in old if address not in addresses),
    )
    lab.R.ip(f"route replace default via {UPSTREAM}")
    time.sleep(0.25)
    lab.catch_up()


def unacknowledged(sock):
    """Segments whose acknowledgement has not come yet."""
    return struct.unpack_from("=I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]


def endpoint(lab, client, host="W1", port=0):
    with lab.udp(host, port=port) as server:
        return lab.echo_once(client, server)


def alive(lab, client, server, seen):
    """Whether the flow behind an endpoint still carries in both directions."""
    server.sendto(b"down", seen)
    try:
        if client.recv(10) != b"down":
            return False
    except TimeoutError:
        return False
    return lab.echo_once(client, server) == seen


def test_rfc4787_req2_paired_pooling(lab, router):
    """Two addresses, two hosts, all kinds of flows: each host is seen with one address, and they share the pool."""
    with wan_addresses(lab, ROUTER_WAN, ROUTER_WAN_SECOND):
        seen = {}
        for index, host in enumerate(("L1", "L2")):
            peer = lab.raw(host, 1)
            addresses = set()
            outer = lab.raw("W1")
            for number in range(20):
                peer.send(IP(src=peer.address, dst=outer.address) / UDP(sport=54000 + number, dport=9) / b"x")
                addresses.add(outer.expect().src)
                peer.send(IP(src=peer.address, dst=outer.address) / TCP(sport=54000 + number, dport=9, flags="S"))
                addresses.add(outer.expect().src)
            peer.send(IP(src=peer.address, dst=outer.address, proto=47) / b"\0\0\x08\0")
            addresses.add(outer.expect().src)
            assert len(addresses) == 1, f"{host} was seen as {addresses}"
            seen[host] = addresses.pop()
        assert seen["L1"] != seen["L2"]


def test_adv_75_only_flows_of_a_lost_address_end(lab, router):
    with wan_addresses(lab, ROUTER_WAN, ROUTER_WAN_SECOND), lab.udp("W1", port=3700) as server:
        # The hosts that earlier tests knew may still count; look for two that have different addresses.
        with lab.udp("L1") as one, lab.udp("L2") as two:
            first, second = lab.echo_once(one, server), lab.echo_once(two, server)
            if first[0] == second[0]:
                router.stop()
                router.start(router.config)
                first, second = lab.echo_once(one, server), lab.echo_once(two, server)
            assert first[0] != second[0]
            lost, kept = (
                ((one, first), (two, second)) if first[0] == ROUTER_WAN_SECOND else ((two, second), (one, first))
            )
            set_addresses(lab, [ROUTER_WAN])
            assert alive(lab, kept[0], server, kept[1])
            assert lab.echo_once(lost[0], server)[0] == ROUTER_WAN


def test_adv_75_dhcp_gives_another_address(lab, router):
    """The address is replaced: old flows end without a word from the kernel, new ones have the new address and
    nothing else."""
    with lab.udp("W1", port=3701) as server, lab.udp("L1") as client, lab.tcp_listen(
        "W1", port=3702
    ) as listener, lab.tcp_connect("L1", listener.getsockname()) as connection:
        accepted, _ = listener.accept()
        assert lab.echo_once(client, server)[0] == ROUTER_WAN
        with wan_addresses(lab, THIRD), lab.capture_wan() as capture:
            assert lab.echo_once(client, server)[0] == THIRD
            accepted.sendall(b"to the old address")
            connection.sendall(b"from the old flow")
            lab.catch_up()
            with lab.tcp_connect("L1", listener.getsockname()):
                fresh, peer = listener.accept()
                assert peer[0] == THIRD
                fresh.close()
            sources = {ip.src for ip in capture.packets() if ip.src.startswith("198.51.100.")} - {UPSTREAM}
            assert sources == {THIRD}
        accepted.close()
        assert lab.echo_once(client, server)[0] == ROUTER_WAN


def test_no_address_at_all(lab, router):
    """Without an address nothing leaves, with a reason; when it comes back, so does the traffic."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    try:
        # The kernel may be about to ask for a neighbour again, and would do so in the name of the only address it has.
        lab.R.ip(f"address del {ROUTER_WAN}/24 dev wan0", "neighbour flush dev wan0")
        router.settle()
        with router.dropping(lan={"no_outside_address": 3}), lab.capture_wan() as capture:
            for number in range(3):
                inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=54100 + number, dport=9) / b"x")
            lab.catch_up()
            assert not [ip for ip in capture.packets(0.1) if ip.dst == outer.address]
    finally:
        set_addresses(lab, [ROUTER_WAN])
    inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=54110, dport=9) / b"x")
    assert outer.expect().src == ROUTER_WAN


def test_flows_wait_for_an_address_that_comes_back(lab, router):
    """A DHCP client flushes, or a dial-in gets its fixed address again: the server reaches the client as before."""
    with lab.udp("W1") as server, lab.udp("L1") as client:
        seen = lab.echo_once(client, server)
        try:
            lab.R.ip(f"address del {ROUTER_WAN}/24 dev wan0", "neighbour flush dev wan0")
            router.settle()
            with router.dropping(lan={"no_outside_address": 1}):
                client.sendto(b"meanwhile", server.getsockname())
        finally:
            set_addresses(lab, [ROUTER_WAN])
        router.settle()
        server.sendto(b"as before", seen)
        assert client.recv(100) == b"as before"


@pytest.mark.parametrize("kind", ["carrier", "admin", "route", "neighbour"])
def test_adv_73_76_flows_outlive_a_flap_of(lab, router, kind):
    """Carrier lost and back; device down and up; default route gone and back; neighbour forgotten: the same flows go
    on."""
    with lab.udp("W1", port=3703) as server, lab.udp("L1") as client, lab.tcp_listen(
        "W1", port=3704
    ) as listener, lab.tcp_connect("L1", listener.getsockname()) as connection:
        accepted, _ = listener.accept()
        carry(connection, accepted, b"before")
        seen = lab.echo_once(client, server)
        if kind == "carrier":
            lab.X.ip("link set to_r down")
            time.sleep(0.2)
            lab.X.ip("link set to_r up")
        elif kind == "admin":
            lab.R.ip("link set wan0 down")
            time.sleep(0.2)
            lab.R.ip("link set wan0 up", f"route replace default via {UPSTREAM}")
            lab.introduce_raw_peers()
        elif kind == "route":
            lab.R.ip("route del default")
            router.settle()
            client.sendto(b"lost", server.getsockname())
            router.catch_up()
            lab.R.ip(f"route add default via {UPSTREAM}")
        else:
            lab.R.ip(f"neighbour del {UPSTREAM} dev wan0")
        time.sleep(0.3)
        router.settle()
        for sock in (client, server):
            sock.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while True:
                    sock.recv(100)
            sock.settimeout(LIMIT)
        assert lab.echo_once(client, server) == seen
        for end in (connection, accepted):
            end.settimeout(LIMIT)
        carry(accepted, connection, b"after" * 1000)
        carry(connection, accepted, os.urandom(50000))
        accepted.close()


def test_without_a_route_packets_are_dropped_for_that_reason(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    lab.R.ip("route del default")
    try:
        router.settle()
        with router.dropping(lan={"link_no_route": 3}):
            for number in range(3):
                inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=54120 + number, dport=9) / b"x")
            outer.expect_nothing(0.1)
    finally:
        lab.R.ip(f"route replace default via {UPSTREAM}")
        router.settle()
    inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=54120, dport=9) / b"x")
    outer.expect()


def test_the_gateway_gets_another_mac(lab, router):
    """A fail-over of the upstream router, announced by ARP."""
    old = lab.X.mac("to_r")
    with lab.udp("W1", port=3705) as server, lab.udp("L1") as client:
        seen = lab.echo_once(client, server)
        try:
            lab.X.set_sysctl("net/ipv4/conf/to_r/arp_notify", 1)
            lab.X.ip("link set to_r down", "link set to_r address 02:00:00:00:77:01", "link set to_r up")
            time.sleep(0.3)
            router.settle()
            assert lab.echo_once(client, server) == seen
        finally:
            lab.X.ip("link set to_r down", f"link set to_r address {old}", "link set to_r up")
            time.sleep(0.3)
            router.settle()
        assert lab.echo_once(client, server) == seen


def test_hosts_on_the_wan_link_itself(lab, router):
    """A remote in the WAN's own network is reached without the gateway, each by its own link address."""
    inner = lab.raw("L1")
    for index in (0, 1):
        neighbour = lab.raw("X", index)
        inner.send(IP(src=inner.address, dst=neighbour.address) / UDP(sport=54130, dport=9) / b"x")
        got = neighbour.expect()
        assert got.src == ROUTER_WAN and got.ttl == 63
        neighbour.send(IP(src=neighbour.address, dst=ROUTER_WAN) / UDP(sport=9, dport=got[UDP].sport) / b"y")
        assert bytes(inner.expect()[UDP].payload) == b"y"


def test_an_unknown_neighbour_is_resolved(lab, router):
    """The first packets to a neighbour that nobody has asked for yet: ARP is made by the kernel, and traffic flows
    at once after it."""
    lab.X.ip("address add 198.51.100.50/24 dev to_r")
    try:
        with lab.udp("X", "198.51.100.50", 3706) as server, lab.udp("L1") as client:
            client.sendto(b"first", ("198.51.100.50", 3706))
            server.settimeout(1)
            try:
                got = server.recvfrom(10)
            except TimeoutError:  # it did not wait long enough; the next one goes
                server.settimeout(LIMIT)
                client.sendto(b"first", ("198.51.100.50", 3706))
                got = server.recvfrom(10)
            assert got[1][0] == ROUTER_WAN
    finally:
        lab.X.ip("address del 198.51.100.50/24 dev to_r")


@pytest.mark.config({"nat": {"bypass": "192.0.2.0/24"}})
def test_rfc6888_req6_bypass(lab, router):
    """Destinations that are not translated: the inside address leaves as it is, and answers come back."""
    router.allow = lambda ip: ip.dst.startswith("192.0.2.")
    lab.X.ip(f"route add 10.77.0.0/24 via {ROUTER_WAN}")
    try:
        with lab.udp("W2", port=3707) as server, lab.udp("L1", port=3708) as client, lab.udp("W1", port=3707) as other:
            assert lab.echo_once(client, server) == ("10.77.0.11", 3708)
            assert lab.echo_once(client, other)[0] == ROUTER_WAN
    finally:
        lab.X.ip("route del 10.77.0.0/24")


def test_adv_85_guard_rules_removed_behind_our_back(lab, router):
    """Somebody flushes the rules: they are made again, and the connection that was open goes on."""
    with lab.tcp_listen("W1", port=3709) as listener, lab.tcp_connect("L1", listener.getsockname()) as client:
        server, peer = listener.accept()
        carry(client, server, b"before")
        wait_for(lambda: unacknowledged(client) == 0, "the acknowledgement, which the kernel would answer with a reset")
        # What else is on its way may be of connections that earlier tests have left.
        router.allow = lambda ip: TCP in ip and ip[TCP].sport != peer[1]
        before = len(lab.R.ip_json("rule"))
        lab.R.ip("rule del pref 105 ipproto tcp iif wan0 blackhole", "rule del pref 109")
        wait_for(lambda: len(lab.R.ip_json("rule")) == before, "the rules are back")
        carry(server, client, os.urandom(50000))
        carry(client, server, os.urandom(50000))
        server.close()


def test_adv_72_storm_of_notifications(lab, router):
    """Hundreds of links and addresses come and go; the daemon knows its links afterwards, even if it lost messages."""
    lines = [f"link add storm{number} type veth peer name mrots{number}" for number in range(40)]
    lines += [
        f"address add 192.168.{number}.{last}/32 dev storm{number}" for number in range(40) for last in range(1, 15)
    ]
    lines += [f"link del storm{number}" for number in range(40)]
    with lab.udp("W1", port=3710) as server, lab.udp("L1") as client:
        for sock in (server, client):
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
        seen = lab.echo_once(client, server)
        lab.R.ip(*lines)
        assert lab.echo_once(client, server) == seen
        with lab.mtu(("R", "wan0", 1400), ("X", "to_r", 1400)):
            router.settle()
            assert lab.echo_once(client, server, b"x" * 1373) == seen
    router.settle()


def test_adv_73_the_wan_device_is_deleted_and_made_again(lab):
    """A new device with the old name and another index and MAC: the daemon takes it and forwards again."""
    own = Lab("again")
    daemon = Culvert(own)
    try:
        daemon.start({})
        own.R.ip("link del wan0")
        time.sleep(0.3)
        daemon.catch_up()
        assert daemon.alive(), daemon.log()
        own.X.ip(
            f"link add to_r type veth peer name wan0 netns {own.R.name}",
            "link set to_r up",
            f"address add {UPSTREAM}/24 dev to_r",
        )
        own.R.ip(f"address add {ROUTER_WAN}/24 dev wan0", "link set wan0 up", f"route replace default via {UPSTREAM}")
        def goes_through():
            with own.udp("W1", port=3711, timeout=1) as server, own.udp("L1", timeout=1) as client:
                try:
                    return own.echo_once(client, server)[0] == ROUTER_WAN
                except TimeoutError:
                    return False

        wait_for(goes_through, daemon.log)
        with own.capture_wan() as capture, own.tcp_listen("W1", port=3712) as listener:
            with own.tcp_connect("L1", listener.getsockname()) as client:
                server, _ = listener.accept()
                carry(client, server, os.urandom(50000))
                carry(server, client, os.urandom(50000))
                server.close()
            assert not [
                ip for ip in capture.packets() if ip.src.startswith("10.") or (ip.haslayer(TCP) and ip[TCP].flags & 4)
            ]
        daemon.stop()
    finally:
        daemon.close()
        own.close()
