# SPDX-License-Identifier: BSD-2-Clause
"""trace and capture: each packet as it came and as it left, what was made of it, and limits that hold."""
import contextlib
import re
import select
import signal
import socket
import subprocess
import time

import pytest

from control import Control, ask, document, find_ctl, member, run_ctl, socket_of
from lab import ROUTER_WAN, wait_for
from namespace import LIMIT
from pptp_peer import Ends, carry
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw
from scapy.utils import PcapNgReader

pytestmark = [pytest.mark.culvert_only("the kernel is not asked")]

CONFIG = {"l2tp": {"mode": "block"}}


def udp(source, port, destination, to_port, size=20, **fields):
    return IP(src=source, dst=destination, **fields) / UDP(sport=port, dport=to_port) / Raw(b"u" * size)


class Look:
    """A trace or capture that has begun."""

    def __init__(self, router, request):
        self.router, self.control = router, Control(router)
        self.control.send(f"{request}\n".encode())
        assert self.control.line() == {"schema": f"culvert.{request.split()[0]}/1"}
        self.limits = self.control.line()
        assert self.limits["kind"] == "looking"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.control.__exit__()

    def seen(self, count):
        rows = [self.control.line() for _ in range(count)]
        assert all(row["kind"] == "seen" and abs(row["time"] - time.time()) < 60 for row in rows), rows
        return rows

    def is_over(self):
        """Whether the last line is there to be read."""
        waiting = select.select([self.control.socket], [], [], 0)[0]
        return bool(waiting) and b'"code"' in self.control.socket.recv(1 << 16, socket.MSG_PEEK)

    def nothing(self):
        self.router.catch_up()
        self.control.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            self.control.line()
        self.control.socket.settimeout(LIMIT)


def brief(row):
    return (row["event"], row["side"], row["verdict"], row["comment"])


def test_one_tunnel_by_its_name(lab, router):
    """Two clients of one server with the same Call IDs: of the one only, control connection and data."""
    ends = Ends(lab)
    try:
        server = ends.serve("W1")
        connections = [ends.connect(host, server) for host in ("L1", "L2")]
        calls = [connection.dial(7000, 100 + number) for number, connection in enumerate(connections)]
        carry(ends, calls, 1)
        names = {row["internal-src-address"]: row["id"] for row in ask(router, "tunnels") if row["end"] is None}
        one = lab.address("L1")
        with Look(router, f"trace {names[one]} count=1000") as look, Control(router) as control:
            carry(ends, calls, 2)
            for connection in connections:
                connection.echo()
            lab.echo_once(lab.udp("L1"), lab.udp("W1"))
            rows = []
            router.catch_up()
            look.control.socket.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while True:
                    rows.append(look.control.line())
            assert rows and {row["protocol-name"] for row in rows} == {"tcp", "gre"}
            inside = {row["src-address"] for row in rows if row["side"] == "lan"}
            assert inside == {one, lab.address("W1")}
            data = [row["identifier"] for row in rows if row["protocol-name"] == "gre"]
            assert set(data) == {100, 7000} and len(data) >= 8, rows
            assert control.refused("trace pptp-31000")[0] == 7
        with Look(router, f"trace {names[lab.address('L2')]} count=1000") as look:
            carry(ends, calls, 1)
            changes = {row["comment"].partition("Call ID ")[2] for row in look.seen(6) if row["protocol-name"] == "gre"}
            assert f"{calls[1].pac.peer_id} -> 7000" in changes, changes
        with Control(router) as control:
            assert control.refused("capture nothing count=1")[0] == 1
            assert control.refused(f"trace {one}") == (1, f"{one} is an address; write host={one}, or remote={one}")
            assert control.refused(f"capture {names[one]} {names[one]}")[0] == 1
    finally:
        ends.close()


def test_one_mapping_by_its_index(lab, router):
    """Both its directions, and what is dropped at its outside port, but not its neighbour with the same server."""
    one, w1 = lab.raw("L1"), lab.raw("W1")
    a, b = one.address, w1.address
    ports = []
    for port in (5000, 5001):
        one.send(udp(a, port, b, 53))
        ports.append(w1.expect()[UDP].sport)
    index = {row["internal-src-port"]: row["index"] for row in ask(router, f"mappings host={a} remote={b} proto=udp")}
    with Look(router, f"trace count=100 {index[5000]}") as look:
        for port, outside in zip((5001, 5000), reversed(ports)):
            one.send(udp(a, port, b, 53))
            w1.expect()
            w1.send(udp(b, 53, ROUTER_WAN, outside))
            one.expect()
        rows = look.seen(4)
        assert all(5000 in (row["src-port"], row["dst-port"]) for row in rows if row["side"] == "lan")
        assert [row["side"] for row in rows] == ["lan", "wan", "wan", "lan"]
        look.nothing()


def acquaint(one, far):
    """The next hop is known from now on, so nothing waits for it."""
    one.send(IP(src=one.address, dst=far.address) / ICMP(id=6))
    far.expect()


@pytest.mark.config(CONFIG)
def test_a_trace_names_translation_and_reason(lab, router):
    one, w1, w2 = lab.raw("L1"), lab.raw("W1"), lab.raw("W2")
    a, b, c = one.address, w1.address, w2.address
    acquaint(one, w1)
    with Look(router, "trace") as look:
        one.send(udp(a, 5000, b, 53))
        port = w1.expect()[UDP].sport
        change = f"forwarded: source {a}:5000 -> {ROUTER_WAN}:{port}"
        rows = look.seen(2)
        assert [brief(row) for row in rows] == [
            ("came", "lan", "forwarded", change), ("left", "wan", "forwarded", change)]
        assert rows[0]["number"] == rows[1]["number"] and rows[0]["bytes"] == 48 and rows[0]["reason"] is None
        assert (rows[1]["src-address"], rows[1]["src-port"], rows[1]["protocol-name"]) == (ROUTER_WAN, port, "udp")

        w1.send(udp(b, 53, ROUTER_WAN, port))
        one.expect()
        change = f"forwarded: destination {ROUTER_WAN}:{port} -> {a}:5000"
        assert [brief(row) for row in look.seen(2)] == [
            ("came", "wan", "forwarded", change), ("left", "lan", "forwarded", change)]

        with router.dropping(wan={"filtered": 1}):
            w2.send(udp(c, 53, ROUTER_WAN, port))
            (row,) = look.seen(1)
        assert (row["verdict"], row["reason"]) == ("dropped", "filtered")
        assert row["comment"].startswith("dropped filtered: ") and row["comment"].endswith(f"to a mapping of {a}")

        one.send(IP(src=a, dst=b) / ICMP(id=7))
        identifier = w1.expect()[ICMP].id
        changes = f"forwarded: source {a} -> {ROUTER_WAN}"
        if identifier != 7:
            changes += f", identifier 7 -> {identifier}"
        assert [row["comment"] for row in look.seen(2)] == [changes] * 2

        with router.dropping(lan={"l2tp_blocked": 1}):
            one.send(udp(a, 1701, b, 1701))
            assert one.expect()[ICMP].type == 3
            rows = look.seen(2)
        assert brief(rows[0])[:3] == ("came", "lan", "dropped") and rows[0]["reason"] == "l2tp_blocked"
        assert brief(rows[1])[:2] == ("left", "lan") and rows[1]["protocol-name"] == "icmp"
        assert rows[1]["comment"] == f"made by the router because of packet {rows[0]['number']}"


def test_a_filter_chooses(lab, router):
    one, two, w1, w2 = lab.raw("L1"), lab.raw("L2"), lab.raw("W1"), lab.raw("W2")

    def talk(host, port, server, to_port):
        """A packet and its answer: four rows."""
        host.send(udp(host.address, port, server.address, to_port))
        got = server.expect()
        server.send(udp(server.address, to_port, ROUTER_WAN, got[UDP].sport))
        host.expect()

    with contextlib.ExitStack() as looks:
        def look(words):
            return looks.enter_context(Look(router, f"trace {words}"))

        of_host, of_remote = look(f"host={two.address}"), look(f"remote={w2.address}")
        of_port, of_service = look("port=5301 proto=udp"), look("service=ipsec")
        with Control(router) as fifth:
            code, error = fifth.refused("trace")
            assert code == 4 and error.startswith("4 others")
        talk(one, 5300, w1, 53)
        talk(two, 5300, w1, 53)
        talk(one, 5302, w2, 53)
        talk(one, 5301, w1, 53)
        talk(one, 5303, w1, 4500)
        # An answer is sent to the outside address: only its translation says whose it is.
        assert {row["number"] for row in of_host.seen(4)} == {3, 4}
        assert {row["number"] for row in of_remote.seen(4)} == {5, 6}
        assert {row["number"] for row in of_port.seen(4)} == {7, 8}
        assert {row["number"] for row in of_service.seen(4)} == {9, 10}
        for each in (of_host, of_remote, of_port, of_service):
            each.nothing()
    with Look(router, "trace drops=yes host=" + one.address) as drops, router.dropping(wan={"filtered": 1}):
        one.send(udp(one.address, 5400, w1.address, 53))
        port = w1.expect()[UDP].sport
        w2.send(udp(w2.address, 9, ROUTER_WAN, port))
        (row,) = drops.seen(1)
        assert row["reason"] == "filtered"


def test_limits_hold(lab, router):
    one, w1 = lab.raw("L1"), lab.raw("W1")
    with Look(router, "trace count=3 rate=10000") as look:
        assert (look.limits["packets"], look.limits["packets-per-second"]) == (3, 10000)
        for _ in range(3):
            one.send(udp(one.address, 5500, w1.address, 53))
            w1.expect()
        look.seen(6)  # each of them came and left
        assert look.control.line() == {"code": 0}
    with Look(router, "trace rate=1") as look:
        begin, lost, seen = time.monotonic(), 0, 0
        for number in range(9):
            if number == 8:
                time.sleep(1.1)
            one.send(udp(one.address, 5500, w1.address, 53))
            w1.expect()
        while lost + seen / 2 < 9:  # two rows of each packet; what was lost may be said in parts
            row = look.control.line()
            lost += row["packets"] if row["kind"] == "lost" else 0
            seen += row["kind"] == "seen"
        assert lost + seen / 2 == 9 and 2 <= seen / 2 <= time.monotonic() - begin + 1, (lost, seen)
    with Look(router, "trace rate=1 count=2") as look:  # what was lost is said at the end, too
        sent = 0
        while not look.is_over():
            one.send(udp(one.address, 5500, w1.address, 53))
            w1.expect()
            sent += 1
            time.sleep(0.3)
        rows, last = look.control.answer()
        lost = [row["packets"] for row in rows if row["kind"] == "lost"]
        assert last == {"code": 0} and 1 <= sum(lost) <= sent - 2, (sent, rows)
    with Control(router) as control:  # a reader that takes nothing
        control.send(b"trace rate=10000 count=1000000\n")
        for _ in range(1500):
            one.send(udp(one.address, 5500, w1.address, 53))
        lab.echo_once(lab.udp("L1"), lab.udp("W1"))
    for words, part in (
        ("trace snap=64", "cannot understand snap=64"), ("trace count=0", "count= takes a number from 1"),
        ("trace drops=no", "drops= takes only yes"), ("capture snap=1", "snap= takes a number from 64 to 2048"),
        ("capture rate=10001", "rate= takes a number from 1 to 10000"), ("trace host=x", "an IPv4 address"),
    ):
        with Control(router) as control:
            code, error = control.refused(words)
            assert code == 1 and part in error


def tshark(path, *fields):
    command = ["tshark", "-r", str(path), "-T", "fields", "-E", "separator=|"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def captured(router, path, words, act):
    """Runs culvertctl capture until it ends on its own, act() as soon as the head of the file is there."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(open(path, "wb")) if words[-1] == "-" else subprocess.DEVNULL
        child = stack.enter_context(subprocess.Popen(
            [find_ctl(router), "--socket", str(socket_of(router)), "capture", *words],
            stdout=output, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        ))
        wait_for(lambda: path.exists() and path.stat().st_size >= 92, "the head of the file")
        act()
        errors = child.communicate(timeout=60)[1]
    assert child.returncode == 0, errors
    return errors.decode()


def test_a_capture_opens_in_tshark(lab, router, tmp_path):
    one, w1, w2 = lab.raw("L1"), lab.raw("W1"), lab.raw("W2")
    sent = udp(one.address, 5600, w1.address, 53, 400)
    ports = []

    def act():
        one.send(sent)
        ports.append(w1.expect()[UDP].sport)
        with router.dropping(wan={"filtered": 1}):
            w2.send(udp(w2.address, 53, ROUTER_WAN, ports[0]))

    path = tmp_path / "packets.pcapng"
    errors = captured(router, path, ["count=3", "-w", str(path)], act)
    end = f"culvertctl: {path}: 3 packets, {path.stat().st_size} bytes; count= is reached\n"
    assert errors == end and path.stat().st_mode & 0o777 == 0o600
    rows = tshark(path, "frame.interface_name", "frame.comment", "ip.src", "udp.srcport", "frame.len", "frame.cap_len")
    change = f"forwarded: source {one.address}:5600 -> {ROUTER_WAN}:{ports[0]}"
    assert rows[:2] == [
        ["LAN", change, one.address, "5600", "428", "256"],
        ["WAN", change, ROUTER_WAN, str(ports[0]), "428", "256"],
    ]
    assert rows[2][0] == "WAN" and rows[2][1].startswith("dropped filtered: ") and len(rows) == 3
    # The bytes are those that were on the wire, before and after.
    ports.clear()
    path = tmp_path / "output.pcapng"
    captured(router, path, ["count=2", "snap=2048", "proto=udp", "--write", "-"], act)
    came, left = (IP(bytes(packet)) for packet in PcapNgReader(str(path)))
    for packet in (came, left):
        assert bytes(packet[UDP].payload) == b"u" * 400
        again = IP(bytes(packet))
        del again.chksum, again[UDP].chksum
        assert bytes(again) == bytes(packet)
    assert (came.src, left.src, left.sport) == (one.address, ROUTER_WAN, ports[0])


@contextlib.contextmanager
def capturing(router, path, *words):
    """culvertctl capture -w, once its file has begun."""
    with subprocess.Popen(
        [find_ctl(router), "--socket", str(socket_of(router)), "capture", "-w", str(path), *words],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as child:
        try:
            wait_for(lambda: path.exists() and path.stat().st_size == 92, "the file has begun")
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_whole_file(lab, router, tmp_path, number):
    one, w1 = lab.raw("L1"), lab.raw("W1")
    path = tmp_path / "interrupted.pcapng"
    with capturing(router, path) as child:
        for _ in range(20):
            one.send(udp(one.address, 5800, w1.address, 53))
            w1.expect()
        wait_for(lambda: path.stat().st_size > 40 * 100, "the packets are in it")
        child.send_signal(number)
        errors = child.communicate(timeout=LIMIT)[1]
    rows = len(tshark(path, "frame.comment"))
    assert child.returncode == 0 and 20 <= rows <= 40
    assert errors == f"culvertctl: {path}: {rows} packets, {path.stat().st_size} bytes; interrupted\n"


def test_a_file_without_packets_and_one_that_is_short(lab, router, tmp_path):
    """Nothing came; the router stopped; the rate was too low; the disk is full; the reader of a pipe has gone."""
    empty, short, slow = (tmp_path / name for name in ("empty", "short", "slow"))
    one, w1 = lab.raw("L1"), lab.raw("W1")
    with capturing(router, empty, "host=10.9.8.7") as child:
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=LIMIT)[1] == f"culvertctl: {empty}: 0 packets, 92 bytes; interrupted\n"
    assert child.returncode == 0 and not tshark(empty, "frame.comment")
    with capturing(router, slow, "rate=1", "count=4") as child:
        for _ in range(3):
            one.send(udp(one.address, 5801, w1.address, 53))
        for _ in range(3):
            w1.expect()
        time.sleep(1.1)
        one.send(udp(one.address, 5801, w1.address, 53))
        assert re.search(r"4 packets, \d+ bytes; count= is reached; up to 2 more are left out", child.communicate(
            timeout=LIMIT)[1])
    assert len(tshark(slow, "frame.comment")) == 4
    full = ["sh", "-c", '"$0" --socket "$1" capture -w - | :', find_ctl(router), str(socket_of(router))]
    with subprocess.Popen(full, stderr=subprocess.PIPE, text=True) as child:
        errors = child.communicate(timeout=LIMIT)[1]
    assert "Broken pipe" in errors and "0 packets, 92 bytes; not all of it could be taken" in errors
    done = run_ctl(router, "capture", "-w", "/dev/full")
    assert done.returncode == 5 and "No space left" in done.stderr
    with capturing(router, short) as child:
        router.stop()
        errors = child.communicate(timeout=LIMIT)[1]
    assert child.returncode == 6 and errors.endswith(f"{short}: 0 packets, 92 bytes; culvertd is gone\n")


def test_a_file_of_another_user(lab, router):
    """What others may read does not become a capture, unless that can be changed."""
    with member(router) as (run, folder):
        for mode in (0o666, 0o660, 0o620):
            file = folder / "other"
            file.write_text("as it was")
            file.chmod(mode)
            done = run("capture", "-w", str(file))
            assert done.returncode == 5 and "belongs to another user" in done.stderr, done
            assert file.read_text() == "as it was" and file.stat().st_mode & 0o777 == mode


def test_what_a_link_refuses_is_no_packet_that_left(lab, router):
    """A next hop that nobody is, a queue without room, and a device that is down."""
    one, w1 = lab.raw("L1"), lab.raw("W1")
    with Look(router, "trace proto=udp") as look:
        with router.dropping(lan={"link_next_hop": 1}):
            one.send(udp(one.address, 5900, "198.51.100.77", 53))
            came, end = look.seen(2)
        assert brief(came)[:3] == ("came", "lan", "held")
        assert brief(end)[:3] == ("dropped", "wan", "dropped") and end["reason"] == "link_next_hop"
        assert end["comment"].startswith("dropped link_next_hop: ") and end["comment"].endswith("; it had waited")
        one.send(udp(one.address, 5901, w1.address, 53))
        port = w1.expect()[UDP].sport
        look.seen(2)
        lab.R.run("tc", "qdisc", "add", "dev", "wan0", "root", "pfifo", "limit", "0")
        try:
            with router.dropping(lan={"link_send": 2}):
                for _ in range(2):
                    one.send(udp(one.address, 5901, w1.address, 53))
                rows = look.seen(2)
        finally:
            lab.R.run("tc", "qdisc", "del", "dev", "wan0", "root")
        assert [brief(row)[:3] for row in rows] == [("came", "lan", "dropped")] * 2
        assert {row["reason"] for row in rows} == {"link_send"} and rows[0]["number"] != rows[1]["number"]
        with router.dropping(wan={"link_send": 1}):
            router.process.send_signal(signal.SIGSTOP)
            try:
                w1.send(udp(w1.address, 53, ROUTER_WAN, port))
                lab.R.ip("link set cv0 down")
            finally:
                router.process.send_signal(signal.SIGCONT)
            (row,) = look.seen(1)
    assert brief(row)[:3] == ("came", "wan", "dropped") and row["reason"] == "link_send"


def test_an_error_says_what_it_is_about(lab, router):
    """Type, code and quoted packet, before and behind the translation."""
    one, w1 = lab.raw("L1"), lab.raw("W1")
    acquaint(one, w1)
    with Look(router, "trace") as look:
        one.send(udp(one.address, 5800, w1.address, 53))
        out = w1.expect()
        came, _ = look.seen(2)
        assert (came["to-side"], came["detail"]) == ("wan", None)
        assert (came["after-src-address"], came["after-src-port"]) == (ROUTER_WAN, out[UDP].sport)
        assert (came["after-dst-address"], came["after-dst-port"]) == (w1.address, 53)
        for kind, code, text in ((3, 3, "port unreachable (3/3)"), (11, 0, "time exceeded (11/0)")):
            w1.send(IP(src=w1.address, dst=ROUTER_WAN) / ICMP(type=kind, code=code) / out)
            came, left = look.seen(2)
            assert came["detail"] == f"{text} of udp {ROUTER_WAN}:{out[UDP].sport} -> {w1.address}:53"
            assert left["detail"] == f"{text} of udp {one.address}:5800 -> {w1.address}:53"
            assert (came["to-side"], came["after-dst-address"]) == ("lan", one.address)


def test_for_people(lab, router, tmp_path):
    one, w1 = lab.raw("L1"), lab.raw("W1")
    with subprocess.Popen(
        [find_ctl(router), "--socket", str(socket_of(router)), "trace", "count=2"], stdout=subprocess.PIPE, text=True,
    ) as child:
        while child.poll() is None:  # when it has begun is not to be seen
            one.send(udp(one.address, 5700, w1.address, 53))
            w1.expect()
            time.sleep(0.1)
        lines = child.communicate(timeout=60)[0].splitlines()
    assert child.returncode == 0 and re.match(r"\d\d:\d\d:\d\d\.\d{6} ", lines[-1]), lines
    assert [line.split()[1:3] + line.split()[4:] for line in lines[-2:]] == [
        ["lan->wan", "udp", f"{one.address}:5700", "->", f"{w1.address}:53", "as", f"{ROUTER_WAN}:5700"]] * 2, lines
    path = tmp_path / "kept"
    path.write_text("as it was")
    for words, code, part in (
        (["capture", "-w", str(path), "snap=7"], 1, "snap= takes"),
        (["trace", "-w", str(path)], 1, "--write goes with capture"),
        (["capture", "-w", str(tmp_path / "no" / "where")], 5, "No such file"),
    ):
        done = run_ctl(router, *words)
        assert done.returncode == code and part in done.stderr, done
    assert path.read_text() == "as it was"
    assert [row["kind"] for row in document(router, "help", "trace")] == ["verb"]
