# SPDX-License-Identifier: BSD-2-Clause
"""Start, stop, crash, restart, reload: the host is left as it was, and nothing leaks on the way."""
import os
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from control import ask
from lab import ROUTER_WAN, carry, wait_for
from namespace import LIMIT, compare_states, read_state
from router import Culvert
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

pytestmark = [pytest.mark.culvert_only("culvertd's own life")]


@pytest.fixture
def daemon(lab):
    """A culvertd that is not running yet, judged and stopped afterwards."""
    lab.guard.leaks()
    instance = Culvert(lab)
    yield instance
    leaks = lab.guard.leaks()
    if instance.alive():
        instance.stop()
    instance.close()
    # Once the guard is gone the ports are the kernel's own again, and what comes late is answered as on any host.
    leaks += [leak for leak in lab.guard.leaks() if "said by the router's kernel" not in leak]
    assert not leaks, "\n".join(leaks[:10])


def test_orderly_stop_leaves_the_host_identical(lab, daemon):
    before = read_state(lab.R)
    daemon.start({"wan": {"host_ports": "22"}, "forward:web": {"protocol": "tcp", "port": "80", "to": "10.77.0.11"}})
    with lab.udp("L1") as client, lab.udp("W1", port=3800) as server:
        lab.echo_once(client, server)
    assert compare_states(before, read_state(lab.R)), "a running culvertd must be seen in the kernel's state"
    daemon.stop()
    assert not compare_states(before, read_state(lab.R))


def test_int_is_like_term(lab, daemon):
    before = read_state(lab.R)
    daemon.start()
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.process.wait(30) == 0
    daemon.process = None
    assert not compare_states(before, read_state(lab.R))


def test_adv_81_term_during_start(lab, daemon):
    """TERM at 12 moments of the start: the exit is clean, and the host is as it was, whatever had been done."""
    before = read_state(lab.R)
    daemon.configure()
    for delay in (0, 1, 2, 4, 6, 8, 10, 13, 17, 22, 30, 50):
        daemon.launch()
        time.sleep(delay / 1000)
        daemon.process.terminate()
        code = daemon.process.wait(30)
        assert code in (0, -signal.SIGTERM), f"TERM after {delay} ms: exit {code}\n{daemon.log()}"
        differences = compare_states(before, read_state(lab.R))
        assert not differences, f"TERM after {delay} ms left\n" + "\n".join(differences)
    daemon.process = None


def test_kill_then_connections_wait_and_go_on(lab, daemon):
    """After kill -9 the kernel resets nothing and answers nothing; the next start adopts what is there and flows go
    on."""
    before = read_state(lab.R)
    daemon.start()
    with lab.tcp_listen("W1", port=3801) as listener, lab.tcp_connect("L1", listener.getsockname()) as client, lab.udp(
        "W1", port=3802
    ) as udp_server, lab.udp("L1") as udp_client:
        server, peer = listener.accept()
        carry(client, server, b"before")
        seen = lab.echo_once(udp_client, udp_server)
        daemon.kill()
        with lab.capture_wan() as capture:
            server.sendall(b"while nobody is there")
            udp_server.sendto(b"while nobody is there", seen)
            time.sleep(0.3)
            said = [ip for ip in capture.packets() if ip.src == ROUTER_WAN]
            assert not said, f"the kernel answered: {said}"
        daemon.start()
        for end in (client, server):
            end.settimeout(LIMIT)
        got = b""
        while len(got) < 21:
            got += client.recv(100)
        assert got == b"while nobody is there"
        carry(client, server, os.urandom(100000))
        carry(server, client, os.urandom(100000))
        assert lab.echo_once(udp_client, udp_server) == seen
        server.close()
    daemon.stop()
    assert not compare_states(before, read_state(lab.R)), "the second run undoes what the first one did"


def test_kill_and_restart_keep_mappings_for_inbound_traffic(lab, daemon):
    """What comes in first after the restart finds its flow: the table outlives the process."""
    daemon.start()
    with lab.udp("W1", port=3803) as server, lab.udp("L1") as client, lab.udp("L2") as rival:
        seen = lab.echo_once(client, server)
        daemon.kill()
        daemon.start()
        server.sendto(b"are you there?", seen)
        assert client.recv(100) == b"are you there?"
        assert lab.echo_once(rival, server) != seen


def test_five_kills_in_a_row(lab, daemon):
    before = read_state(lab.R)
    with lab.udp("W1", port=3804) as server, lab.udp("L1") as client:
        seen = set()
        for _ in range(5):
            daemon.start()
            seen.add(lab.echo_once(client, server))
            daemon.kill()
        assert len(seen) == 1
    daemon.start()
    daemon.stop()
    assert not compare_states(before, read_state(lab.R))


def test_cleanup_after_a_crash(lab, daemon):
    before = read_state(lab.R)
    daemon.start()
    daemon.kill()
    assert compare_states(before, read_state(lab.R)), "the guard stays after a crash"
    done = daemon.run("--cleanup")
    assert done.returncode == 0, done.stderr
    assert not compare_states(before, read_state(lab.R))
    again = daemon.run("--cleanup")
    assert again.returncode == 0, again.stderr


def test_cleanup_leaves_a_running_daemon_alone(lab, daemon):
    daemon.start()
    running = read_state(lab.R)
    done = daemon.run("--cleanup")
    assert done.returncode not in (0, 1), "cleanup must refuse while the daemon runs: " + done.stdout + done.stderr
    assert not compare_states(running, read_state(lab.R))
    with lab.udp("L1") as client, lab.udp("W1", port=3805) as server:
        lab.echo_once(client, server)


@pytest.mark.parametrize("tun", ["cv0", "cv1"], ids=["same-tun", "own-tun"])
def test_adv_82_a_second_daemon_is_refused(lab, daemon, tun):
    """In the same namespace: exit code 4 and who the first one is, which is not disturbed."""
    daemon.start()
    running = read_state(lab.R)
    second = Culvert(lab)
    try:
        done = second.run("-f", sections={"lan": {"tun": tun}})
        assert done.returncode == 4, (done.returncode, done.stderr)
        assert f"process {daemon.process.pid}" in done.stderr, done.stderr
    finally:
        second.close()
    assert not compare_states(running, read_state(lab.R))
    with lab.udp("L1") as client, lab.udp("W1", port=3806) as server:
        lab.echo_once(client, server)


def test_adv_74_the_tun_is_deleted_behind_our_back(lab, daemon):
    """Said in the log with an exit code that a supervisor restarts on, or made again; nothing leaks either way."""
    before = read_state(lab.R)
    daemon.start()
    lab.R.ip("link del cv0")
    wait_for(
        lambda: not daemon.alive() or any(link["ifname"] == "cv0" for link in lab.R.ip_json("link")),
        "the daemon ends, or makes another one",
    )
    if daemon.alive():
        with lab.udp("L1") as client, lab.udp("W1", port=3807) as server:
            lab.echo_once(client, server)
        daemon.stop()
    else:
        assert daemon.process.returncode == 4 and "cv0" in daemon.log(), daemon.log()
        daemon.process = None
        daemon.start()
        daemon.stop()
    assert not compare_states(before, read_state(lab.R))


# --- reload ----------------------------------------------------------------------------------------------------------


def test_reload_changes_forwards_and_keeps_flows(lab, daemon):
    daemon.start()
    with lab.udp("W1", port=3808) as server, lab.udp("L1") as client, lab.udp("L2", port=8082) as target, lab.udp(
        "W1"
    ) as caller:
        seen = lab.echo_once(client, server)
        daemon.reload({"forward:new": {"protocol": "udp", "port": "8082", "to": "10.77.0.12"}})
        lab.echo_once(caller, target, to=(ROUTER_WAN, 8082))
        assert lab.echo_once(client, server) == seen
        daemon.reload({})
        caller.sendto(b"gone", (ROUTER_WAN, 8082))
        daemon.catch_up()
        target.settimeout(0.2)
        with pytest.raises(TimeoutError):
            target.recv(10)
        assert lab.echo_once(client, server) == seen

def test_a_forward_wins_over_a_listener_of_the_router(lab, daemon):
    """A socket of the router that was there at the start keeps its port, unless a forward is written for that port; a
    reload may write one, and take it away again."""
    with lab.tcp_listen("R", "0.0.0.0", 2200) as own, lab.tcp_listen("L1", port=2200) as inside:

        def answers(listener):
            with lab.tcp_connect("W1", (ROUTER_WAN, 2200)):
                listener.accept()[0].close()

        lab.guard.host_ports.add(2200)
        auto = {"wan": {"host_ports": "auto"}}
        daemon.start(auto)
        answers(own)
        daemon.reload({**auto, "forward:ssh": {"protocol": "tcp", "port": "2200", "to": "10.77.0.11"}})
        answers(inside)
        daemon.reload(auto)
        answers(own)
        daemon.stop()
        daemon.start({**auto, "forward:ssh": {"protocol": "tcp", "port": "2200", "to": "10.77.0.11"}})
        answers(inside)


def test_adv_81_reload_of_a_broken_file_changes_nothing(lab, daemon):
    daemon.start({"forward:kept": {"protocol": "udp", "port": "8083", "to": "10.77.0.12"}})
    running = read_state(lab.R)
    mark = daemon.mark()
    daemon.configure(text="[nat]\nfiltring = none\n[lan\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("nothing has changed", mark)
    assert "culvert.ini:2" in daemon.log(mark), daemon.log(mark)
    assert not compare_states(running, read_state(lab.R))
    with lab.udp("L2", port=8083) as target, lab.udp("W1") as caller:
        lab.echo_once(caller, target, to=(ROUTER_WAN, 8083))


def test_reload_says_what_needs_a_restart(lab, daemon):
    daemon.start()
    text = daemon.reload({"limits": {"flows": "1000"}})
    assert "flows" in text and "restart" in text, text


def test_adv_81_many_reloads_under_traffic(lab, daemon):
    """100 HUPs while a connection carries: not a byte is lost, and the daemon answers in the end."""
    daemon.start()
    with lab.tcp_listen("W1", port=3809) as listener, lab.tcp_connect("L1", listener.getsockname()) as client:
        server, _ = listener.accept()
        for number in range(100):
            daemon.process.send_signal(signal.SIGHUP)
            carry(client, server, os.urandom(2000))
        server.close()
    assert not daemon.statistics().problems()


def test_stopped_and_continued(lab, daemon):
    """STOP for a second under traffic: the connection survives, nothing is answered meanwhile."""
    daemon.start()
    with lab.tcp_listen("W1", port=3810) as listener, lab.tcp_connect("L1", listener.getsockname()) as client:
        server, _ = listener.accept()
        daemon.process.send_signal(signal.SIGSTOP)
        client.sendall(b"x" * 1000)
        time.sleep(1)
        daemon.process.send_signal(signal.SIGCONT)
        server.settimeout(LIMIT)
        got = b""
        while len(got) < 1000:
            got += server.recv(1000)
        server.close()


# --- silence ---------------------------------------------------------------------------------------------------------


class Chatter:
    """LAN hosts that never stop talking, in every protocol, to hosts that do not answer."""

    def __init__(self, lab):
        self.peers = [lab.raw("L1", 0), lab.raw("L2", 0)]
        self.targets = ["203.0.113.101", "192.0.2.101", ROUTER_WAN, "198.51.100.101"]
        self.running = True
        self.sent = 0
        self.thread = threading.Thread(target=self._talk)
        self.thread.start()

    def _talk(self):
        packets = []
        for peer in self.peers:
            for target in self.targets:
                for payload, number in (
                    (UDP(sport=60001, dport=53) / b"q", 17),
                    (TCP(sport=60002, dport=80, flags="S"), 6),
                    (TCP(sport=60003, dport=80, flags="PA", seq=5, ack=6) / b"data", 6),
                    (ICMP(type=8, id=600) / b"ping", 1),
                    (Raw(bytes.fromhex("00000800aabb")), 47),
                    (Raw(bytes.fromhex("0102030400000001") + b"e" * 16), 50),
                    (Raw(b"l2tpv3 session"), 115),
                ):
                    packets.append((peer, bytes(IP(src=peer.address, dst=target, proto=number) / payload)))
                whole = bytes(IP(src=peer.address, dst=target, id=5, frag=100) / UDP() / (b"f" * 64))
                packets.append((peer, whole))
        while self.running:
            for peer, packet in packets:
                peer.send(packet)
                self.sent += 1
            time.sleep(0.002)

    def stop(self):
        self.running = False
        self.thread.join()


def count_translated(packets):
    return sum(ip.src == ROUTER_WAN and ip.proto == 17 for ip in packets)


def test_not_one_inside_address_on_the_wan_whatever_happens(lab, daemon):
    """Five cycles of start, stop and kill under constant traffic; between them nobody, or only the guard, is there."""
    chatter = Chatter(lab)
    try:
        with lab.capture_wan() as capture:
            time.sleep(0.1)
            assert not [ip for ip in capture.packets(0) if ip.src.startswith("10.") or ip.dst.startswith("10.")]
            for cycle in range(5):
                daemon.start()
                frames = []
                wait_for(lambda: frames.extend(capture.packets(0)) or count_translated(frames) > 10, "traffic")
                if cycle % 2:
                    daemon.kill()
                else:
                    daemon.stop()
                time.sleep(0.1)
                frames += capture.packets(0)
                inside = [ip for ip in frames if ip.src.startswith("10.") or ip.dst.startswith("10.")]
                assert not inside, f"cycle {cycle}: {inside[:3]}"
    finally:
        chatter.stop()
    if daemon.alive():
        daemon.stop()
    assert daemon.run("--cleanup").returncode == 0


def test_nothing_is_forwarded_from_the_wan_by_the_kernel(lab, daemon):
    """A neighbour on the WAN that routes to the LAN through us gets nothing across, running or crashed."""
    neighbour = lab.raw("X")
    packet = IP(src=neighbour.address, dst="10.77.0.101") / UDP(sport=9, dport=9) / b"x"
    daemon.start()
    inner = lab.raw("L1")
    neighbour.send(packet)
    inner.expect_nothing()
    daemon.kill()
    neighbour.send(packet)
    inner.expect_nothing()
    assert daemon.run("--cleanup").returncode == 0


def test_ipv6_does_not_pass(lab, daemon):
    """IPv6 is not translated: nothing of it crosses in either direction while culvertd runs."""
    daemon.start()
    packet = (
        bytes.fromhex("6000000000083a40")
        + bytes.fromhex("fd000000000000000000000000000011")
        + bytes.fromhex("20010db8000000000000000000000001")
        + bytes.fromhex("8000000000010001")
    )
    with lab.capture_wan() as outside:
        lab.raw("L1").send(packet, 0x86DD)
        daemon.catch_up()
        assert not [frame for frame in outside.frames(0.1) if frame.type == 0x86DD and frame.data[22:24] == b"\xfd\0"]


def test_background_and_pid_file(lab, daemon):
    """Without -f: the command returns when packets are forwarded, the pid file names the process, TERM removes it."""
    before = read_state(lab.R)
    daemon.configure()
    pid_file = daemon.folder / "pid"
    done = subprocess.run(
        daemon.command("-p", str(pid_file)), capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    pid = int(pid_file.read_text())
    assert f"forwarding lan0 -> wan0 ({ROUTER_WAN}) in the background, as process {pid};" in done.stdout, done.stdout
    try:
        with lab.udp("L1") as client, lab.udp("W1", port=3811) as server:
            lab.echo_once(client, server)
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not os.path.isdir(f"/proc/{pid}"), "the daemon ends")
    assert not pid_file.exists()
    assert not compare_states(before, read_state(lab.R))


@pytest.mark.parametrize("kind", ["pipe", "stream"])
def test_a_reader_of_the_log_that_hangs_stops_no_packet(lab, daemon, kind):
    """A container engine, a journal or a terminal that takes no more lines: they are lost, counted, and told of."""
    if kind == "pipe":
        reader, writer = os.pipe()
    else:
        reader, writer = (end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
    daemon.configure()
    daemon.launch("-v", stderr=writer)
    os.close(writer)

    def lost():
        daemon.process.send_signal(signal.SIGUSR1)
        return [row for row in ask(daemon, "status") if row.get("warning") == "log-lines-lost"]

    def drain():
        text = b""
        while select.select([reader], [], [], 0)[0]:
            text += os.read(reader, 1 << 16)
        return text.decode()

    try:
        said = ""
        while "forwarding lan0 -> wan0" not in said:
            assert select.select([reader], [], [], LIMIT)[0], said
            said += os.read(reader, 1 << 16).decode()
        wait_for(lambda: lost(), "the warning")
        lab.R.ping("203.0.113.10", 2)
        with lab.udp("L1") as client, lab.udp("W1", port=3801) as server:
            for _ in range(20):
                lab.echo_once(client, server)
        counted = [row["value"] for row in ask(daemon, "metrics") if row.get("name") == "culvert_log_lines_lost_total"]
        assert int(counted[0]) > 0
        drain()
        daemon.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: "lines of this log were lost; its reader did not take them in time" in drain(), "the count")
        assert not [row for row in ask(daemon, "status") if row.get("warning") == "log-lines-lost"]
    finally:
        daemon.stop()
        os.close(reader)
