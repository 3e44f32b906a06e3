# SPDX-License-Identifier: BSD-2-Clause
"""The control socket: what verbs answer, what hostile and slow peers get, and that packets never wait for them."""
import contextlib
import random
import re
import select
import socket
import struct
import time

import pytest

from control import ENDPOINTS, Control, ask, fill, has_room, run_ctl
from lab import ROUTER_LAN, ROUTER_WAN, one_of_three
from namespace import LIMIT
from pptp_peer import Ends, carry

pytestmark = [pytest.mark.culvert_only("the kernel has no control socket")]

MANY = 100_000
BIG = {"limits": {"flows": 131072, "host_flows": 131072}}
LINE_MAX, PEERS = 1024, 64
LONGEST = 0.1  # packets behind a whole list of that many rows would take several times as long
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35


def by_kind(rows, kind):
    return [row for row in rows if row["kind"] == kind]


# --- verbs -----------------------------------------------------------------------------------------------------------


def test_status(lab, router):
    before = ask(router, "status")
    lab.echo_once(lab.udp("L1"), lab.udp("W1"))
    rows = ask(router, "status")
    (daemon,) = by_kind(rows, "daemon")
    assert daemon["process"] == router.process.pid and daemon["flows"] >= 1 and daemon["hosts"] >= 1
    assert {(row["side"], row["name"], row["state"]) for row in by_kind(rows, "interface")} == {
        ("lan", "lan0", "up"),
        ("wan", "wan0", "up"),
    }
    assert [(row["side"], row["address"]) for row in by_kind(rows, "address")] == [
        ("lan", ROUTER_LAN),
        ("wan", ROUTER_WAN),
    ]
    for old, new in zip(by_kind(before, "traffic"), by_kind(rows, "traffic")):
        assert new["packets"] > old["packets"] and new["bytes"] > old["bytes"]
        assert new["packets"] == new["forwarded"] + new["consumed"] + new["held"] + new["dropped"]
    assert [row["service"] for row in by_kind(rows, "service")] == ["pptp", "l2tp", "ipsec"]


@pytest.mark.config({"limits": {"flows": 64}, "pptp": {"mode": "block"}})
def test_status_warns(lab, router):
    """Of what is nearly full, and of a WAN without carrier."""
    client = lab.udp("L1")
    for port in range(60):
        client.sendto(b"x", (lab.raw("W1").address, 20000 + port))
    router.catch_up()
    rows = ask(router, "status")
    assert [row["mode"] for row in by_kind(rows, "service")] == ["block", "pass", "pass"]
    assert "flows-nearly-full" in {row["warning"] for row in by_kind(rows, "warning")}
    lab.X.ip("link set to_r down")
    try:
        router.settle()
        rows = ask(router, "status")
        assert "wan-down" in {row["warning"] for row in by_kind(rows, "warning")}
        assert [row["state"] for row in by_kind(rows, "interface")] == ["up", "down"]
    finally:
        lab.X.ip("link set to_r up")
        lab.introduce_raw_peers()
        router.settle()


def test_mappings_and_filters(lab, router):
    client, server = lab.udp("L1"), lab.udp("W1")
    other = lab.udp("L2")
    seen = lab.echo_once(client, server, b"12345")
    lab.echo_once(other, server)
    with Control(router) as control:
        port = client.getsockname()[1]
        (row,) = control.ask(f"mappings host=10.77.0.11 port={port}")
        expected = {
            "kind": "mapping",
            "type": "dynamic-implicit",
            "transport-protocol": 17,
            "protocol-name": "udp",
            "internal-src-address": "10.77.0.11",
            "internal-src-port": port,
            "external-src-address": seen[0],
            "external-src-port": seen[1],
            "external-dst-address": server.getsockname()[0],
            "external-dst-port": server.getsockname()[1],
            "state": None,
            "hairpin": False,
            "packets-out": 1,
            "bytes-out": 33,
            "packets-in": 1,
            "bytes-in": 33,
        }
        assert row.pop("age") in (0, 1) and row.pop("idle") in (0, 1) and row.pop("lifetime") > 60
        assert row.pop("index") >= 0 and row == expected
        assert len(control.ask(f"mappings remote=203.0.113.10 port={server.getsockname()[1]}")) == 2
        assert all(row["protocol-name"] == "udp" for row in control.ask("mappings proto=17"))
        assert control.ask("mappings proto=ah") == [] == control.ask("mappings host=10.77.0.99")


def test_mappings_in_an_order(lab, router):
    clients, server = [lab.udp("L1") for _ in range(5)], lab.udp("W1")
    ports = [client.getsockname()[1] for client in clients]
    for client, size in zip(clients, (10, 500, 900, 20, 700)):
        lab.echo_once(client, server, b"x" * size)
        time.sleep(0.12)
    for _ in range(3):
        lab.echo_once(clients[3], server, b"y")
    time.sleep(0.01)
    lab.echo_once(clients[0], server, b"z")
    with Control(router) as control:
        def first(words):
            rows = control.ask(f"mappings host=10.77.0.11 port={server.getsockname()[1]} {words}")
            return [ports.index(row["internal-src-port"]) for row in rows]

        assert first("sort=bytes limit=3") == [2, 4, 1]
        assert first("sort=packets limit=2") == [3, 0]
        assert first("sort=expires limit=1000")[0] == 1 and first("sort=expires limit=1000")[-1] == 0
        assert first("sort=age limit=5") == [0, 1, 2, 3, 4]
        assert first("sort=idle limit=5") == [1, 2, 4, 3, 0]
        assert len(first("limit=2")) == 2 and sorted(first("limit=4000000000")) == [0, 1, 2, 3, 4]
        assert control.ask("mappings host=10.77.0.99 sort=bytes limit=5") == []
        assert first("sort=bytes") == first("sort=bytes limit=1000") and len(first("sort=bytes")) == 5
        too_many = (1, "with sort=, limit= is at most 1000, because the rows are kept until all flows were read")
        assert control.refused("mappings sort=bytes limit=1001") == too_many
        assert control.refused("mappings sort=size limit=3") == (
            1, "sort= takes bytes, packets, expires, age or idle, not size")
        assert control.refused("mappings limit=0")[0] == control.refused("mappings limit=x")[0] == 1


def test_tcp_states_are_told(lab, router):
    listener = lab.tcp_listen("W1")
    client = lab.tcp_connect("L1", listener.getsockname())
    peer, _ = listener.accept()
    request = f"mappings proto=tcp port={listener.getsockname()[1]}"
    assert [row["state"] for row in ask(router, request)] == ["established"]
    client.shutdown(socket.SHUT_WR)
    peer.recv(1)
    assert [row["state"] for row in ask(router, request)] == ["half-closed"]
    for sock in (client, peer, listener):
        sock.close()


@pytest.mark.config({"forward:web": {"protocol": "udp", "port": "8080", "to": "10.77.0.12:80"}})
def test_forwards_are_static(lab, router):
    server, client = lab.udp("L2", port=80), lab.udp("W2")
    client.sendto(b"in", (ROUTER_WAN, 8080))
    server.recv(10)
    (row,) = ask(router, "mappings host=10.77.0.12 port=8080")
    assert (row["type"], row["internal-src-port"], row["external-src-port"]) == ("static", 80, 8080)


def test_forget_ends_the_flows_of_a_host(lab, router):
    client, other, server = lab.udp("L1"), lab.udp("L2"), lab.udp("W1")
    lab.echo_once(client, server)
    seen = lab.echo_once(other, server)
    with Control(router) as control:
        count = len(control.ask("mappings host=10.77.0.11"))
        (row,) = control.ask("forget 10.77.0.11")
        assert count >= 1 and row == {
            "kind": "forgotten", "internal-src-address": "10.77.0.11", "id": None, "index": None, "flows": count}
        router.wait_for(rf"10.77.0.11 was forgotten by request: {count} of its flows ended")
        assert control.ask("mappings host=10.77.0.11") == []
        assert control.refused("forget 10.77.0.11") == (7, "no inside host 10.77.0.11 has a flow")
        assert control.refused("forget")[0] == control.refused("forget me")[0] == 1
    assert lab.echo_once(other, server) == seen
    lab.echo_once(client, server)


def test_forget_ends_one_mapping(lab, router):
    """By its index, which it has as long as it lives."""
    clients, server = [lab.udp("L1") for _ in range(3)], lab.udp("W1")
    ports = [client.getsockname()[1] for client in clients]
    seen = [lab.echo_once(client, server) for client in clients]
    with Control(router) as control:
        index = {row["internal-src-port"]: row["index"] for row in control.ask("mappings host=10.77.0.11 proto=udp")}
        assert len({index[port] for port in ports}) == 3
        (row,) = control.ask(f"forget {index[ports[1]]}")
        assert (row["index"], row["id"], row["flows"]) == (index[ports[1]], None, 1)
        left = {row["internal-src-port"]: row["index"] for row in control.ask("mappings host=10.77.0.11 proto=udp")}
        assert left == {port: number for port, number in index.items() if port != ports[1]}
        assert control.refused(f"forget {index[ports[1]]}")[0] == 7
        assert control.refused("forget 4294967294")[0] == 7
        for words in ("forget pptp-x", "forget -1", "forget 1 2", "forget pptp"):
            assert control.refused(words)[0] == 1
    assert [lab.echo_once(client, server) for client in (clients[0], clients[2])] == [seen[0], seen[2]]


def test_forget_ends_one_tunnel(lab, router):
    """Its control connection and its call; another host's stay."""
    ends = Ends(lab)
    try:
        server = ends.serve("W1")
        calls = [ends.connect(host, server).dial(7000, number) for number, host in enumerate(("L1", "L2"))]
        carry(ends, calls, 2)
        with Control(router) as control:
            names = {
                row["internal-src-address"]: row["id"] for row in control.ask("tunnels") if row["end"] is None}
            name = names[lab.address("L1")]
            assert re.fullmatch(r"pptp-\d+", name) and len(set(names.values())) == 2
            (row,) = control.ask(f"forget {name}")
            assert (row["id"], row["index"], row["flows"]) == (name, None, 2)
            router.wait_for(rf"{name} was forgotten by request: 2 of its flows ended")
            assert control.refused(f"forget {name}")[0] == 7
            assert control.refused("forget pptp-32000") == (
                7, "there is no tunnel pptp-32000 (any more); tunnels lists those that exist")
            (row,) = [row for row in control.ask("tunnels") if row["end"] is None]
            assert row["id"] == names[lab.address("L2")]
        carry(ends, calls[1:], 2)
    finally:
        ends.close()


def test_drops_are_counted_and_explained(lab, router):
    router.catch_up()  # what earlier tests have left
    with Control(router) as control:
        before = {row["reason"]: row for row in control.ask("drops")}
        lab.udp("W1").sendto(b"x", (ROUTER_WAN, 9999))
        router.catch_up()
        after = {row["reason"]: row for row in control.ask("drops")}
        changed = {reason for reason, row in after.items() if row != before[reason]}
        assert changed == {"unsolicited"}
        assert after["unsolicited"]["packets-wan"] == before["unsolicited"]["packets-wan"] + 1
        row, last, *_ = control.ask("drops explain=unsolicited")
        assert row["packets-wan"] == after["unsolicited"]["packets-wan"] and "forward" in row["advice"]
        assert (last["kind"], last["dst-port"], last["tunnel"]) == ("dropped", 9999, None)
        code, error = control.refused("drops explain=unsolicitet")
        assert code == 7 and "did you mean unsolicited?" in error


def test_help_lists_every_verb(lab, router):
    rows = ask(router, "help")
    assert {"status", "mappings", "tunnels", "drops", "forget", "watch", "help"} <= {row["name"] for row in rows}
    assert ask(router, "help drops") == [row for row in rows if row["name"] == "drops"]


# --- tunnels ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ends(lab):
    ends = Ends(lab)
    yield ends
    ends.close()


def test_tunnels_and_their_events(lab, router, ends):
    with Control(router) as watcher:
        watcher.send(b"watch\n")
        assert watcher.line() == {"schema": "culvert.watch/1"}
        server = ends.serve("W1")
        connection = ends.connect("L1", server)
        assert select.select([watcher.socket], [], [], 0.2)[0] == []
        call = connection.dial(7000, 100)
        event = watcher.line()
        assert event["kind"] == "event" and event["event"] == "up" and abs(event["time"] - time.time()) < 60
        (row,) = [row for row in ask(router, "tunnels service=pptp host=10.77.0.11") if row["state"] == "connected"]
        assert (row["internal-src-address"], row["external-src-address"]) == ("10.77.0.11", ROUTER_WAN)
        assert (row["external-dst-address"], row["server"], row["end"]) == ("203.0.113.10", "remote", None)
        assert (row["internal-id"], row["remote-id"]) == ("7000", "100")
        assert {name: event[name] for name in ("type", "internal-id", "internal-src-address")} == {
            name: row[name] for name in ("type", "internal-id", "internal-src-address")
        }
        assert by_kind(ask(router, "status"), "service")[0]["connected"] >= 1
        connection.hang_up(call)
        event = watcher.line()
        assert event["event"] == "down" and event["end"]
        assert ask(router, "tunnels service=ipsec") == [] == ask(router, "tunnels host=10.77.0.99")
    assert ask(router, "help")


def test_those_that_live_come_first(lab, router, ends):
    connection = ends.connect("L1", ends.serve("W1"))
    calls = [connection.dial(7200 + number, 200 + number) for number in range(4)]
    connection.hang_up(calls[0])
    connection.hang_up(calls[2])
    rows = ask(router, "tunnels pptp")
    states = [row["state"] for row in rows]
    assert states.count("connected") == 2 and states == sorted(states), states
    assert {row["internal-id"] for row in rows} >= {"7200", "7201", "7202", "7203"}
    assert ask(router, "tunnels connected") == ask(router, "tunnels state=connected") == rows[:2]
    (ended,) = [row for row in rows if row["internal-id"] == "7202"]
    for row in (rows[0], ended):
        assert ask(router, f"tunnels {row['id'].upper()}") == [row]
    lines = run_ctl(router, "tunnels", ended["id"]).stdout.splitlines()
    assert lines[:4] == [f"tunnel: {ended['id']}", "type: PPTP", "state: ended", f"why it ended: {ended['end']}"], lines
    assert f"inside: {lab.address('L1')}" in lines and "inside ID: 7202" in lines
    connection.hang_up(calls[1])
    connection.hang_up(calls[3])


def count_events(control):
    """Those that have come by now."""
    events = 0
    while select.select([control.socket], [], [], 0)[0] or b"\n" in control.buffer:
        events += control.line().get("kind") == "event"
    return events


def test_a_slow_watcher_is_told_what_it_lost(lab, router, ends):
    server = ends.serve("W1")
    connection = ends.connect("L1", server)
    with Control(router) as slow, Control(router) as quick:
        for control in (slow, quick):
            control.send(b"watch\n")
            assert control.line() == {"schema": "culvert.watch/1"}
        told = 0
        for number in range(500):
            connection.hang_up(connection.dial(8000 + number, 100 + number))
            told += count_events(quick)
        while told < 1000:
            told += quick.line().get("kind") == "event"
        rows = []
        while (row := slow.line())["kind"] == "event":
            rows.append(row)
        router.catch_up()  # hints may have come as well, if all that has taken long
        told += count_events(quick)
        seen = len(rows) + count_events(slow)
        assert row["kind"] == "lost" and seen + row["events"] == told and row["events"] > 0, (row, seen, told)


# --- hostile peers ---------------------------------------------------------------------------------------------------


def test_half_lines(lab, router):
    with Control(router) as control, Control(router) as leaving:
        leaving.send(b"mapp")
        control.send(b"he")
        time.sleep(0.1)
        control.send(b"lp dro")
        time.sleep(0.1)
        control.send(b"ps\nstat")
        assert len(control.answer()[0]) == 2
        control.send(b"us\r\n")
        assert control.answer()[1] == {"code": 0}
        control.send(b"he")
        control.socket.shutdown(socket.SHUT_WR)
        assert control.is_closed()
    assert ask(router, "help")


def test_who_asks_and_closes_its_half_is_answered(lab, router):
    with Control(router) as control:
        control.send(b"help\nhelp\n")
        control.socket.shutdown(socket.SHUT_WR)
        assert control.answer() == control.answer()
        assert control.is_closed()


def test_a_stream_goes_on_for_who_closes_its_half(lab, router, ends):
    with Control(router) as watcher, Control(router) as tracer:
        watcher.send(b"watch\n")
        tracer.send(b"trace proto=gre count=2\nhelp drops\n")
        for control in (watcher, tracer):
            control.socket.shutdown(socket.SHUT_WR)
        assert [watcher.line(), tracer.line()] == [{"schema": "culvert.watch/1"}, {"schema": "culvert.trace/1"}]
        assert tracer.line()["kind"] == "looking"
        connection = ends.connect("L1", ends.serve("W1"))
        call = connection.dial(7100, 100)
        assert watcher.line()["event"] == "up"
        carry(ends, [call])
        rows, last = tracer.answer()
        assert [row["event"] for row in rows] == ["came", "left"] * 2 and last == {"code": 0}
        assert len(tracer.answer()[0]) == 2 and tracer.is_closed()
        connection.hang_up(call)
        assert watcher.line()["event"] == "down"


def test_requests_one_after_the_other(lab, router):
    with Control(router) as control:
        control.send(b"help\nnothing\ndrops\n" * 50)
        for _ in range(50):
            assert [control.answer()[1]["code"] for _ in range(3)] == [0, 1, 0]


def test_lines_that_are_too_long(lab, router):
    with Control(router) as control:
        request = b"help" + b" " * (LINE_MAX - 5 - 5) + b"drops"
        assert len(request) == LINE_MAX - 1
        control.send(request + b"\n")
        assert len(control.answer()[0]) == 2
        assert control.refused(request + b" \n")[0] == 1
        assert control.is_closed()
    with Control(router) as control:
        control.send_endless_line(b"x")
        assert control.answer()[1]["code"] == 1
        assert control.is_closed()


def test_silent_peers_are_let_go(lab, router):
    with Control(router, 30) as silent, Control(router, 30) as asked, Control(router, 30) as slow:
        begin = time.monotonic()
        asked.ask("help")
        slow.send(b"h")
        while time.monotonic() < begin + 7:
            time.sleep(1)
            slow.send(b"e")
        for control in (silent, slow, asked):
            assert control.is_closed()
        assert 9 < time.monotonic() - begin < 25


def test_a_thousand_connections(lab, router):
    peers = []
    served = refused = 0
    try:
        begin = time.monotonic()
        for _ in range(1000):
            peers.append(Control(router))
            with contextlib.suppress(BrokenPipeError):
                peers[-1].send(b"help drops\n")
        lab.echo_once(lab.udp("L1"), lab.udp("W1"))
        for peer in peers:
            rows, last = peer.answer()
            served += last["code"] == 0 and len(rows) == 2
            refused += last["code"] == 6 and "connections" in last["error"]
        # Those who were served have asked nothing for ten seconds, on a very slow machine: they make room for others.
        assert served + refused == 1000 and served >= PEERS, (served, refused)
        assert served == PEERS or time.monotonic() - begin > 9, (served, refused)
    finally:
        for peer in peers:
            peer.socket.close()
    has_room(router)


BAD = [
    (b"\n", "empty"),
    (b"   \n", "empty"),
    (b"\r\n", "empty"),
    (b"foo\n", "no verb foo"),
    (b"stats\n", "did you mean status?"),
    (b"STATUS\n", "no verb STATUS"),
    (b"status\0\n", "printable"),
    (b"sta\ttus\n", "printable"),
    (b"status \x1b[31m\n", "printable"),
    (b"stat\xc3\xbc\n", "printable"),
    (b"status now\n", "no arguments"),
    (b"a b c d e f g h i j k l m n o p q r\n", "more words"),
    (b"mappings host\n", "give host=, remote=, proto=, port="),
    (b"mappings =\n", "give host="),
    (b"mappings host=\n", "IPv4 address"),
    (b"mappings host=10.0.0.256\n", "IPv4 address"),
    (b"mappings host=10.0.0.1 host=10.0.0.1\n", "twice"),
    (b"mappings port=65536\n", "65535"),
    (b"mappings port=-1\n", "65535"),
    (b"mappings proto=256\n", "255"),
    (b"mappings hosts=10.0.0.1\n", "cannot understand"),
    (b"tunnels service=openvpn\n", "pptp, l2tp or ipsec"),
    (b"help help help\n", "one verb"),
]


def test_bad_requests(lab, router):
    with Control(router) as control:
        for request, words in BAD:
            code, error = control.refused(request)
            assert code == 1 and words in error, (request, code, error)
        assert control.refused("help nothing")[0] == 7
        assert control.ask("help")


def test_random_bytes(lab, router):
    """Each line gets one answer, whatever it is."""
    dice = random.Random(20261121)
    words = b"status mappings tunnels drops help host= = 10.0.0.1 port= 9 forget".split()
    with Control(router) as control:
        for _ in range(300):
            if dice.random() < 0.5:
                line = dice.randbytes(dice.randrange(200)).replace(b"\n", b"")
            else:
                line = b" ".join(dice.choice(words) for _ in range(dice.randrange(6)))
            control.send(line + b"\n")
            assert control.answer()[1]["code"] in (0, 1, 7)


# --- slow readers ----------------------------------------------------------------------------------------------------


def flood(lab, seconds, pace):
    """Datagrams both ways through the router for so long; last how many were sent and arrived each way, and how long
    each was under way, by the kernel's clock of arrivals."""
    client, server = lab.udp("L1"), lab.udp("W1")
    lab.catch_up()  # the queue of the TUN may be full of what was sent before
    client.sendto(b"open", server.getsockname())
    seen = server.recvfrom(100)[1]
    for sock in (client, server):
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    time.sleep(0.2)  # a moment later the kernel takes the time of arrivals; before, that of reading counts
    sent, end, due = 0, time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < end:
        client.sendto(struct.pack("!Q", time.time_ns()), server.getsockname())
        server.sendto(struct.pack("!Q", time.time_ns()), seen)
        sent += 1
        due += 1 / pace
        time.sleep(max(0, due - time.monotonic()))
        yield None
    time.sleep(0.3)
    lab.catch_up()
    arrived, delays = [], []
    for sock in (client, server):
        sock.setblocking(False)
        arrived.append(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = sock.recvmsg(100, 100)
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                delay = seconds * 10**9 + nanoseconds - struct.unpack("!Q", data)[0]
                delays.append(delay / 10**9)
                arrived[-1] += 1
    yield sent, arrived, sorted(delays)


@pytest.mark.config(BIG)
@one_of_three
def test_a_slow_reader_of_many_mappings_delays_no_packet(lab, router):
    fill(lab, router, MANY)
    *_, (_, _, alone) = flood(lab, 1, 2000)  # what the machine takes for it now, without a list
    with Control(router) as slow, Control(router) as stuck, Control(router) as quick:
        for control in (slow, stuck, quick):
            control.send(b"mappings\n")
            control.socket.setblocking(False)
        pieces = {quick: [], slow: [], stuck: []}
        result = None
        for step, result in enumerate(flood(lab, 4, 2000)):
            for control, pause in ((quick, 5), (slow, 100)):
                if step % pause == 0:
                    with contextlib.suppress(BlockingIOError):
                        pieces[control].append(control.socket.recv(1 << 16))
        sent, arrived, delays = result
        late = delays[len(delays) * 19 // 20]  # the machine may stand still once
        print(f"{sent} datagrams each way, under way for {delays[-1] * 1000:.1f} ms, most of them {late * 1000:.1f}")
        assert sent >= 1000 and arrived == [sent, sent], (sent, arrived)
        most = max(LONGEST, 3 * alone[len(alone) * 19 // 20])
        assert late < most, f"a twentieth of the datagrams was under way for {late * 1000:.0f} ms and more"
        for control, parts in pieces.items():
            control.buffer = b"".join(parts)
        assert quick.buffer.count(b"\n") > slow.buffer.count(b"\n") > 100
        # The lists are whole all the same.
        for control in (quick, slow, stuck):
            control.socket.settimeout(2 * LIMIT)
            rows, last = control.long_answer()
            assert last == {"code": 0} and len(rows) >= MANY + 1
            assert len({tuple(row[name] for name in ENDPOINTS) for row in rows[1:]}) == len(rows) - 1


@pytest.mark.config(BIG)
def test_flows_that_come_and_go_during_a_list(lab, router):
    """What lives from the beginning to the end is listed once."""
    fill(lab, router, 20000)
    with Control(router) as control:
        control.send(b"mappings\n")
        router.catch_up()  # the socket is full now
        client = lab.udp("L2")
        for number in range(1000):
            client.sendto(b"", (lab.raw("W1").address, 30000 + number))
            if number % 100 == 99:
                router.catch_up()  # the queue of the TUN is short
        assert ask(router, "forget 10.77.0.12")[0]["flows"] >= 900
        rows, last = control.answer()
        assert last == {"code": 0}
        keys = [tuple(row[name] for name in ENDPOINTS) for row in rows[1:]]
        assert len(keys) == len(set(keys)) and sum(key[0] == "10.77.0.11" for key in keys) >= 20000
