# SPDX-License-Identifier: BSD-2-Clause
"""Life under a service manager: what it is told and when, what the journal gets, and that the unit in contrib gives
all the rights that culvertd needs. The manager is played by a socket; a real one is in test_systemd.py."""
import os
import pathlib
import re
import shutil
import signal
import socket
import time

import pytest

from lab import ROUTER_WAN
from namespace import LIMIT

pytestmark = [pytest.mark.culvert_only("the service manager's protocol is culvertd's own")]
UNIT = pathlib.Path(__file__).resolve().parent.parent.parent / "contrib" / "culvertd.service"


class Manager:
    """Hears what a daemon tells its manager."""

    def __init__(self, lab, address):
        self.sock = lab.R.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # abstract names belong to a network namespace
        self.sock.bind(address.replace("@", "\0", 1))
        if address.startswith("/"):
            os.chmod(address, 0o777)

    def hear(self, timeout=LIMIT):
        """The next message as {NAME: value}."""
        self.sock.settimeout(timeout)
        return dict(line.split("=", 1) for line in self.sock.recv(4096).decode().splitlines())

    def hear_until(self, name, timeout=LIMIT):
        """All messages up to the one that has this name."""
        end, heard = time.monotonic() + timeout, []
        while not heard or name not in heard[-1]:
            heard.append(self.hear(end - time.monotonic()))
        return heard


@pytest.fixture(params=["path", "abstract"])
def manager(request, lab, daemon, monkeypatch):
    path = f"{daemon.folder}/notify" if request.param == "path" else f"@culvert-test-{os.getpid()}"
    manager = Manager(lab, path)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    yield manager
    manager.sock.close()


@pytest.mark.parametrize("user", [None, "nobody"])
def test_a_life(lab, daemon, manager, user):
    """With few rights and filtered system calls."""
    daemon.launch(*(["--user", user] if user else []))
    heard = manager.hear_until("READY")
    assert heard == [{"STATUS": f"forwarding lan0 -> wan0 ({ROUTER_WAN})"}, {"READY": "1"}]
    assert "forwarding lan0 -> wan0" in daemon.log()

    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.process.send_signal(signal.SIGHUP)
    heard = manager.hear_until("READY")
    assert [set(message) for message in heard] == [{"RELOADING", "MONOTONIC_USEC"}, {"READY"}]
    assert before <= int(heard[0]["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    lab.R.ip("link set wan0 down")
    try:
        assert manager.hear() == {"STATUS": "waiting for the WAN device wan0: it is down or has no carrier"}
    finally:
        lab.R.ip("link set wan0 up", "route replace default via 198.51.100.1")
    assert manager.hear_until("STATUS")[-1]["STATUS"].startswith("forwarding lan0 -> wan0")
    daemon.stop()
    assert manager.hear_until("STOPPING")[-1] == {"STOPPING": "1"}


def test_a_reload_that_fails_is_over_as_well(daemon, manager):
    daemon.launch()
    manager.hear_until("READY")
    daemon.reload({"nat": {"hairpinning": "perhaps"}})
    assert [set(message) for message in manager.hear_until("READY")] == [{"RELOADING", "MONOTONIC_USEC"}, {"READY"}]
    daemon.stop()


def test_a_start_that_fails_is_not_ready(daemon, manager):
    done = daemon.run("-f", sections={"lan": {"interface": "nowhere0"}})
    assert done.returncode != 0
    with pytest.raises(TimeoutError):
        manager.hear(0.2)


def beats(manager, seconds):
    end, count = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        try:
            count += manager.hear(left) == {"WATCHDOG": "1"}
        except TimeoutError:
            break
    return count


def test_the_watchdog_is_fed_by_the_loop(daemon, manager, monkeypatch):
    """At half of its time; not while the loop stands still."""
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    daemon.launch()
    manager.hear_until("READY")
    assert any(7 <= beats(manager, 2) <= 11 for _ in range(3)), "in three times two seconds"
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    beats(manager, 0.05)
    try:
        assert beats(manager, 1) == 0
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert [manager.hear() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
    daemon.stop()


def test_the_watchdog_of_another_process_is_not_fed(daemon, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    daemon.launch()
    manager.hear_until("READY")
    assert beats(manager, 1) == 0
    daemon.stop()


def test_without_a_manager(daemon, monkeypatch):
    """One that is gone, and an address that is none."""
    monkeypatch.setenv("NOTIFY_SOCKET", f"{daemon.folder}/nobody")
    daemon.start()
    daemon.stop()
    monkeypatch.setenv("NOTIFY_SOCKET", "not/absolute")
    mark = daemon.mark()
    daemon.start()
    assert "warning: NOTIFY_SOCKET is neither an absolute path nor @NAME" in daemon.log(mark)
    daemon.stop()


def test_the_journal_gets_levels(daemon, monkeypatch):
    status = daemon.log_file.stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    daemon.start()
    daemon.reload({"nat": {"hairpinning": "perhaps"}})
    daemon.stop()
    lines = daemon.log().splitlines()
    assert lines and all(re.match(r"<[0-7]>\S", line) for line in lines), lines
    assert any(line.startswith("<5>forwarding lan0 -> wan0") for line in lines)
    assert any(line.startswith("<3>") and "hairpinning" in line for line in lines)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
    mark = daemon.mark()
    daemon.start()
    assert daemon.log(mark).startswith("culvertd: ")
    daemon.stop()


# --- the unit ----------------------------------------------------------------------------------------------------


def settings(section="Service"):
    """{name: value} of a section of the unit."""
    text = UNIT.read_text().split(f"[{section}]\n")[1].split("\n[")[0]
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_the_unit_gives_the_rights_that_are_needed(lab, daemon, manager):
    """Started with the capabilities of the unit and no others."""
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv(1) here")
    names = settings()["CapabilityBoundingSet"].split()
    words = ",".join(["-all"] + [f"+{name.removeprefix('CAP_').lower()}" for name in names])
    normal = daemon.command
    assert settings()["ExecStart"] == "/usr/sbin/culvertd -f"

    def command(*options):
        enter = normal(*options)
        split = enter.index(daemon.program)
        return [*enter[:split], "setpriv", "--no-new-privs", "--bounding-set", words, *enter[split:]]

    daemon.command = command
    daemon.launch()
    manager.hear_until("READY")
    status = dict(
        line.split(":\t", 1)
        for line in pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert status["NoNewPrivs"] == "1" and int(status["CapBnd"], 16) & ~int("3000", 16) == 0
    daemon.stop()
