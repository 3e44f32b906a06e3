# SPDX-License-Identifier: BSD-2-Clause
"""Metrics: what is served, that a real Prometheus takes it, the rules and the dashboard, and that those who ask with
bad intentions slow no packet down."""
import contextlib
import json
import math
import os
import pathlib
import re
import resource
import shutil
import socket
import stat
import statistics
import subprocess
import threading
import time
import urllib.parse

import pytest

import ike_peer
import l2tp_peer
import metrics_client
from control import ask as ask_control
from control import run_ctl
from lab import ROUTER_WAN, wait_for
from metrics_client import CONTRIB, Prometheus, ask, connect, read_all, samples
from namespace import LIMIT
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

LISTEN = "127.0.0.1:9437"
PEERS, PEER_S = 16, 10
pytestmark = [
    pytest.mark.culvert_only("metrics are culvertd's own"),
    pytest.mark.config({"metrics": {"listen": LISTEN}}),
]


@pytest.fixture(scope="module")
def prometheus_root():
    try:
        return metrics_client.find_prometheus()
    except metrics_client.software.Missing as missing:
        pytest.skip(f"no Prometheus: {missing}")


def promtool(root, *words, **options):
    done = subprocess.run(
        [root / "usr/bin/promtool", *words], capture_output=True, text=True, timeout=60, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def value(found, name, **labels):
    return found[(f"culvert_{name}", tuple(labels.items()))]


def scrape(lab):
    status, head, body = ask(lab, LISTEN)
    assert status == 200, head
    return samples(body)


# --- what is served ----------------------------------------------------------------------------------------------


def test_the_text_is_that_of_the_statistics(lab, router):
    inner, outer = lab.raw("L1"), lab.raw("W1")
    before = scrape(lab)
    for _ in range(5):
        inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=41000, dport=9) / b"count me")
        outer.expect()
    lab.raw("X").send(IP(src=lab.raw("X").address, dst=ROUTER_WAN) / UDP(sport=9, dport=9) / b"nobody asked")
    end, rise = time.monotonic() + LIMIT, 0
    while rise < 1 and time.monotonic() < end:
        after = scrape(lab)
        rise = value(after, "dropped_packets_total", side="wan", reason="unsolicited")
        rise -= value(before, "dropped_packets_total", side="wan", reason="unsolicited")
    assert rise == 1
    for name in ("received_packets_total", "forwarded_packets_total"):
        assert value(after, name, side="lan") - value(before, name, side="lan") >= 5, name
    sizes = [value(found, "received_bytes_total", side="lan") for found in (before, after)]
    assert sizes[1] - sizes[0] >= 5 * (20 + 8 + 8)
    assert value(after, "flows") >= 1 and value(after, "flows_created_total") >= 1
    assert value(after, "link_up", side="wan") == value(after, "link_up", side="lan") == 1
    assert value(after, "outside_addresses") == 1
    for side in ("lan", "wan"):
        parts = [value(after, f"{name}_packets_total", side=side) for name in ("forwarded", "consumed")]
        drops = [
            count
            for (name, labels), count in after.items()
            if name == "culvert_dropped_packets_total" and dict(labels)["side"] == side
        ]
        held = value(after, "held_packets", side=side)
        assert sum(parts) + sum(drops) + held == value(after, "received_packets_total", side=side), side


def test_the_series_are_always_the_same(lab, router):
    """What comes from packets and peers makes values, never labels."""
    before = set(scrape(lab))
    inner, outer = lab.raw("L1"), lab.raw("W1")
    for port in range(42000, 42050):
        inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=port, dport=port) / b"x")
        outer.expect()
    assert set(scrape(lab)) == before
    assert len(before) < 400


def reload_by_signal(router, sections):
    router.reload(sections)


def reload_by_socket(router, sections):
    router.configure(sections)
    run_ctl(router, "reload")


@pytest.mark.parametrize("reload", [reload_by_signal, reload_by_socket])
def test_a_reload_that_fails_is_seen(lab, router, reload):
    good = router.config
    reload(router, good)
    assert value(scrape(lab), "config_last_reload_successful") == 1
    before = value(scrape(lab), "config_last_reload_success_timestamp_seconds")
    reload(router, {**good, "nat": {"hairpinning": "perhaps"}})
    assert value(scrape(lab), "config_last_reload_successful") == 0
    assert value(scrape(lab), "config_last_reload_success_timestamp_seconds") == before
    reload(router, good)
    assert value(scrape(lab), "config_last_reload_successful") == 1
    assert value(scrape(lab), "config_last_reload_success_timestamp_seconds") > before


def test_counters_outlive_a_reload(lab, router):
    """That ends flows, too."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=1701, dport=1701) / b"count me")
    outer.expect()
    before = scrape(lab)
    router.reload({**router.config, "l2tp": {"mode": "block"}})
    after = scrape(lab)
    assert value(after, "flows") < value(before, "flows")
    fallen = [key for key, number in before.items() if key[0].endswith("_total") and after[key] < number]
    assert value(before, "forwarded_packets_total", side="lan") > 0 and not fallen, fallen


def test_a_trial_counts_when_it_is_over(lab, router):
    """As failed if nobody confirmed it: then what is in force is not what the file says."""
    ask_control(router, "reload")
    before = value(scrape(lab), "config_last_reload_success_timestamp_seconds")
    mark = router.mark()
    ask_control(router, "reload confirm=1")
    assert value(scrape(lab), "config_last_reload_success_timestamp_seconds") == before
    router.wait_for("nobody has confirmed the configuration", mark)
    assert value(scrape(lab), "config_last_reload_successful") == 0
    assert value(scrape(lab), "config_last_reload_success_timestamp_seconds") == before
    ask_control(router, "reload confirm=60")
    assert value(scrape(lab), "config_last_reload_successful") == 0
    ask_control(router, "confirm")
    assert value(scrape(lab), "config_last_reload_successful") == 1
    assert value(scrape(lab), "config_last_reload_success_timestamp_seconds") > before


@pytest.mark.parametrize(
    "request_, statuses",
    [
        (b"GET / HTTP/1.1\r\nHost: r\r\n\r\n", {404}),
        (b"GET /metrics/ HTTP/1.1\r\nHost: r\r\n\r\n", {404}),
        (b"GET /../etc/passwd HTTP/1.1\r\nHost: r\r\n\r\n", {404}),
        (b"POST /metrics HTTP/1.1\r\nHost: r\r\nContent-Length: 0\r\n\r\n", {405, 501}),
        (b"POST /metrics HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\nhello", {405, 413, 501}),
        (b"HEAD /metrics HTTP/1.1\r\nHost: r\r\n\r\n", {405, 501}),
        (b"DELETE /metrics HTTP/1.1\r\nHost: r\r\n\r\n", {405, 501}),
        (b"nonsense\r\n\r\n", {400}),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n", {400, 413}),
    ],
)
def test_nothing_else_is_served(lab, router, request_, statuses):
    with connect(lab, LISTEN) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(request_)
        try:
            answer = read_all(sock)
        except ConnectionResetError:
            answer = b""
    assert b"culvert_" not in answer
    assert not answer or int(answer.split()[1]) in statuses, answer
    assert scrape(lab)


def test_one_request_a_connection(lab, router):
    status, head, body = ask(lab, LISTEN, 3 * b"GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n")
    assert status == 200 and "connection: close" in head.lower()
    assert body.count("# HELP culvert_build_info ") == 1 and "HTTP/1.1" not in body
    assert "text/plain; version=0.0.4" in head


@pytest.mark.parametrize("user", [None, "nobody"])
def test_a_unix_socket(lab, router, user):
    """It belongs to the daemon's user and to nobody else, goes with the daemon, and a dead one is replaced."""
    router.stop()
    path = router.folder / "metrics.sock"
    options = ["--user", user] if user else []
    router.folder.chmod(0o777)  # the user removes the socket
    sections = {"metrics": {"listen": f"unix:{path}"}}
    router.start(sections, *options)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660 and path.owner() == (user or "root")
    assert value(samples(ask(lab, f"unix:{path}")[2]), "link_up", side="wan") == 1
    router.kill()
    assert path.exists()
    router.start(sections, *options)
    assert ask(lab, f"unix:{path}")[0] == 200
    router.stop()
    assert not path.exists()
    shutil.rmtree(router.state_dir)  # it belongs to the user


@pytest.mark.parametrize(
    "listen, words",
    [
        ("0.0.0.0:9437", "is not a loopback address"),
        ("10.77.0.1:9437", "is not a loopback address"),
        ("127.0.0.1", "must be unix:/PATH, or an address and a port"),
        ("127.0.0.1:0", "must be unix:/PATH, or an address and a port"),
        ("9437", "must be unix:/PATH, or an address and a port"),
        ("unix:relative", "must be unix:/PATH, or an address and a port"),
        ("unix:/" + "x" * 120, "bytes"),
    ],
)
def test_listening_elsewhere_is_an_error(lab, router, listen, words):
    router.stop()
    done = router.run("--check", sections={"metrics": {"listen": listen}})
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_a_port_that_is_taken_ends_the_start(lab, router):
    router.stop()
    with lab.R.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 9437))
        other.listen()
        done = router.run("-f", sections={"metrics": {"listen": LISTEN}})
    assert done.returncode == 4 and "cannot serve metrics at 127.0.0.1:9437" in done.stderr, done.stderr


def fields(line):
    """{NAME: value} of the last bracket of a line of the log."""
    match = re.search(r" \[((?:\w+=\S+ ?)+)\]$", line)
    assert match, line
    return dict(pair.split("=", 1) for pair in match[1].split())


def test_a_tunnel_is_counted_and_logged(lab, router):
    """One that calls itself by the fields of another event, too."""
    server = l2tp_peer.Server(lab.raw("W1"))
    client = l2tp_peer.Client(lab.raw("L1"), server.peer.address, 500)
    client.name = "x [event=tunnel_down service=ipsec end=router]"
    before, mark = scrape(lab), router.mark()
    l2tp_peer.dial(client, server)
    l2tp_peer.carry(server, [client])
    up = scrape(lab)
    assert value(up, "tunnels", service="l2tp", state="connected") == 1
    assert value(up, "tunnels_up_total", service="l2tp") - value(before, "tunnels_up_total", service="l2tp") == 1
    said = fields(router.wait_for(r"tunnel up: [^\n]*", mark)[0])
    assert said["event"] == "tunnel_up" and said["service"] == "l2tp" and said["inside_id"] == "500"
    assert (said["inside"], said["outside"], said["remote"]) == (client.peer.address, ROUTER_WAN, server.peer.address)
    l2tp_peer.hang_up(client, server)
    server.speak(client, l2tp_peer.Message(500, l2tp_peer.HELLO, "to"))
    said = fields(router.wait_for(r"tunnel down: [^\n]*", mark)[0])
    assert said["event"] == "tunnel_down" and said["service"] == "l2tp" and said["end"] == "stopped"
    assert int(said["lan_bytes"]) > 100 and int(said["wan_bytes"]) > 100
    down = scrape(lab)
    assert value(down, "tunnels", service="l2tp", state="connected") == 0
    ended = {"service": "l2tp", "reason": "stopped"}
    assert value(down, "tunnels_down_total", **ended) - value(before, "tunnels_down_total", **ended) == 1


@pytest.mark.config({"metrics": {"listen": LISTEN}, "limits": {"tunnels": 16384}})
def test_tunnels_are_counted_piece_by_piece(lab, router):
    """More of them than are looked at in a round of the loop: all are counted, and packets do not wait meanwhile."""
    first = ike_peer.Message(2, 1, 0, ike_peer.SA_INIT, ike_peer.INITIATOR, 0, "anybody there?")
    for number, (host, index) in enumerate((("L1", 0), ("L2", 0), ("L1", 1), ("L2", 1))):
        peer = lab.raw(host, index)
        for server in range(500):
            first.initiator = 1 + 500 * number + server
            there = f"{'203.0.113' if server % 2 else '192.0.2'}.{2 + server // 2}"
            peer.send(IP(src=peer.address, dst=there) / UDP(sport=500, dport=500) / Raw(bytes(first)))
    with in_background(lambda: scrape(lab)):
        packets_go_on(lab, 2)
    assert value(scrape(lab), "tunnels", service="ipsec", state="requested") == 2000


# --- Prometheus --------------------------------------------------------------------------------------------------


def used_names(text):
    return set(re.findall(r"\bculvert_\w+", text))


def expressions():
    """{where: PromQL} of the dashboard, with Grafana's variables as it fills them in."""
    board = json.loads((CONTRIB / "grafana" / "culvert.json").read_text())
    found = {}
    for panel in board["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for note in board["annotations"]["list"]:
        found[note["name"]] = note["expr"]
    return {
        where: expr.replace("$instance", ".*").replace("$__rate_interval", "10s") for where, expr in found.items()
    }


def test_promtool_finds_nothing_to_say(lab, router, prometheus_root):
    body = ask(lab, LISTEN)[2]
    assert promtool(prometheus_root, "check", "metrics", input=body) == ""
    with pytest.raises(AssertionError):
        promtool(prometheus_root, "check", "metrics", input=body.replace("# HELP culvert_flows ", "# HELP culvert_x "))


def test_culvertctl_prints_the_same_page(lab, router, prometheus_root):
    def shape(text):
        return [line if line.startswith("#") else line.rsplit(" ", 1)[0] for line in text.splitlines()]

    page, done = ask(lab, LISTEN)[2], run_ctl(router, "metrics")
    assert done.returncode == 0 and not done.stderr
    assert shape(done.stdout) == shape(page) and done.stdout.endswith("\n")
    assert promtool(prometheus_root, "check", "metrics", input=done.stdout) == ""
    rows = ask_control(router, "metrics")
    found = samples(done.stdout)
    assert len(rows) == len(found) and list(rows[0]) == ["kind", "name", "labels", "value", "type", "help"]
    for name in ("culvert_flows_limit", "culvert_start_time_seconds"):
        (row,) = [row for row in rows if row["name"] == name]
        assert row["value"] == float(found[(name, ())]) and row["labels"] is None and row["type"] == "gauge"


def test_the_rules_are_good(prometheus_root):
    folder = CONTRIB / "prometheus"
    assert "16 rules found" in promtool(prometheus_root, "check", "rules", str(folder / "alerts.yml"))
    assert "SUCCESS" in promtool(prometheus_root, "test", "rules", "alerts_test.yml", cwd=folder)
    fires = set(re.findall(r'alertname="(\w+)"', (folder / "alerts_test.yml").read_text()))
    assert fires == set(re.findall(r"- alert: (\w+)", (folder / "alerts.yml").read_text()))


def test_each_name_that_is_used_is_served(lab, router):
    served = {name for name, _ in scrape(lab)}
    rules = (CONTRIB / "prometheus" / "alerts.yml").read_text()
    assert "culvert_flows" in used_names(rules)
    assert not used_names(rules) - served
    for where, expression in expressions().items():
        assert used_names(expression) and not used_names(expression) - served, where


def test_a_real_prometheus_takes_it(lab, router, prometheus_root, tmp_path):
    prometheus = Prometheus(lab, prometheus_root, tmp_path, LISTEN)
    try:
        prometheus.wait(
            "targets", lambda found: [target["health"] for target in found["activeTargets"]] == ["up"]
        )
        prometheus.wait(
            "query?query=" + urllib.parse.quote("count_over_time(culvert_flows[1m]) > 5"), lambda found: found["result"]
        )
        names = prometheus.api("label/__name__/values")
        assert {name for name, _ in scrape(lab)} <= set(names)
        rules = prometheus.wait(
            "rules",
            lambda found: all(rule["health"] == "ok" for group in found["groups"] for rule in group["rules"])
            and found["groups"],
        )
        assert len(rules["groups"][0]["rules"]) == 16
        prometheus.wait("alerts", lambda found: not found["alerts"])  # but a scrape that the machine made late
        assert len(query(prometheus, expressions()["Links A"])) == 2
        assert len(query(prometheus, expressions()["Tunnels connected A"])) == 3
    finally:
        prometheus.close()


def query(prometheus, expression):
    """{labels: number} of what it finds; nothing divided by nothing is no number."""
    found = prometheus.api("query?query=" + urllib.parse.quote(expression))["result"]
    pairs = [(tuple(sorted(each["metric"].items())), float(each["value"][1])) for each in found]
    return {labels: number for labels, number in pairs if not math.isnan(number)}


def test_each_panel_shows_something(lab, router, prometheus_root, tmp_path):
    """In a life with a restart, drops, and tunnels that come, go and fall silent."""
    server = l2tp_peer.Server(lab.raw("W1"))
    silent, short = (l2tp_peer.Client(lab.raw(host), server.peer.address, 500) for host in ("L1", "L2"))
    hidden = l2tp_peer.Client(lab.raw("L2", 1), server.peer.address, 500, hide=True)  # which is worth a hint
    empty = expressions()
    prometheus = Prometheus(lab, prometheus_root, tmp_path, LISTEN)
    try:
        prometheus.wait(
            "query?query=" + urllib.parse.quote("count_over_time(culvert_flows[1m]) > 2"), lambda found: found["result"]
        )
        router.stop()
        router.start(router.config)
        l2tp_peer.dial(silent, server)
        l2tp_peer.dial(short, server)
        hidden.ask()
        end = time.monotonic() + 90
        while empty and time.monotonic() < end:
            silent.send(l2tp_peer.Message(silent.tunnel, payload=b"still there?"))
            lab.raw("X").send(IP(src=lab.raw("X").address, dst=ROUTER_WAN) / UDP(sport=9, dport=9) / b"unasked")
            short.send(l2tp_peer.Message(short.tunnel, l2tp_peer.STOPCCN, short.name, short.own))
            server.speak(short, l2tp_peer.Message(short.own, l2tp_peer.HELLO, short.name))
            empty = {where: expression for where, expression in empty.items() if not query(prometheus, expression)}
            time.sleep(0.3)
        assert not empty, empty
    finally:
        prometheus.close()


# --- hostile peers -----------------------------------------------------------------------------------------------


def packets_go_on(lab, seconds):
    """Packets that are sent one after the other are on time: none waits for as long as somebody who asks may take. A
    second is the machine's, which may stand still for a moment, but not at every packet."""
    inner, outer = lab.raw("L1"), lab.raw("W1")
    end, took = time.monotonic() + seconds, []
    while time.monotonic() < end or len(took) < 20:
        start = time.monotonic()
        inner.send(IP(src=inner.address, dst=outer.address) / UDP(sport=43000, dport=9) / b"on time?")
        outer.expect()
        took.append(time.monotonic() - start)
    assert statistics.median(took) < 0.2 and max(took) < PEER_S / 2, sorted(took)[-10:]


@contextlib.contextmanager
def in_background(work):
    """Calls work() again and again; that it got somewhere is asserted."""
    over, calls, problems = threading.Event(), [], []

    def run():
        while not over.is_set():
            try:
                work()
                calls.append(1)
            except OSError:
                time.sleep(0.01)  # refused or reset: as it should be
            except Exception as problem:  # pylint: disable=broad-except
                problems.append(problem)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)
    assert not problems and calls, problems


def test_long_lines_are_not_taken(lab, router):
    def send():
        with connect(lab, LISTEN) as sock:
            try:
                for _ in range(160):
                    sock.sendall(b"G" * 65536)
            except OSError:
                return
            raise AssertionError("10 MB without a line end were taken")

    with in_background(send):
        packets_go_on(lab, 2)
    assert memory_of(router) < 400 << 20
    assert scrape(lab)


def memory_of(router):
    with open(f"/proc/{router.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) << 10


def test_a_flood_of_requests(lab, router):
    def flood():
        socks = [connect(lab, LISTEN) for _ in range(PEERS)]
        for sock in socks:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n")
        for sock in socks:
            assert b" 200 " in read_all(sock)[:20]
            sock.close()

    with in_background(flood):
        packets_go_on(lab, 3)


def descriptors_of(router):
    return len(list(pathlib.Path(f"/proc/{router.process.pid}/fd").iterdir()))


def is_over(sock):
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_thousand_connections_and_slow_ones(lab, router):
    """The first ones take all places and dawdle; each has its time, and then there is room again."""
    scrape(lab)
    router.settle()
    before = descriptors_of(router)
    start = time.monotonic()
    socks = []
    try:
        with lab.R.entered():
            for _ in range(1000):
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                sock.connect_ex(("127.0.0.1", 9437))
                socks.append(sock)

        def dawdle():
            for sock in socks[: 2 * PEERS]:
                with contextlib.suppress(OSError):
                    sock.send(b"G")
            time.sleep(0.3)

        with in_background(dawdle):
            packets_go_on(lab, 2)
            assert before < descriptors_of(router) <= before + PEERS
            # Those that keep sending are let go all the same, and others that wait in the kernel come in.
            wait_for(lambda: is_over(socks[0]), "the first one is let go", PEER_S + LIMIT)
            assert time.monotonic() - start > PEER_S - 1
    finally:
        for sock in socks:
            sock.close()
    wait_for(lambda: descriptors_of(router) <= before, "all of them are let go")
    assert descriptors_of(router) == before
    assert scrape(lab)


def test_a_stop_with_connections_open(lab, router):
    """Half a request, a whole one and an idle one are there when the daemon ends."""
    socks = [connect(lab, LISTEN) for _ in range(3)]
    try:
        socks[0].sendall(b"GET /metr")
        socks[1].sendall(b"GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n")
        time.sleep(0.02)
        router.stop()
    finally:
        for sock in socks:
            sock.close()


def test_when_descriptors_run_out(lab, router):
    """Who cannot be let in waits; nothing spins, and the log is not flooded."""
    pid = router.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    mark = router.mark()
    with contextlib.ExitStack() as stack:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), hard))
        stack.callback(resource.prlimit, pid, resource.RLIMIT_NOFILE, (soft, hard))
        waiting = [stack.enter_context(connect(lab, LISTEN)) for _ in range(3)]
        router.wait_for("cannot accept a connection for metrics: Too many open files", mark)
        time.sleep(1)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        for sock in waiting:
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"200 OK" in read_all(sock)
    said = router.log(mark)
    assert "[warn]" not in said and said.count("\n") < 100 and len(said) < 10000, said[-2000:]
