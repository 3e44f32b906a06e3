# SPDX-License-Identifier: BSD-2-Clause
"""The control socket under load: lists, readers that stop, storms of connections and of nonsense. None of it may cost a
packet, or memory that does not come back."""
import contextlib
import os
import json
import pathlib
import random
import socket
import subprocess
import time

import pytest

from control import ENDPOINTS, Control, ask, connect, fill, has_room, run_ctl
from lab import one_of_three
from namespace import LIMIT, stop_child

pytestmark = [
    pytest.mark.culvert_only("the kernel has no control socket"),
    pytest.mark.config({"limits": {"flows": 131072, "host_flows": 131072}}),
]

SIZE, MBITS, SECONDS = 1400, 20, 3  # the queue of the TUN holds a second of that: machines may be busy
MANY, PEERS = 20_000, 64
STORM = 10_000
GROWTH = 512  # KiB, of the allocator's own


@pytest.fixture(scope="module", autouse=True)
def freed_memory_comes_back():
    """With the address sanitizer a daemon keeps what was freed for a while, which is no leak."""
    before = os.environ.get("ASAN_OPTIONS")
    at_once = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
    os.environ["ASAN_OPTIONS"] = f"{before}:{at_once}" if before else at_once
    yield
    if before is None:
        del os.environ["ASAN_OPTIONS"]
    else:
        os.environ["ASAN_OPTIONS"] = before


@contextlib.contextmanager
def traffic(lab, router, seconds=SECONDS):
    """Datagrams from L1 to W1 while the block runs, at least for so long; none may be lost. Yields the sender."""
    tool = pathlib.Path(router.program).parent / "tests/bench/traffic"
    assert tool.exists(), f"{tool} is not built"
    before = lost_before(router)
    receiver = lab.W1.start(tool, "tally", 7000, stdout=subprocess.PIPE, text=True)
    assert receiver.stdout.readline() == "ready\n"
    sender = lab.L1.start(
        tool, "pace", lab.address("W1"), 7000, seconds, SIZE, MBITS, 1, stdout=subprocess.PIPE, text=True
    )
    try:
        yield sender
        sent = int(sender.communicate(timeout=seconds + 60)[0])
        received, overflow, _ = receiver.communicate(timeout=60)[0].split()
    finally:
        stop_child(sender)
        stop_child(receiver)
    assert sent > seconds * MBITS * 10**6 / 8 / SIZE / 4, f"the machine is too busy: {sent} datagrams in {seconds} s"
    assert (int(received) + int(overflow), lost_before(router)) == (sent, before)


def lost_before(router):
    return [row["lost-before"] for row in ask(router, "status") if row["kind"] == "traffic"]


def memory_of(router):
    """KiB of the daemon's own, without the engine's tables, which are a file."""
    with open(f"/proc/{router.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


def keys_of(rows):
    """Who is in the list of what fill() has made; nobody may be there twice."""
    keys = [tuple(row[name] for name in ENDPOINTS) for row in rows]
    assert len(keys) == len(set(keys)), f"{len(keys)} rows, {len(set(keys))} of them different"
    return {key[4:] for key in keys if key[0] == "10.77.0.11" and key[4] != "203.0.113.10"}


def take_answer(sock):
    """The number of its lines; it must be a good one."""
    lines, tail = 0, b""
    while b'\n{"code":' not in tail or not tail.endswith(b"\n"):
        piece = sock.recv(1 << 18)
        assert piece, "the answer ended in the middle"
        lines += piece.count(b"\n")
        tail = (tail + piece)[-300:]
    assert tail.endswith(b'\n{"code":0}\n'), tail
    return lines


# --- lists -----------------------------------------------------------------------------------------------------------


def list_quickly(router):
    with Control(router, 2 * LIMIT) as control:
        control.send(b"mappings\n")
        rows, last = control.long_answer()
        assert last == {"code": 0}
        return rows[1:]


def list_document(router):
    return json.loads(run_ctl(router, "-j", "mappings").stdout)["rows"]


def list_lines(router):
    return [json.loads(line) for line in run_ctl(router, "-J", "mappings").stdout.splitlines()[1:]]


def list_columns(router):
    names, *lines = run_ctl(router, "-o", "tsv", "mappings").stdout.splitlines()
    names = names.lstrip("#").split("\t")
    rows = [dict(zip(names, line.split("\t"))) for line in lines]
    return [{**row, **{name: int(row[name]) for name in ENDPOINTS if name.endswith("port")}} for row in rows]


@one_of_three
def test_lists_cost_no_packet(lab, router):
    """Each holds every mapping once, in every form."""
    fill(lab, router, MANY)
    expected = keys_of(list_quickly(router))
    assert len(expected) >= MANY
    with traffic(lab, router) as sender:
        lists = 0
        while sender.poll() is None:
            for form in (list_quickly, list_document, list_lines, list_columns):
                assert keys_of(form(router)) == expected, form.__name__
                lists += 1
    assert lists >= 4


@one_of_three
def test_readers_that_stop_cost_no_packet(lab, router):
    """All places but two are taken by readers that stop in the middle of their list; another one gets all of his."""
    fill(lab, router, MANY)
    with contextlib.ExitStack() as stack, traffic(lab, router) as sender:
        stuck = [stack.enter_context(connect(router)) for _ in range(PEERS - 2)]
        for sock in stuck:
            sock.sendall(b"mappings\n")
        taken = [len(sock.recv(10_000)) for sock in stuck]
        assert all(taken)
        assert len(keys_of(list_quickly(router))) >= MANY
        assert sender.poll() is None or sender.returncode == 0
        # Half of them go in the middle, the other half goes on.
        for number, sock in enumerate(stuck):
            if number % 2:
                sock.close()
        for sock in stuck[::20]:
            assert take_answer(sock) > MANY - 100
    assert ask(router, "help")


@one_of_three
def test_filters_that_nothing_fits_cost_no_packet(lab, router):
    fill(lab, router, MANY)
    with traffic(lab, router) as sender, Control(router) as control:
        asked = 0
        while sender.poll() is None:
            assert control.ask("mappings host=10.99.99.99") == []
            asked += 1
    assert asked >= 3


# --- storms ----------------------------------------------------------------------------------------------------------


def nonsense(dice):
    """What somebody sends before he goes: nothing, half a line, bytes, or a question whose answer he does not take."""
    return dice.choice(
        [
            lambda: b"",
            lambda: b"mapp",
            lambda: b"mappings\n",
            lambda: b"help\n" * 30,
            lambda: b"trace\n",
            lambda: b"sta\0tus\n",
            lambda: b"\0" * dice.randrange(2000),
            lambda: dice.randbytes(dice.randrange(1500)),
        ]
    )()


def storm(router, count):
    dice = random.Random(20261122)
    for number in range(count):
        with connect(router) as sock:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(nonsense(dice))
            if number % 100 == 0:  # an answer now and then, so that the daemon is not left behind altogether
                with contextlib.suppress(ConnectionResetError):
                    sock.shutdown(socket.SHUT_WR)
                    sock.recv(100)


@one_of_three
def test_a_storm_of_connections_costs_no_packet_and_no_memory(lab, router):
    fill(lab, router, MANY)
    # The most that peers can take, once: the allocator may keep that.
    with contextlib.ExitStack() as stack:
        stuck = [stack.enter_context(connect(router)) for _ in range(PEERS)]
        for number, sock in enumerate(stuck):
            sock.sendall(b"mappings\n" if number % 16 else b"trace\n")
        time.sleep(1)
    storm(router, STORM // 10)
    has_room(router)
    memory = memory_of(router)
    with traffic(lab, router) as sender:
        storm(router, STORM)
        while sender.poll() is None:
            storm(router, 100)
        has_room(router)
    assert memory_of(router) - memory < GROWTH


@one_of_three
def test_endless_lines_cost_no_packet(lab, router):
    """Ten megabytes without a newline, again and again: refused after the first kilobyte."""
    with traffic(lab, router) as sender:
        refused = 0
        while sender.poll() is None:
            with Control(router) as control:
                control.send_endless_line(b"\0")
                assert control.answer()[1]["code"] == 1
                refused += 1
    assert refused >= 3


def test_who_is_one_too_many_is_told(lab, router):
    with contextlib.ExitStack() as stack:
        for _ in range(PEERS):
            stack.enter_context(connect(router)).sendall(b"sta")
        done = run_ctl(router, "status")
        assert done.returncode == 6 and "too many connections" in done.stderr, (done.returncode, done.stderr)
    has_room(router)
    assert run_ctl(router, "status").returncode == 0


# --- memory ----------------------------------------------------------------------------------------------------------


def test_a_thousand_lists_leave_no_memory_behind(lab, router):
    client = lab.udp("L2")
    for port in range(500):
        client.sendto(b"", (lab.raw("W1").address, 20000 + port))
    explain = "explain out udp 10.77.0.12:9 192.0.2.1:9"
    requests = ("mappings host=10.77.0.12", "top show=hosts", "drops last=100", explain)

    def ask_often(count):
        rows = 0
        with Control(router) as control:
            for number in range(count):
                control.send(requests[0 if number % 4 else number // 4 % 4].encode() + b"\n")
                rows += take_answer(control.socket)
        return rows

    ask_often(100)
    memory = memory_of(router)
    assert ask_often(1000) > 750 * 500
    assert memory_of(router) - memory < GROWTH
