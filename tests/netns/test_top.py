# SPDX-License-Identifier: BSD-2-Clause
"""The live screen in a real terminal: a multiplexer takes the keys and shows what stands on the screen."""
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from control import Control, ask, find_ctl, run_ctl, socket_of
from l2tp_peer import Client, Server, dial
from lab import ROUTER_WAN, wait_for
from namespace import LIMIT

TMUX = shutil.which("tmux")
pytestmark = [
    pytest.mark.culvert_only("the kernel has no control socket"),
    pytest.mark.skipif(TMUX is None, reason="tmux is not installed"),
]

PROMPT = "quiet$"
EXPECTED = 2 * LIMIT  # seconds until something must stand on the screen


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, columns=80, rows=24):
        self.directory = tempfile.TemporaryDirectory(prefix="culvert-tmux-")
        environment = f"env PS1={shlex.quote(PROMPT)} TERM=screen sh"
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), environment)
        self.tmux("set-option", "-g", "status", "off")
        self.resize(columns, rows)
        self.wait(re.escape(PROMPT))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server", check=False)
        self.directory.cleanup()

    def tmux(self, *words, check=True):
        command = [TMUX, "-S", f"{self.directory.name}/socket", "-f", "/dev/null", *words]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60).stdout

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def say(self, line):
        self.tmux("send-keys", "-l", line)
        self.press("Enter")

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def lines(self):
        return self.tmux("capture-pane", "-p").split("\n")[:-1]

    def wait(self, pattern):
        """The lines of the screen as soon as the pattern stands there."""
        end = time.monotonic() + EXPECTED
        while time.monotonic() < end:
            lines = self.lines()
            if re.search(pattern, "\n".join(lines), re.MULTILINE):
                return lines
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} is not on the screen:\n" + "\n".join(lines))

    def asks(self, variable):
        return self.tmux("display-message", "-p", f"#{{{variable}}}").strip()

    def children(self):
        """Processes of the shell."""
        shell = self.asks("pane_pid")
        return [int(word) for word in open(f"/proc/{shell}/task/{shell}/children", encoding="ascii").read().split()]

    def is_normal(self, settings):
        """The first screen, a cursor, and the settings of the line as they were."""
        assert self.asks("alternate_on") == "0" and self.asks("cursor_flag") == "1"
        self.say("clear; stty -g")
        lines = self.wait(r"^[0-9a-f:]{40,}")
        assert any(line.strip() == settings for line in lines) or settings in "".join(lines), lines


@pytest.fixture
def terminal(router):
    with Terminal() as terminal:
        yield terminal


def settings_of(terminal):
    terminal.say("clear; stty -g")
    lines = terminal.wait(r"^[0-9a-f:]{40,}")
    settings = re.search(r"[0-9a-f]+(:[0-9a-f]+){10,}", "".join(line for line in lines)).group(0)
    terminal.say("clear")
    return settings


def start(terminal, router, *words):
    terminal.say(shlex.join([find_ctl(router), "--socket", str(socket_of(router)), "top", *words]))
    return terminal.wait("^q quit")


@pytest.fixture
def traffic(lab, router):
    """Two hosts, the second with more bytes and fewer packets, a tunnel, and drops."""
    ask_forget(router)
    server = lab.udp("W1")
    for _ in range(20):
        lab.echo_once(first := lab.udp("L1"), server)
        first.close()
    lab.echo_once(lab.udp("L2"), server, payload=b"x" * 1400)
    lab.echo_once(lab.udp("L2"), server, payload=b"x" * 1400)
    return server


def ask_forget(router):
    with Control(router) as control:
        for host in {row["internal-src-address"] for row in control.ask("mappings")}:
            control.send(f"forget {host}\n".encode())
            control.answer()


@pytest.fixture
def tunnel(lab, router):
    server = Server(lab.raw("W1"))
    client = Client(lab.raw("L1"), lab.raw("W1").address, 0x1111)
    dial(client, server)
    return client


# --- the verb --------------------------------------------------------------------------------------------------------


def test_the_sums_are_those_of_the_flows(lab, router, traffic):
    flows = [row for row in ask(router, "mappings")]
    hosts = [row for row in ask(router, "top show=hosts") if row["kind"] == "host"]
    assert {row["internal-src-address"] for row in hosts} == {"10.77.0.11", "10.77.0.12"}
    for host in hosts:
        own = [row for row in flows if row["internal-src-address"] == host["internal-src-address"]]
        assert host["flows"] == len(own) > 0
        for member in ("packets-out", "bytes-out", "packets-in", "bytes-in"):
            assert host[member] == sum(row[member] for row in own) > 0


def test_the_order_and_the_limit(lab, router, traffic):
    def order(words):
        return [row["internal-src-address"] for row in ask(router, f"top {words}") if row["kind"] == "host"]

    assert order("show=hosts sort=bytes") == ["10.77.0.12", "10.77.0.11"]
    assert order("show=hosts sort=packets") == ["10.77.0.11", "10.77.0.12"]
    assert order("show=hosts sort=packets limit=1") == ["10.77.0.11"]


def test_tunnels_are_those_of_the_other_verb(lab, router, tunnel):
    (row,) = [row for row in ask(router, "top") if row["kind"] == "tunnel"]
    (other,) = [row for row in ask(router, "tunnels") if row["state"] == "connected"]
    ages = ("age", "last-out", "last-in")
    assert {name: value for name, value in row.items() if name not in ages} == {
        name: value for name, value in other.items() if name not in ages}
    (host,) = [row for row in ask(router, "top show=hosts sort=age") if row["kind"] == "host" and row["tunnels"]]
    assert host["internal-src-address"] == lab.raw("L1").address and host["age"] is not None


@pytest.mark.config({"limits": {"flows": 131072, "host_flows": 131072}})
def test_many_flows_are_summed_up_here_and_not_sent(lab, router):
    """A second of the live screen costs few bytes and not many milliseconds, however many flows there are."""
    client, wanted = lab.udp("L1"), 50_000
    remotes = [lab.raw("W1", index).address for index in (0, 1)]
    for number in range(wanted):
        client.sendto(b"x", (remotes[number % 2], 10000 + number // 2))
        if number % 100 == 99:
            time.sleep(0.004)
    with Control(router) as control:
        control.socket.settimeout(2 * LIMIT)
        start = time.monotonic()
        rows = control.ask("top show=hosts limit=5")
        took = time.monotonic() - start
    (host,) = [row for row in rows if row["kind"] == "host" and row["internal-src-address"] == "10.77.0.11"]
    size = sum(len(str(row)) for row in rows)
    print(f"{host['flows']} flows summed up in {took * 1000:.0f} ms, {size} bytes")
    assert host["flows"] >= wanted * 0.9 and took < 1 and size < 20000


@pytest.mark.parametrize("words, says", [
    ("show=flows", "tunnels or hosts"),
    ("sort=size", "bytes, packets or age"),
    ("limit=0", "from 1 to 1000"),
    ("limit=1001", "from 1 to 1000"),
    ("limit=x", "from 1 to 1000"),
    ("rows=1", "show=, sort=, limit="),
])
def test_bad_requests_are_refused(router, words, says):
    with Control(router) as control:
        code, error = control.refused(f"top {words}")
    assert code == 1 and says in error


# --- the screen ------------------------------------------------------------------------------------------------------


def test_without_a_terminal(router):
    done = run_ctl(router, "top")
    assert done.returncode == 1 and "needs a terminal" in done.stderr and not done.stdout


def test_the_screen_and_its_keys(lab, router, traffic, tunnel, terminal):
    settings = settings_of(terminal)
    lines = start(terminal, router)
    assert terminal.asks("alternate_on") == "1"
    assert lines[0].startswith("culvertd ") and lines[0].endswith("; tunnels by bytes")
    assert lines[4].startswith("ID ") and len(lines) == 24 and lines[23].startswith("q quit")
    assert re.match(rf"l2tp-\d+ +{lab.raw('L1').address} +{lab.raw('W1').address} +connected ", lines[5]), lines[5]
    terminal.press("h")
    lines = terminal.wait(r"^10\.77\.0\.12 .*\n10\.77\.0\.11 ")
    assert lines[0].endswith("; hosts by bytes") and lines[4].startswith("HOST ")
    terminal.press("p")
    lines = terminal.wait(r"^10\.77\.0\.11 .*(\n.*)?\n10\.77\.0\.12 ")
    assert lines[0].endswith("; hosts by packets")
    terminal.press("a")
    terminal.wait("; hosts by age$")
    terminal.wait(rf"^HOST .*\n{lab.raw('L1').address} ")
    terminal.press("?")
    terminal.wait("^KEYS")
    terminal.press("?")
    terminal.wait("^HOST ")
    terminal.press("Right")
    terminal.wait("^ID ")
    terminal.press("b")
    terminal.wait("; tunnels by bytes$")
    terminal.press("q")
    terminal.wait(re.escape(PROMPT))
    terminal.is_normal(settings)


def test_drops_and_their_rates(lab, router, terminal):
    start(terminal, router)
    terminal.press("d")
    terminal.wait("^DROPPED BECAUSE")
    stranger = lab.udp("W1")

    def has_a_rate():
        for _ in range(30):
            stranger.sendto(b"x", (ROUTER_WAN, 45678))
        return re.search(r"^unsolicited +\d+ +\d+ +[1-9]\d* +\d+ ", "\n".join(terminal.lines()), re.MULTILINE)

    wait_for(has_a_rate, lambda: "\n".join(terminal.lines()), EXPECTED)
    lines = terminal.lines()
    assert lines[23].startswith("q quit") and all(len(line) <= 80 for line in lines)
    terminal.press("d")
    terminal.wait(r"tunnels by bytes")


def test_the_size_changes(lab, router, traffic, terminal):
    start(terminal, router, "show=hosts", "sort=packets")
    for columns, rows in ((132, 50), (60, 12), (80, 24)):
        terminal.resize(columns, rows)
        end = time.monotonic() + EXPECTED
        while True:
            lines = terminal.lines()
            if len(lines) == rows and lines[0].startswith("culvertd ") and lines[4].startswith("HOST ") and (
                    lines[-1].startswith("q quit")):
                break
            assert time.monotonic() < end, lines
            time.sleep(0.05)
    terminal.resize(40, 8)
    terminal.wait("^too small")
    terminal.press("q")
    terminal.resize(80, 24)
    terminal.wait(re.escape(PROMPT))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_leave_the_terminal_as_it_was(router, terminal, number):
    settings = settings_of(terminal)
    start(terminal, router)
    (process,) = terminal.children()
    os.kill(process, number)
    terminal.wait(re.escape(PROMPT))
    terminal.is_normal(settings)


def test_it_stops_and_goes_on(router, terminal):
    start(terminal, router)
    terminal.press("C-z")
    terminal.wait(re.escape(PROMPT))
    assert terminal.asks("alternate_on") == "0" and terminal.asks("cursor_flag") == "1"
    terminal.say("fg")
    terminal.wait("^q quit")
    assert terminal.asks("alternate_on") == "1"


def test_the_daemon_goes_and_comes_back(router, terminal):
    start(terminal, router)
    sections = router.config
    router.stop()
    terminal.wait("culvertd (is not running|ended)")
    router.start(sections)
    terminal.wait("^q quit")
    router.stop()
    terminal.press("q")
    terminal.wait(re.escape(PROMPT))
    terminal.say("clear")
    terminal.say(shlex.join([find_ctl(router), "--socket", str(socket_of(router)), "top"]) + "; echo code $?")
    terminal.wait("^code 6$")
    router.start(sections)
