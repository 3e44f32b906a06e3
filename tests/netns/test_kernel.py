# SPDX-License-Identifier: BSD-2-Clause
"""What culvert does to the kernel's configuration: made whole, taken back whole, whatever happens in between."""
import os
import re
import shutil
import socket
import subprocess

import pytest

from kernel_util import HOP, ROUTER_WAN, TABLE, Place, assert_same, find_probe, rules
from lab import wait_for
from namespace import LIMIT, compare_states, read_state


def test_undo_leaves_everything_as_it_was(place):
    before = read_state(place.R)
    probe = place.start("--tcp", "22", "--udp", "53")
    during = compare_states(before, read_state(place.R))
    assert any("ip rule" in line for line in during) and any("ip addr" in line for line in during)
    assert probe.stop() == 0
    assert_same(before, place)
    assert os.listdir(place.state) == []


def test_old_values_come_back_whatever_they_were(place):
    for key, value in (
        ("net/ipv4/ip_forward", 1),
        ("net/ipv4/conf/lan0/rp_filter", 2),
        ("net/ipv4/conf/wan0/forwarding", 1),
        ("net/ipv4/ip_local_reserved_ports", "2000-2010,64600"),
        ("net/ipv4/icmp_errors_use_inbound_ifaddr", 1),
    ):
        place.R.set_sysctl(key, value)
    place.R.set_sysctl("net/ipv4/ip_local_port_range", "30000 40000")
    before = read_state(place.R)
    probe = place.start()
    assert place.R.read_sysctl("net/ipv4/ip_local_reserved_ports") == "1024-64511,64600"
    assert place.R.read_sysctl("net/ipv4/ip_forward") == "1", "a container's choice is kept"
    assert place.R.read_sysctl("net/ipv4/conf/wan0/forwarding") == "0"
    assert place.R.read_sysctl("net/ipv4/conf/lan0/rp_filter") == "2", "a reverse path filter that was chosen is kept"
    assert probe.stop() == 0
    assert_same(before, place)


def test_a_failure_at_any_step_undoes_the_steps_before(place):
    before = read_state(place.R)
    done = place.run("--lan", "lan0", "plan")
    steps = len(done.stdout.splitlines())
    assert done.returncode == 0 and steps > 270, done.stderr
    # every step but the long row of like ones in the middle
    numbers = [*range(1, 35), 150, *range(steps - 12, steps + 1)]
    failed = 0
    for number in numbers:
        done = place.run("--lan", "lan0", "--fail", str(number))
        assert done.returncode in (0, 4), done.stderr
        if done.returncode:
            assert "Input/output error" in done.stderr, done.stderr
            failed += 1
        else:
            assert "goes without" in done.stderr or "Input/output error" not in done.stderr
        assert_same(before, place)
        assert os.listdir(place.state) == [], f"step {number}"
    assert failed >= len(numbers) - 8, "but for the optional ones, every step matters"


def test_the_dry_run_is_what_is_done(place):
    """Typing what --dry-run prints gives the same rules, routes and settings as a start."""
    done = place.run("--lan", "lan0", "--tcp", "22,443", "plan")
    assert done.returncode == 0, done.stderr
    before = read_state(place.R)
    probe = place.start("--tcp", "22,443")
    wanted = read_state(place.R)
    assert len(wanted["ip rule"]) == done.stdout.count("ip rule add") + 2, "the kernel has each of them"
    assert probe.stop() == 0
    assert_same(before, place)
    script = place.folder / "plan.sh"
    script.write_text("set -e\n" + done.stdout)
    # ip and sysctl are run as they stand there
    place.R.run("sh", str(script), timeout=60)
    typed = read_state(place.R)
    for key in ("ip rule", "ip route show table all"):
        for entry in typed[key] + wanted[key]:
            entry.pop("flags", None)  # nobody holds the typed TUN, so it has no carrier
        assert sorted(map(str, typed[key])) == sorted(map(str, wanted[key])), key
    differences = [
        key for key in wanted if key.startswith("/proc/sys") and "/ipv4/" in key and wanted[key] != typed.get(key)
    ]
    assert not differences
    assert HOP in str(typed["ip addr"])
    place.R.ip("link delete cv0")


def test_kill_leaves_the_guard_and_the_next_start_takes_over(place):
    before = read_state(place.R)
    probe = place.start("--tcp", "22")
    running = rules(place)
    probe.kill()
    assert rules(place) == running
    assert "unreachable" in str(place.R.ip_json("route", "show", "table", TABLE))
    probe = place.start("--tcp", "22,80")
    assert "this one takes them over" in probe.log()
    assert len(rules(place)) == len(running) + 2, "a rule from the WAN and one from the LAN for the port, none twice"
    assert probe.stop() == 0
    assert_same(before, place)


def test_another_configuration_after_kill_removes_what_is_no_longer_wanted(place):
    before = read_state(place.R)
    place.start("--tcp", "22,80,443", "--tun", "cv7").kill()
    probe = place.start("--tun", "cv0")
    assert "cv7" not in str(rules(place)) and not any("cv7" in str(rule) for rule in place.R.ip_json("rule"))
    assert probe.stop() == 0
    assert_same(before, place)


def test_cleanup_after_kill(place):
    before = read_state(place.R)
    place.start().kill()
    done = place.run("cleanup")
    assert done.returncode == 0 and "undid the" in done.stderr, done.stderr
    assert_same(before, place)
    again = place.run("cleanup")
    assert again.returncode == 0 and "nothing to clean up" in again.stderr


@pytest.mark.parametrize("directory", ["empty", "gone"])
def test_cleanup_without_the_journal_removes_the_rules(place, directory):
    before = read_state(place.R)
    place.start().kill()
    shutil.rmtree(place.state)
    if directory == "empty":
        place.state.mkdir()
    done = place.run("cleanup")
    assert done.returncode == 0 and "no journal" in done.stderr, done.stderr
    after = read_state(place.R)
    for key in ("ip rule", "ip route show table all", "ip link", "ip addr"):
        assert before[key] == after[key]


def test_a_second_daemon_is_refused_and_told_who_holds_the_lock(place):
    probe = place.start()
    running = rules(place)
    done = place.run("--lan", "lan0", "--tun", "cv1", "--state-dir", str(place.folder / "elsewhere"))
    assert done.returncode == 4
    assert f"process {probe.process.pid}" in done.stderr, done.stderr
    assert rules(place) == running
    done = place.run("cleanup")
    assert done.returncode == 4 and f"process {probe.process.pid}" in done.stderr
    assert rules(place) == running
    # those who asked do not wear the lock out
    for _ in range(40):
        done = place.run("cleanup")
    assert f"process {probe.process.pid}" in done.stderr
    assert probe.ask("refresh") == "refreshed"
    assert probe.stop() == 0


def test_two_namespaces_do_not_hinder_each_other(place):
    other = Place("kern2")
    try:
        place.state.mkdir()
        other.state.symlink_to(place.state)  # even with one state directory
        first, second = place.start(), other.start()
        assert len(os.listdir(place.state)) == 2
        assert first.stop() == 0 and second.stop() == 0
    finally:
        other.close()


@pytest.mark.parametrize(
    "prepare, options, code, words",
    [
        ([], ["--lan", "lan9"], 4, ["LAN device lan9 does not exist", "lan0, wan0"]),
        ([], ["--lan", "lan0", "--wan", "wan9"], 4, ["WAN device wan9 does not exist", "lan0, wan0"]),
        ([], ["--lan", "wan0"], 4, ["the default route leads to wan0, which is the LAN"]),
        (["route delete default"], ["--lan", "lan0"], 4, ["no default route", "--wan"]),
        (["address flush dev lan0"], ["--lan", "lan0"], 4, ["lan0 has no IPv4 address", "ip address add"]),
        (["address add 10.77.0.200/28 dev wan0"], ["--lan", "lan0"], 4, ["10.77.0.0/24", "10.77.0.200/28", "overlap"]),
    ],
)
def test_what_can_not_work_is_refused_with_a_reason(place, prepare, options, code, words):
    place.R.ip(*prepare) if prepare else None
    before = read_state(place.R)
    done = place.run(*options)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert_same(before, place)


def run_without_the_capability(place, action):
    take_away = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--")
    return subprocess.run(
        place.R.command(*take_away, find_probe(), "--lan", "lan0", "--state-dir", place.state, action),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_the_capability(place):
    before = read_state(place.R)
    done = run_without_the_capability(place, "cleanup")
    assert done.returncode == 3 and "CAP_NET_ADMIN" in done.stderr, done.stderr
    plan = run_without_the_capability(place, "plan")
    assert plan.returncode == 0 and "ip rule del pref 0" in plan.stdout, "a dry run needs no rights"
    assert_same(before, place)


def test_read_only_sysctls(place):
    """As in a container: what is needed and not so yet is named, all of it; once the container has it, culvert runs,
    and says nothing of what it does not need."""
    place.R.set_sysctl("net/ipv4/ip_forward", 0)
    script = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"'
    words = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        find_probe(),
        "--lan",
        "lan0",
        "--state-dir",
        str(place.state),
    ]
    before = read_state(place.R)
    done = place.R.run(*words, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 4 and "/proc/sys is read-only" in done.stderr, done.stderr
    assert_same(before, place)
    settings = re.findall(r" --sysctl (\S+)=(\d+)", done.stderr)
    assert len(settings) == len(set(settings)) == 4, done.stderr
    for name, value in settings:
        place.R.set_sysctl(name.replace(".", "/"), value)
    before = read_state(place.R)
    done = place.R.run(*words, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "ready" in done.stdout, done.stderr
    assert "goes without" not in done.stderr, done.stderr
    name, value = re.search(r'cannot be set here.* --sysctl (\S+)="([^"]+)"', done.stderr).groups()
    assert_same(before, place)
    place.R.set_sysctl(name.replace(".", "/"), value)
    before = read_state(place.R)
    done = place.R.run(*words, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and name not in done.stderr, done.stderr
    assert_same(before, place)


def test_rules_of_others_that_come_first_are_pointed_out(place):
    place.R.ip("rule add pref 50 from 10.77.0.5 lookup main", "rule add pref 200 from 10.77.0.5 lookup main")
    before = read_state(place.R)
    probe = place.start()
    assert "a rule that is not culvert's has preference 50" in probe.log() and "preference 200" not in probe.log()
    assert probe.stop() == 0
    assert_same(before, place)


# --- others who change things, too --------------------------------------------------------------------------------


def test_what_somebody_else_changed_is_left_alone_at_the_end(place):
    before = read_state(place.R)
    probe = place.start()
    place.R.set_sysctl("net/ipv4/ip_local_port_range", "40000 50000")
    assert probe.stop() == 0
    assert "somebody else has changed it" in probe.log()
    differences = compare_states(before, read_state(place.R))
    assert len(differences) == 1 and "ip_local_port_range" in differences[0] and "40000" in differences[0]


def test_rules_removed_behind_our_back_come_back(place):
    before = read_state(place.R)
    probe = place.start("--tcp", "22")
    running = rules(place)
    place.R.ip("rule delete pref 107", "rule delete pref 109")
    assert probe.ask("refresh") == "refreshed"
    assert sorted(map(str, rules(place))) == sorted(map(str, running))
    assert "done again" in probe.log()
    place.R.ip("rule flush")
    assert probe.ask("refresh") == "refreshed"
    assert [rule for rule in rules(place) if rule[0] < 32766] and sorted(map(str, rules(place))) >= sorted(
        map(str, [rule for rule in running if rule[0] < 32766])
    )
    place.R.ip("rule add pref 0 lookup local")
    wait_for(
        lambda: not any(rule[0] == 0 for rule in (probe.ask("refresh"), rules(place))[1]), "preference 0 removed again"
    )
    place.R.ip(f"route flush table {TABLE}")
    place.R.set_sysctl("net/ipv4/conf/lan0/forwarding", 0)
    assert probe.ask("refresh") == "refreshed"
    assert len(place.R.ip_json("route", "show", "table", TABLE)) == 2
    assert place.R.read_sysctl("net/ipv4/conf/lan0/forwarding") == "1"
    # iproute2 flushes the two rules of the system with ours
    have = {rule[0] for rule in rules(place)}
    place.R.ip(
        *(
            f"rule add pref {pref} lookup {table}"
            for pref, table in ((32766, "main"), (32767, "default"))
            if pref not in have
        )
    )
    assert probe.stop() == 0
    after = read_state(place.R)
    for state in (before, after):
        state["ip rule"] = [
            {key: value for key, value in rule.items() if key != "protocol"} for rule in state["ip rule"]
        ]
    assert not compare_states(before, after)


@pytest.mark.parametrize(
    "command",
    [
        "rule delete pref 107",
        "rule add pref 0 lookup local",
        f"route delete default dev cv0 table {TABLE}",
        "address delete 192.0.0.8/32 dev cv0",
        "link set cv0 mtu 1300",
    ],
)
def test_what_somebody_undoes_is_done_again_at_once(place, command):
    """The kernel says so: nobody has to look."""
    probe = place.start()

    def state():
        shown = (place.R.ip_json("rule"), place.R.ip_json("route", "show", "table", TABLE))
        device = place.R.ip_json("address", "show", "dev", "cv0")[0]
        return sorted(map(str, shown[0])), sorted(map(str, shown[1])), str(device["addr_info"]), device["mtu"]

    running = state()
    place.R.ip(command)
    wait_for(lambda: state() == running, "as it was", 1)
    assert "done again" in probe.log()
    assert probe.stop() == 0


# --- the router's own ports ---------------------------------------------------------------------------------------


def test_ports_in_use_at_start_stay_the_routers_own(place):
    everywhere = place.R.socket(socket.AF_INET, socket.SOCK_STREAM)
    everywhere.bind(("0.0.0.0", 2022))
    everywhere.listen()
    six = place.R.socket(socket.AF_INET6, socket.SOCK_STREAM)
    six.bind(("::", 2023))
    six.listen()
    loopback = place.R.socket(socket.AF_INET, socket.SOCK_STREAM)
    loopback.bind(("127.0.0.1", 2024))
    loopback.listen()
    lan = place.R.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lan.bind(("10.77.0.1", 2025))
    wan = place.R.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wan.bind((ROUTER_WAN, 2026))
    upstream = place.X.socket(socket.AF_INET, socket.SOCK_STREAM)
    upstream.bind(("198.51.100.1", 8000))
    upstream.listen()
    own = place.R.socket(socket.AF_INET, socket.SOCK_STREAM)
    own.connect(("198.51.100.1", 8000))
    session, (_, port) = upstream.accept()
    probe = place.start("--tcp", "9000")
    links = probe.links()
    tcp, udp = set(links["tcp"]), set(links["udp"])
    assert {9000, 2022, 2023, port, 64512, 65534} <= tcp and not {2024, 2025, 2026, 1024, 65535} & tcp
    assert {2026, 68, 64512} <= udp and not {2025, 2022} & udp
    assert {9000, 64512} <= set(links["open_tcp"]) and not {2022, 2023, port} & set(links["open_tcp"])
    assert "TCP 2022-2023, UDP 2026: in use by the router itself; not reachable from the WAN" in probe.log()
    assert links["kept"] == 1
    # the session that was there goes on, and new ones come from the router's own range
    own.sendall(b"still here")
    session.settimeout(LIMIT)
    assert session.recv(100) == b"still here"
    another = place.R.socket(socket.AF_INET, socket.SOCK_STREAM)
    another.settimeout(LIMIT)
    another.connect(("198.51.100.1", 8000))
    assert 64512 <= another.getsockname()[1] <= 65534
    for sock in (everywhere, six, loopback, lan, wan, upstream, own, session, another):
        sock.close()
    assert probe.stop() == 0


@pytest.mark.parametrize("option", [(), ("--auto",), ("--tcp", "2022")])
def test_the_kernel_hears_callers_where_it_is_open(place, option):
    """What listened before the start, or is named and listens later; and the plan that --dry-run prints is the same."""

    def listen():
        server = place.R.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", 2022))
        server.listen()
        return server

    def is_answered():
        with place.X.socket(socket.AF_INET, socket.SOCK_STREAM) as visitor:
            visitor.settimeout(LIMIT if option else 0.2)
            try:
                visitor.connect((ROUTER_WAN, 2022))
            except TimeoutError:
                return False
            return True

    with listen():
        probe = place.start(*option)
        assert is_answered() == bool(option)
    with listen():
        assert is_answered() == bool(option)
    assert probe.stop() == 0


def test_a_range_of_ports_that_somebody_sets_later_is_the_routers(place):
    probe = place.start()
    place.R.set_sysctl("net/ipv4/ip_local_port_range", "40000 40099")
    for _ in range(2):  # every other one looks at it
        probe.ask("refresh")
    assert {40000, 40099} <= set(probe.links()["tcp"]) and 64512 not in probe.links()["tcp"]
    assert any(rule.get("dport_start") == 40000 for rule in place.R.ip_json("rule"))
    assert probe.stop() == 0
