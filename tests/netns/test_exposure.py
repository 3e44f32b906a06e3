# SPDX-License-Identifier: BSD-2-Clause
"""What of the router itself the WAN can reach: what [wan] host_ports names, answers to what the router asked for, and
connections that were up before; and that fragments of all these arrive."""
import itertools
import os
import shutil
import socket
import struct

import pytest

from control import ask, document, run_ctl
from lab import ROUTER_LAN, ROUTER_WAN, carry, wait_for
from namespace import LIMIT, compare_states, read_state
from router import Culvert
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw

pytestmark = [pytest.mark.culvert_only("the kernel's own NAT opens whatever listens")]

OWN = 64600  # one of the ports that the router's own connections get
KEPT = 103  # the preference of the rules for connections that were up before
NUMBERS = itertools.count(1)


@pytest.fixture
def daemon(lab):
    """A culvertd that is not running yet, judged and stopped afterwards."""
    lab.guard.leaks()
    lab.guard.host_ports = set(range(64512, 65535))
    instance = Culvert(lab)
    yield instance
    leaks = lab.guard.leaks()
    sums = instance.statistics().problems() if instance.alive() else []
    if instance.alive():
        instance.stop()
    instance.close()
    leaks += [leak for leak in lab.guard.leaks() if "said by the router's kernel" not in leak]
    assert not leaks and not sums, "\n".join([*leaks[:10], *sums])


def listen(lab, port, address="0.0.0.0"):
    return lab.tcp_listen("R", address, port)


def expect_open(lab, listener, host="W1"):
    """A host gets through to the router's listener by the outside address."""
    with lab.tcp_connect(host, (ROUTER_WAN, listener.getsockname()[1])) as client:
        server = listener.accept()[0]
        carry(client, server, b"hello")
    assert server.recv(1) == b""
    server.close()


def expect_closed(lab, daemon, port, reason="not_open"):
    """A SYN to the port is dropped for this reason, and nobody answers."""
    peer = lab.raw("W1")
    with daemon.dropping(wan={reason: 1}):
        peer.send(IP(src=peer.address, dst=ROUTER_WAN) / TCP(sport=40000 + next(NUMBERS), dport=port, flags="S"))
    peer.expect_nothing()


def kept_rules(lab):
    return [rule for rule in lab.R.ip_json("rule") if rule["priority"] == KEPT]


def opened(daemon):
    """The row of status about it."""
    return next(row for row in ask(daemon, "status") if row["kind"] == "open")


# --- who listens -----------------------------------------------------------------------------------------------------


def test_the_order_of_starts_exposes_nothing(lab, daemon):
    """What listened before the start is as closed as what listens afterwards; what is named is open either way."""
    with listen(lab, 2301) as unnamed, listen(lab, 2303) as first, lab.udp("R", "0.0.0.0", 2305):
        daemon.start({"wan": {"host_ports": "tcp:2303, tcp:2304"}})
        with listen(lab, 2302), listen(lab, 2304) as second:
            expect_closed(lab, daemon, 2301)
            expect_closed(lab, daemon, 2302, "unsolicited")
            expect_open(lab, first)
            expect_open(lab, second)
            with lab.udp("W1") as sock, daemon.dropping(wan={"not_open": 1}):
                sock.sendto(b"?", (ROUTER_WAN, 2305))
            # inside hosts are trusted, whatever address they call the router by
            for listener in (unnamed, first, second):
                expect_open(lab, listener, "L1")
            daemon.reload({"wan": {"host_ports": "tcp:2303, tcp:2304"}})
            expect_closed(lab, daemon, 2301)
            expect_closed(lab, daemon, 2302, "unsolicited")
        said = daemon.log()
        assert "TCP 2301, UDP 2305: in use by the router itself; not reachable from the WAN" in said, said
        row = opened(daemon)
        assert (row["tcp"], row["udp"], row["in-use-at-start"]) == ("2303-2304", "68", "closed")
        assert row["answers"] == "64512-65534" and row["kept"] == 0
        shown = run_ctl(daemon, "status").stdout
        line = "open to the WAN: TCP 2303-2304, UDP 68, echo, and 64512-65534 for answers (UDP: from anybody)"
        assert f"  {line}\n" in shown, shown


def test_ssh_is_open_by_default_and_nothing_else(lab, daemon):
    with listen(lab, 22) as ssh, listen(lab, 2306):
        daemon.start()
        expect_open(lab, ssh)
        expect_closed(lab, daemon, 2306)
        assert opened(daemon)["tcp"] == "22"
        daemon.reload({"wan": {"host_ports": ""}})
        expect_closed(lab, daemon, 22)
        assert opened(daemon)["tcp"] == ""


def test_a_forward_takes_port_22_from_the_default(lab, daemon):
    with listen(lab, 22) as own, lab.tcp_listen("L1", port=22) as inside:
        daemon.start({"forward:ssh": {"protocol": "tcp", "port": "22", "to": "10.77.0.11"}})
        assert "[forward:ssh] takes TCP port 22" in daemon.log()
        with lab.tcp_connect("W1", (ROUTER_WAN, 22)):
            inside.accept()[0].close()
        daemon.reload({})
        with lab.tcp_connect("W1", (ROUTER_WAN, 22)):
            own.accept()[0].close()


def test_auto_opens_what_is_in_use_at_the_start(lab, daemon):
    with listen(lab, 2307) as first, listen(lab, OWN) as second, lab.udp("R", "0.0.0.0", 2308) as server:
        daemon.start({"wan": {"host_ports": "auto, tcp:2309"}})
        with listen(lab, 2309) as third, listen(lab, 2310):
            for listener in (first, second, third):
                expect_open(lab, listener)
            expect_closed(lab, daemon, 2310, "unsolicited")
            with lab.udp("W1") as sock:
                lab.echo_once(sock, server, to=(ROUTER_WAN, 2308))
        row = opened(daemon)
        assert row["in-use-at-start"] == "open" and "2307,2309" in row["tcp"] and "2308" in row["udp"]
        daemon.reload({})
        expect_closed(lab, daemon, 2307)


def test_a_listener_among_the_ports_of_connections_is_closed(lab, daemon):
    """Answers come to these ports, callers do not: neither to whom listened at the start nor to whom came later."""
    with listen(lab, OWN):
        daemon.start({"wan": {"host_ports": f"tcp:{OWN + 2}"}})
        expect_closed(lab, daemon, OWN)
        with listen(lab, OWN + 1, ROUTER_WAN), listen(lab, OWN + 2) as named, listen(lab, OWN + 3, ROUTER_LAN):
            wait_for(
                lambda: any(rule.get("dport_end") == OWN - 1 for rule in lab.R.ip_json("rule"))
                and any(rule.get("dport_start") == OWN + 2 for rule in lab.R.ip_json("rule")),
                "rules around the two listeners",
            )
            expect_closed(lab, daemon, OWN + 1)
            expect_open(lab, named)
            # beside them connections of the router itself go out as ever
            with lab.tcp_listen("W1") as far, lab.tcp_connect("R", far.getsockname(), "0.0.0.0") as near:
                assert near.getsockname()[1] >= 64512
                carry(near, far.accept()[0], os.urandom(20000))
    wait_for(
        lambda: any(rule.get("dport_start") == 64512 and rule["dport_end"] == 65534 for rule in lab.R.ip_json("rule")),
        "one rule for all of them again",
    )


# --- connections that are up ------------------------------------------------------------------------------------------


class Session:
    """A connection from W1 to a listener of the router, at a port that will not be open."""

    def __init__(self, lab, port, family=socket.AF_INET):
        self.lab = lab
        self.listener = lab.R.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.settimeout(LIMIT)
        self.listener.bind(("" if family == socket.AF_INET else "::", port))
        self.listener.listen()
        self.client = lab.tcp_connect("W1", (ROUTER_WAN, port))
        self.server = self.listener.accept()[0]
        self.server.settimeout(LIMIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in (self.client, self.server, self.listener):
            sock.close()

    def goes_on(self):
        carry(self.client, self.server, os.urandom(30000))
        carry(self.server, self.client, os.urandom(30000))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_session_outlives_starts_and_stops(lab, daemon, family):
    """Who administers the router by a port that is not open is not locked out by the first start, nor by a crash, nor
    by a reload; and leaves nothing behind."""
    before = read_state(lab.R)
    with Session(lab, 2311, family) as session:
        daemon.start()
        session.goes_on()
        expect_closed(lab, daemon, 2311)
        assert len(kept_rules(lab)) == 1 and opened(daemon)["kept"] == 1
        daemon.kill()
        session.goes_on()
        daemon.start()
        session.goes_on()
        assert len(kept_rules(lab)) == 1
        daemon.reload({"wan": {"host_ports": "tcp:2311"}})
        session.goes_on()
        assert not kept_rules(lab)
        expect_open(lab, session.listener)
        daemon.reload({"wan": {"host_ports": ""}})
        session.goes_on()
        assert len(kept_rules(lab)) == 1
        expect_closed(lab, daemon, 2311)
        daemon.stop()
        session.goes_on()
        daemon.start()
        session.goes_on()
        daemon.kill()
        assert daemon.run("--cleanup").returncode == 0
        session.goes_on()
    assert not compare_states(before, read_state(lab.R))


def test_rules_of_connections_are_known_by_their_mark(lab, daemon):
    """Without a journal the next start takes them over, and a cleanup removes them."""
    with Session(lab, 2319) as session:
        daemon.start()
        daemon.kill()
        shutil.rmtree(daemon.state_dir)
        daemon.start()
        session.goes_on()
        assert len(kept_rules(lab)) == 1
        daemon.kill()
        shutil.rmtree(daemon.state_dir)
        assert daemon.run("--cleanup").returncode == 0
        assert not [rule for rule in lab.R.ip_json("rule") if 100 <= rule["priority"] <= 112]
        session.goes_on()


def test_a_session_of_port_22_goes_on_when_a_reload_closes_it(lab, daemon):
    daemon.start()
    with Session(lab, 22) as session:
        assert not kept_rules(lab)
        daemon.reload({"wan": {"host_ports": ""}})
        session.goes_on()
        expect_closed(lab, daemon, 22)


def test_the_rule_of_a_connection_goes_with_it(lab, daemon):
    """Of several the one that ends; by then the start has seen them all."""
    with Session(lab, 2312) as first, Session(lab, 2313) as second:
        daemon.start()
        assert len(kept_rules(lab)) == 2
        lab.guard.host_ports.add(2312)
        first.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.server.close()
        wait_for(lambda: len(kept_rules(lab)) == 1, "one rule is left")
        second.goes_on()


def test_what_the_router_had_called_goes_on(lab, daemon):
    """Connections from ports outside the range, which the start moves, and a connected UDP socket as NTP has one."""
    with lab.tcp_listen("W1") as far, lab.tcp_connect("R", far.getsockname(), "0.0.0.0", 40123) as near, lab.udp(
        "W1", port=123
    ) as clock, lab.udp("R", "0.0.0.0", 123) as asker:
        asker.connect(clock.getsockname())
        distant = far.accept()[0]
        daemon.start()
        carry(near, distant, os.urandom(20000))
        carry(distant, near, os.urandom(20000))
        lab.echo_once(asker, clock)
        assert len(kept_rules(lab)) == 2
        with lab.udp("W1", port=124) as stranger, daemon.dropping(wan={"not_open": 1}):
            stranger.sendto(b"?", (ROUTER_WAN, 123))
        distant.close()


def test_more_connections_than_can_be_kept_are_said(lab, daemon):
    with Session(lab, 2314) as session:
        others = []
        with lab.tcp_listen("W1") as far:
            for number in range(130):
                others.append(lab.tcp_connect("R", far.getsockname(), "0.0.0.0", 41000 + number))
                others.append(far.accept()[0])
            daemon.start()
            assert len(kept_rules(lab)) == 128
            assert "3 connections of the router itself end now; 128" in daemon.log(), daemon.log()
            session.goes_on()  # who came to the router goes before whom it called
        for sock in others:
            sock.close()


# --- limits -----------------------------------------------------------------------------------------------------------


def test_the_metrics_know_how_many_ports_are_left(lab, daemon):
    # Connections of the tests before may still be closing, and hold a port unless they are in TIME_WAIT (06).
    table = [line.split() for line in lab.R.run("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout.splitlines()]
    ports = {int(row[1].split(":")[1], 16) for row in table if row[3] not in ("st", "06")}
    busy = [port for port in ports if 1023 < port < 64512 and not 2000 <= port <= 2999]
    daemon.start({"wan": {"host_ports": "tcp:2000-2999"}})
    limit = {
        row["labels"]: float(row["value"])
        for row in document(daemon, "metrics")
        if row.get("name") == "culvert_outside_ports_limit"
    }
    assert limit['protocol="tcp"'] == 64512 - 1000 - 1023 - len(busy), (limit, busy)
    assert limit['protocol="udp"'] == 64512 - 1023, (limit, busy)


# --- fragments --------------------------------------------------------------------------------------------------------


def received(sock):
    """Every datagram that is there, and no more."""
    sock.settimeout(LIMIT)
    got = [sock.recv(65535)]
    sock.settimeout(0.2)
    try:
        while True:
            got.append(sock.recv(65535))
    except TimeoutError:
        return got


def pieces(packet, size=1400):
    """Fragments of it, in order."""
    body = bytes(packet.payload)
    starts = range(0, len(body), size)
    return [
        IP(src=packet.src, dst=packet.dst, proto=17, id=packet.id, frag=at // 8, flags="MF" if at != starts[-1] else 0)
        / Raw(body[at : at + size])
        for at in starts
    ]


def test_a_large_answer_to_the_router_arrives_once(lab, daemon):
    """As of a name server that signs its answers: cut by the far end's kernel, put together by the router's."""
    daemon.start()
    with lab.udp("W1", port=53) as server, lab.udp("R", "0.0.0.0") as client:
        for size in (100, 1472, 1473, 3000, 20000, 60000):
            client.sendto(b"?", server.getsockname())
            _, whom = server.recvfrom(10)
            assert whom[1] >= 64512
            answer = os.urandom(size)
            server.sendto(answer, whom)
            assert received(client) == [answer], f"{size} bytes"


@pytest.mark.parametrize("mtu", [576, 1280])
def test_a_large_answer_arrives_by_small_links(lab, daemon, mtu):
    """The LAN's MTU is none of the router's own packets' business."""
    with lab.mtu(("R", "lan0", mtu), ("X", "to_w1", 1000), ("W1", "eth0", 1000)):
        daemon.start()
        with lab.udp("W1", port=53) as server, lab.udp("R", "0.0.0.0") as client:
            client.sendto(b"?", server.getsockname())
            _, whom = server.recvfrom(10)
            answer = os.urandom(5000)
            server.sendto(answer, whom)
            assert received(client) == [answer]


@pytest.mark.parametrize("order", ["in order", "reversed", "the first one in the middle", "each one twice"])
def test_fragments_for_the_router_in_any_order(lab, daemon, order):
    peer = lab.raw("W1")
    with lab.udp("R", "0.0.0.0", 2315) as server:
        daemon.start({"wan": {"host_ports": "udp:2315"}})
        payload = os.urandom(5000)
        cut = pieces(IP(src=peer.address, dst=ROUTER_WAN, id=next(NUMBERS)) / UDP(sport=9, dport=2315) / payload)
        if order == "reversed":
            cut.reverse()
        elif order == "the first one in the middle":
            cut = [cut[2], cut[0], cut[1], cut[3]]
        elif order == "each one twice":
            cut = [piece for one in cut for piece in (one, one)]
        for piece in cut:
            peer.send(piece)
        assert received(server) == [payload]


def test_fragments_for_what_is_closed_do_not_arrive(lab, daemon):
    peer = lab.raw("W1")
    with lab.udp("R", "0.0.0.0", 2316) as server:
        daemon.start()
        packet = IP(src=peer.address, dst=ROUTER_WAN, id=next(NUMBERS)) / UDP(sport=9, dport=2316) / os.urandom(3000)
        with daemon.dropping(wan={"not_open": 1, "fragment_refused": 2}):
            for piece in pieces(packet):
                peer.send(piece)
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.recv(10)


def test_fragments_of_a_kept_connection_arrive(lab, daemon):
    with lab.udp("W1", port=2317) as server, lab.udp("R", "0.0.0.0", 2318) as client:
        client.connect(server.getsockname())
        daemon.start()
        answer = os.urandom(4000)
        server.sendto(answer, (ROUTER_WAN, 2318))
        assert received(client) == [answer]
