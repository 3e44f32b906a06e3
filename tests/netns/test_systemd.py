# SPDX-License-Identifier: BSD-2-Clause
"""The unit in contrib under a real systemd, which is the first process of a machine around the router's namespace
(machine.py)."""
import contextlib
import json
import re
import time

import pytest

import l2tp_peer
from lab import ROUTER_WAN
from machine import Machine, Missing
from metrics_client import CONTRIB, ask, samples
from namespace import compare_states, read_state
from router import BASE, find_culvertd, merge, write_config
from shown import block
from test_metrics import fields
from test_privileges import NET_ADMIN_AND_RAW, has_feature, read_status

pytestmark = [pytest.mark.culvert_only("the unit is culvertd's own")]
UNIT = CONTRIB / "culvertd.service"
INI = "/etc/culvert/culvert.ini"
DROP_IN = "/run/systemd/system/culvertd.service.d/test.conf"
LISTEN = "127.0.0.1:9437"
QUICK = "[Service]\nRestartSec=100ms\n"
EXPOSURE = 2.0


class Service:
    """culvertd as systemctl and journalctl show it."""

    def __init__(self, machine):
        self.machine = machine
        self.run, self.try_run = machine.run, machine.try_run

    def configure(self, sections):
        self.machine.write(INI, write_config(merge(BASE, sections)))

    def adapt(self, drop_in):
        self.machine.write(DROP_IN, drop_in)
        self.run("systemctl", "daemon-reload")

    def show(self, name):
        return self.run("systemctl", "show", "-P", name, "culvertd").strip()

    def mode(self, service):
        rows = json.loads(self.run("culvertctl", "-j", "status"))["rows"]
        return next(row["mode"] for row in rows if row["kind"] == "service" and row["service"] == service)

    def mark(self):
        self.run("journalctl", "--sync")
        return json.loads(self.run("journalctl", "-n", "1", "-o", "json"))["__CURSOR"]

    def journal(self, mark, sender="culvertd"):
        """What was said since then: [(priority, message)]."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "-o", "json", "--after-cursor", mark).splitlines()  # -t would skip one
        entries = [json.loads(line) for line in lines]
        return [
            (int(entry["PRIORITY"]), entry["MESSAGE"]) for entry in entries if entry.get("SYSLOG_IDENTIFIER") == sender
        ]


@pytest.fixture(scope="module")
def machine(lab):
    """Of a build as it is installed: with sanitizers a program needs more than the unit gives."""
    program = find_culvertd()
    if not has_feature(program, "libseccomp"):
        pytest.skip("this culvertd was built without libseccomp, or with the address sanitizer")
    files = {
        program: "/usr/sbin/culvertd",
        program.removesuffix("d") + "ctl": "/usr/bin/culvertctl",
        UNIT: "/etc/systemd/system/culvertd.service",
    }
    try:
        machine = Machine(lab.R, files)
    except Missing as missing:
        pytest.skip(f"no machine with a systemd: {missing}")
    yield machine
    machine.close()


@pytest.fixture
def service(machine):
    service = Service(machine)
    machine.path(DROP_IN).unlink(missing_ok=True)
    service.run("systemctl", "daemon-reload")
    service.configure({})
    yield service
    service.try_run("systemctl kill -s CONT culvertd; systemctl stop culvertd; systemctl reset-failed culvertd")
    machine.run("rm", "-rf", "/run/culvert", "/var/log/culvert", "/etc/culvert/culvert.d")


@pytest.fixture
def flow(lab, service):
    """Looks whether packets pass, always by the same flow: the outside port must not change."""
    with contextlib.ExitStack() as stack:
        client, server = (stack.enter_context(lab.udp(host)) for host in ("L1", "W1"))
        seen = []

        def check():
            seen.append(lab.echo_once(client, server))
            assert seen[-1] == seen[0] and seen[0][0] == ROUTER_WAN

        yield check


# --- the unit as it stands there -----------------------------------------------------------------------------------


def analyze(machine, text, *words):
    """Manuals need not be installed."""
    machine.write("/tmp/unit/culvertd.service", re.sub(r"(?m)^Documentation=.*\n", "", text))
    return machine.try_run("systemd-analyze", "--no-pager", *words, "/tmp/unit/culvertd.service")


def test_systemd_takes_the_unit(machine):
    done = analyze(machine, UNIT.read_text(), "verify")
    assert done.returncode == 0 and not done.stdout + done.stderr
    for good, bad in (("Type=notify", "Type=notifi"), ("PrivateTmp", "PrivateTemp"), ("sbin/culvertd", "sbin/culverd")):
        done = analyze(machine, UNIT.read_text().replace(good, bad), "verify")
        assert "culvertd.service" in done.stdout + done.stderr, bad


def exposure(machine, text):
    return analyze(machine, text, "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}")


def test_little_is_exposed(machine):
    done = exposure(machine, UNIT.read_text())
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for culvertd.service: ([\d.]+)", done.stdout)
    assert float(found[1]) <= EXPOSURE, done.stdout
    for line in ("ProtectKernelTunables=yes", "SystemCallFilter=~@privileged @resources"):
        assert line in UNIT.read_text()
        assert exposure(machine, UNIT.read_text().replace(line, "")).returncode != 0, line


def test_the_readmes_way_to_start_at_each_boot(machine, service, flow):
    """Its commands as they stand there, with the lab's name for the LAN's device."""
    machine.write("/tmp/readme/contrib/culvertd.service", UNIT.read_text())
    machine.run("rm -r /etc/systemd/system/culvertd.service /etc/culvert")
    try:
        lines = block("README.md", "cp contrib/culvertd.service").replace("eth1", "lan0")
        machine.run(f"set -e; cd /tmp/readme\n{lines}")
        flow()
        assert service.run("systemctl is-enabled culvertd").strip() == "enabled"
    finally:
        machine.try_run("systemctl disable --now culvertd")


# --- a life --------------------------------------------------------------------------------------------------------


def test_a_start_is_over_once_packets_pass(service, flow):
    slow = "ExecStart=/bin/sh -c 'sleep 1; exec /usr/sbin/culvertd -f'"
    service.adapt(f"[Service]\nExecStart=\n{slow}\n")
    service.run("systemctl", "start", "--no-block", "culvertd")
    assert service.show("ActiveState") == "activating"
    service.run("systemctl", "start", "culvertd")
    flow()
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText") == f"forwarding lan0 -> wan0 ({ROUTER_WAN})"
    assert f'Status: "forwarding lan0 -> wan0 ({ROUTER_WAN})"' in service.run("systemctl", "status", "culvertd")


def test_a_start_with_a_bad_file_fails_and_is_not_tried_again(service):
    service.configure({"nat": {"hairpinning": "perhaps"}})
    mark = service.mark()
    assert service.try_run("systemctl", "start", "culvertd").returncode != 0
    assert (service.show("ActiveState"), service.show("SubState")) == ("failed", "failed")
    assert service.show("ExecMainStatus") == "2" and service.show("NRestarts") == "0"
    assert [text for level, text in service.journal(mark) if level == 3 and "hairpinning" in text]


def test_a_stop_leaves_nothing(lab, service, flow):
    before = read_state(lab.R)
    service.run("systemctl", "start", "culvertd")
    flow()
    assert compare_states(before, read_state(lab.R))
    service.run("systemctl", "reload", "culvertd")
    service.run("systemctl", "stop", "culvertd")
    differences = compare_states(before, read_state(lab.R))
    assert not differences, "\n".join(differences)
    assert service.show("Result") == "success"
    assert not service.machine.path("/run/culvert/control.sock").exists()


def test_a_reload_applies_the_file(service, flow):
    service.run("systemctl", "start", "culvertd")
    flow()
    service.configure({"pptp": {"mode": "block"}})
    service.run("systemctl", "reload", "culvertd")
    assert service.mode("pptp") == "block" and service.show("ActiveState") == "active"
    flow()


def test_a_reload_of_a_bad_file_fails_and_changes_nothing(service, flow):
    service.run("systemctl", "start", "culvertd")
    flow()
    pid, mark = service.show("MainPID"), service.mark()
    service.configure({"pptp": {"mode": "block"}, "nat": {"hairpinning": "perhaps"}})
    done = service.try_run("systemctl", "reload", "culvertd")
    assert done.returncode != 0 and "culvertd.service failed" in done.stderr, done.stderr
    assert service.show("ActiveState") == "active" and service.show("MainPID") == pid
    assert service.mode("pptp") == "pass"
    flow()
    said = service.journal(mark)
    assert [text for level, text in said if level == 3 and text.startswith(f"{INI}:") and "hairpinning" in text], said
    again = service.journal(mark, "culvertctl")  # the errors, and that nothing has changed
    assert all(level == 3 for level, _ in again) and "hairpinning" in again[0][1], again
    service.configure({})
    service.run("systemctl", "reload", "culvertd")


def wait_for_restart(service):
    service.machine.wait_until('test "$(systemctl show -P NRestarts culvertd)" = 1', 60)
    service.machine.wait_until("systemctl is-active culvertd", 60)


def test_a_crash_keeps_flows(service, flow):
    service.adapt(QUICK)
    service.run("systemctl", "start", "culvertd")
    flow()
    mark = service.mark()
    service.run("systemctl", "kill", "-s", "KILL", "culvertd")
    wait_for_restart(service)
    flow()
    assert (5, "took over 1 flows from a process that ended unexpectedly") in service.journal(mark)


def test_a_daemon_that_hangs_is_started_anew(service, flow):
    """And what the watchdog of the unit takes for hanging is longer than any turn of the loop."""
    service.run("systemctl", "start", "culvertd")
    assert service.show("WatchdogUSec") == "30s"
    service.run("systemctl", "stop", "culvertd")
    service.adapt(QUICK + "WatchdogSec=3\nTimeoutStopSec=1\n")
    service.run("systemctl", "start", "culvertd")
    time.sleep(4)
    flow()
    assert service.show("NRestarts") == "0"
    mark = service.mark()
    service.run("systemctl", "kill", "-s", "STOP", "culvertd")
    wait_for_restart(service)
    flow()
    assert [text for _, text in service.journal(mark, "systemd") if "Watchdog timeout" in text]


# --- the journal ---------------------------------------------------------------------------------------------------


def test_the_journal_has_each_event_once(lab, service):
    """With its priority, whatever a host calls itself."""
    service.configure({"metrics": {"listen": LISTEN}})
    service.run("systemctl", "start", "culvertd")
    mark, count = service.mark(), 25
    server = l2tp_peer.Server(lab.raw("W1"))
    clients = [l2tp_peer.Client(lab.raw("L1"), server.peer.address, 500 + number) for number in range(count)]
    for client in clients:
        client.name = "x\n<0>culvertd: forged [event=tunnel_down service=ipsec]\n"
        l2tp_peer.dial(client, server)
        l2tp_peer.hang_up(client, server)
        server.speak(client, l2tp_peer.Message(client.own, l2tp_peer.HELLO, client.name))
        client.receive()
    counted = samples(ask(lab, LISTEN)[2])
    assert counted["culvert_tunnels_up_total", (("service", "l2tp"),)] == count
    service.run("systemctl", "stop", "culvertd")
    said = service.journal(mark)
    assert not [entry for entry in said if "\n" in entry[1] or entry[1].startswith(("<", "culvertd: "))], said
    for event in ("up", "down"):
        entries = [(level, fields(text)) for level, text in said if text.startswith(f"tunnel {event}: ")]
        assert {level for level, _ in entries} == {5}
        assert {(found["event"], found["service"]) for _, found in entries} == {(f"tunnel_{event}", "l2tp")}
        assert [int(found["inside_id"]) for _, found in entries] == [client.own for client in clients]


def test_what_the_rate_limit_keeps_back_is_counted(service):
    """Also when the stop comes first. Signals that are not waited for would become one."""
    service.run("systemctl", "start", "culvertd")
    mark = service.mark()
    service.configure({"nat": {"hairpinning": "perhaps"}})
    service.run("sh", "-c", "for _ in $(seq 24); do culvertctl reload & done; wait; true")
    service.run("systemctl", "stop", "culvertd")
    said = service.journal(mark)
    refusal = "reload failed; keeping the running configuration"
    suppressed = [int(text.split()[0]) for _, text in said if text.endswith(f"similar messages suppressed: {refusal}")]
    assert said.count((3, refusal)) + sum(suppressed) == 24 and sum(suppressed) > 0, said


# --- what the unit takes away --------------------------------------------------------------------------------------


def test_few_rights_are_left(service):
    service.run("systemctl", "start", "culvertd")
    status = read_status(service.show("MainPID"), service.machine.path("/proc"))
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[name], 16) == NET_ADMIN_AND_RAW, name
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    inside = f"nsenter -t {service.show('MainPID')} -m sh -c"
    for path in ("/usr/x", "/etc/x", "/var/x", "/proc/sys/kernel/domainname", "/sys/x", "/dev/x"):
        assert service.try_run(f"{inside} 'echo x >{path}'").returncode != 0, path
    for path in ("/etc/culvert/x", "/run/culvert/x", "/proc/sys/net/ipv4/conf/lan0/forwarding"):
        service.run(f"{inside} 'echo 1 >{path}'")
    service.run("rm", "/etc/culvert/x", "/run/culvert/x")
    assert set(service.run(f"{inside} 'cd /dev && find . -type c'").split()) & {"./mem", "./kmsg", "./tty0"} == set()


def test_all_of_it_works_with_them(lab, service, flow):
    """What needs a file, a socket or a device beyond those of packets."""
    service.configure({"metrics": {"listen": LISTEN}})
    service.run("systemctl", "start", "culvertd")
    assert ask(lab, LISTEN)[0] == 200
    service.run("culvertctl", "mode", "l2tp", "block")
    assert "mode = block" in service.run("cat", "/etc/culvert/culvert.d/90-mode.ini")
    assert service.mode("l2tp") == "block"
    flow()
    line = "culvertctl capture -w /tmp/one.pcapng count=1"
    service.run(f"({line} 2>/tmp/capture.log; echo $? >/tmp/capture.code) >/dev/null 2>&1 &")
    end = time.monotonic() + 30
    while not service.machine.path("/tmp/capture.code").exists():
        assert time.monotonic() < end, service.run("cat", "/tmp/capture.log")
        flow()
        time.sleep(0.05)
    assert service.run("cat", "/tmp/capture.code").strip() == "0"
    assert service.machine.path("/tmp/one.pcapng").read_bytes()[:4] == bytes.fromhex("0a0d0d0a")
    service.run("culvertctl", "selftest")
    service.configure({"metrics": {"listen": "unix:/run/culvert/metrics.sock"}})
    service.run("systemctl", "restart", "culvertd")
    assert ask(lab, f"unix:{service.machine.path('/run/culvert/metrics.sock')}")[0] == 200


# --- what its first lines offer for a drop-in ----------------------------------------------------------------------


def test_a_group_may_use_the_control_socket(service):
    service.adapt("[Service]\nGroup=adm\n")
    service.run("systemctl", "start", "culvertd")
    status = ["setpriv", "--reuid=nobody", "--clear-groups"]
    service.run(*status, "--regid=adm", "culvertctl", "status")
    assert service.try_run(*status, "--regid=nogroup", "culvertctl", "status").returncode == 3


def test_another_user(service, flow):
    """mail stands for a user made for culvertd."""
    service.adapt("[Service]\nUser=mail\nAmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW\n" + QUICK.split("\n", 1)[1])
    service.run("chown", "-R", "mail:", "/etc/culvert")
    service.run("systemctl", "start", "culvertd")
    assert "mail" in service.run(f"stat -c %U /proc/{service.show('MainPID')}")
    flow()
    service.run("culvertctl", "mode", "l2tp", "block")
    service.run("systemctl", "reload", "culvertd")
    service.run("systemctl", "kill", "-s", "KILL", "culvertd")
    wait_for_restart(service)
    flow()
    service.run("systemctl", "stop", "culvertd")
    assert service.show("Result") == "success"
    service.run("chown", "-R", "root:", "/etc/culvert")


def test_a_log_file(service):
    service.configure({"log": {"target": "/var/log/culvert/culvertd.log"}})
    assert service.try_run("systemctl", "start", "culvertd").returncode != 0
    service.adapt("[Service]\nLogsDirectory=culvert\n")
    service.run("systemctl", "start", "culvertd")
    assert "forwarding lan0 -> wan0" in service.run("cat", "/var/log/culvert/culvertd.log")


def test_a_control_socket_elsewhere(service):
    service.configure({"control": {"socket": "/run/culvert/other.sock"}})
    service.adapt("[Service]\nExecReload=\nExecReload=/usr/bin/culvertctl --socket /run/culvert/other.sock reload\n")
    service.run("systemctl", "start", "culvertd")
    service.run("systemctl", "reload", "culvertd")
