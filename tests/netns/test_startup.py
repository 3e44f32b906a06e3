# SPDX-License-Identifier: BSD-2-Clause
"""What culvertd says and which code it exits with when it cannot start, and the actions that start nothing."""
import contextlib
import os
import subprocess

import pytest

from lab import ROUTER_WAN, UPSTREAM, wait_for
from namespace import compare_states, read_state

pytestmark = [pytest.mark.culvert_only("culvertd's own command line")]


@contextlib.contextmanager
def nothing_changes(lab):
    before = read_state(lab.R)
    yield
    differences = compare_states(before, read_state(lab.R))
    assert not differences, "\n".join(differences)


def refused(lab, done, code, *words):
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    for word in words:
        assert word in done.stderr, f"{word!r} is missing in: {done.stderr}"


def test_bad_configuration_starts_nothing(lab, daemon):
    """Exit 2; every error with file and line, and how many there were; nothing is changed."""
    with nothing_changes(lab):
        done = daemon.run(
            "-f",
            text="[lan]\ninterface = lan0\ncolour = red\n[nat]\nmapping = sometimes\n[forward:x]\nprotocol = tcp\n",
        )
    refused(lab, done, 2, "culvert.ini:3", "culvert.ini:5", "colour", "sometimes")


@pytest.mark.parametrize(
    "text,word",
    [
        ("[lan]\ninterface = lan0\n[nat]\nfiltring = endpoint-independent\n", "filtering"),
        ("[lan]\ninterface = lan0\n[timeouts]\nudp = 10\n", "120"),
        ("[lan]\ninterface = an-interface-name-too-long\n", "interface"),
        ("[lan]\n", "interface"),
        (
            "[lan]\ninterface = lan0\n[forward:a]\nprotocol = tcp\nport = 80\nto = 10.77.0.11\n"
            "[forward:b]\nprotocol = tcp\nport = 70-90\nto = 10.77.0.12\n",
            "80",
        ),
    ],
    ids=["misspelt", "below-floor", "long-name", "no-lan", "overlapping-forwards"],
)
def test_adv_86_configuration_errors_name_the_cure(lab, daemon, text, word):
    with nothing_changes(lab):
        done = daemon.run("--check", text=text)
    refused(lab, done, 2, word)


def test_drop_ins_are_part_of_the_configuration(lab, daemon):
    folder = daemon.folder / "culvert.d"
    folder.mkdir()
    (folder / "10-a.ini").write_text("[timeouts]\nudp = 777\n")
    done = daemon.run("--print-config", text="[lan]\ninterface = lan0\n[timeouts]\nudp = 200\n")
    assert done.returncode == 0 and "\nudp = 777\n" in done.stdout
    (folder / "20-b.ini").write_text("[timeouts]\n\nudp = 7\n")
    with nothing_changes(lab):
        done = daemon.run("--check")
    refused(lab, done, 2, f"{folder}/20-b.ini:3: udp = 7: ")


def test_no_configuration_file(lab, daemon):
    daemon.config_file.unlink()
    with nothing_changes(lab):
        refused(lab, daemon.run("-f"), 2, str(daemon.config_file))
        refused(lab, daemon.run("--check"), 2, str(daemon.config_file))


def test_no_configuration_and_no_lan(lab, daemon):
    """The file that is not there is not blamed."""
    script = 'mkdir -p /etc/culvert; mount -t tmpfs none /etc/culvert && exec "$0"'
    done = daemon.run(command=["unshare", "--mount", "sh", "-c", script, daemon.program])
    refused(lab, done, 2, "culvertd: the LAN device is missing: there is no /", "give --lan DEVICE, or make that file")


def test_check_says_good(lab, daemon):
    with nothing_changes(lab):
        done = daemon.run("--check")
    assert done.returncode == 0 and not daemon.state_dir.exists(), (done.stdout, done.stderr)


def test_unknown_option_is_a_usage_error(lab, daemon):
    refused(lab, daemon.run("--colour"), 1, "colour")


def test_dry_run_prints_and_changes_nothing(lab, daemon):
    """The commands a person would type, and no trace of them."""
    with nothing_changes(lab):
        done = daemon.run("--dry-run")
    assert done.returncode == 0, done.stderr
    for word in ("ip rule add", "ip route add", "blackhole", "sysctl", "lan0", "wan0", ROUTER_WAN):
        assert word in done.stdout, f"{word!r} is missing in:\n{done.stdout}"


def test_dry_run_tells_what_the_start_does(lab, daemon):
    """Every rule the plan names is there once the daemon runs."""
    plan = daemon.run("--dry-run").stdout
    planned = {
        line.split("pref")[1].split()[0]
        for line in plan.splitlines()
        if line.startswith("ip rule add") and "pref" in line
    }
    daemon.start()
    there = {str(rule["priority"]) for rule in lab.R.ip_json("rule")}
    daemon.stop()
    assert planned and planned <= there, (planned, there)


@pytest.mark.parametrize("side", ["lan", "wan"])
def test_missing_device(lab, daemon, side):
    with nothing_changes(lab):
        refused(lab, daemon.run("-f", sections={side: {"interface": "nosuch0"}}), 4, "nosuch0")


def test_lan_and_wan_are_one_device(lab, daemon):
    """What the file says is blamed on the file, what the command line says is not."""
    with nothing_changes(lab):
        done = daemon.run("-f", sections={"wan": {"interface": "lan0"}})
        refused(lab, done, 2, f"{daemon.config_file}:", "lan0 is the device of both LAN and WAN")
        done = daemon.run("-f", "--lan", "lan0", "--wan", "lan0", text="[lan]\ninterface = lan0\n")
        refused(lab, done, 2, "culvertd: lan0 is the device of both LAN and WAN", "--wan DEVICE")
        assert str(daemon.config_file) not in done.stderr, done.stderr


@pytest.mark.parametrize("named", [False, True])
def test_lan_and_wan_that_look_swapped(lab, daemon, named):
    """The default route leads to the LAN device, and none to the WAN."""
    lab.R.ip("route del default", "route add default via 10.77.0.11")
    try:
        daemon.configure(text="[lan]\ninterface = lan0\n" + ("[wan]\ninterface = wan0\n" if named else ""))
        with nothing_changes(lab):
            refused(lab, daemon.run("-f"), 4, "swapped", "the default route leads to lan0, which is the LAN")
            refused(lab, daemon.run("--dry-run"), 4, "swapped")
        lab.R.ip(f"route add default via {UPSTREAM} metric 5")
        if named:
            daemon.launch()
            daemon.wait_for("forwarding lan0")
            daemon.wait_for("the LAN device lan0 has a default route; packets of the router itself may leave there")
            daemon.stop()
    finally:
        lab.R.ip("route flush table main exact 0/0", f"route add default via {UPSTREAM}")


def test_two_halves_are_a_default_route(lab, daemon):
    """0/1 and 128/1 by the WAN, as VPN clients and scripts write it; it is not said later, either."""
    halves = [f"{half} via {UPSTREAM}" for half in ("0.0.0.0/1", "128.0.0.0/1")]
    lab.R.ip("route replace default via 10.77.0.11", *(f"route add {half}" for half in halves))
    try:
        daemon.start(sections={"wan": {"interface": "wan0"}})
        lab.R.ip(*(f"route del {half}" for half in halves))
        daemon.wait_for("wan0 has no default route; ")
        assert "swapped: " not in daemon.log() and "look swapped" not in daemon.log()
        daemon.stop()
    finally:
        lab.R.ip("route flush table main exact 0/0", f"route add default via {UPSTREAM}")


def test_a_wan_that_waits_for_its_lease_is_not_swapped(lab, daemon):
    """At boot it has neither address nor route, while the LAN has a default route that somebody has forgotten."""
    lab.R.ip(f"address del {ROUTER_WAN}/24 dev wan0", "route replace default via 10.77.0.11")
    try:
        daemon.configure(text="[lan]\ninterface = lan0\n[wan]\ninterface = wan0\n")
        daemon.launch()
        daemon.wait_for("forwarding lan0")
        daemon.wait_for("the LAN device lan0 has a default route; ")
        lab.R.ip(f"address add {ROUTER_WAN}/24 dev wan0", f"route add default via {UPSTREAM} metric 5")
        daemon.wait_for(f"wan0: up, MTU 1500, addresses {ROUTER_WAN}")
        daemon.stop()
    finally:
        lab.R.ip(f"address replace {ROUTER_WAN}/24 dev wan0", "route flush table main exact 0/0",
                 f"route add default via {UPSTREAM}")


def test_the_loopback_is_no_lan(lab, daemon):
    with nothing_changes(lab):
        refused(lab, daemon.run("-f", "--lan", "lo"), 2, "--lan lo: is the loopback device")


def test_the_second_start_is_told_of_the_first(lab, daemon):
    """One sentence, whether or not they share the state directory."""
    daemon.start()
    for words in ((), ("--state-dir", str(daemon.folder / "other"))):
        done = daemon.run("-f", *words)
        refused(lab, done, 4, "culvertd already runs in this network namespace, as process")
        assert len(done.stderr.splitlines()) == 1, done.stderr
    daemon.stop()


def test_the_first_process_of_a_container_stays_in_the_foreground(lab, daemon):
    words = ["nsenter", f"--net={lab.R.path}", "unshare", "--pid", "--fork", *inside_namespace(daemon)]
    with nothing_changes(lab):
        refused(lab, daemon.run(command=words), 1, "first process of this container", "add -f")


def test_no_default_route_and_no_wan_named(lab, daemon):
    lab.R.ip("route del default")
    try:
        with nothing_changes(lab):
            refused(lab, daemon.run("-f", text="[lan]\ninterface = lan0\n"), 4, "default route")
    finally:
        lab.R.ip(f"route add default via {UPSTREAM}")


def test_the_default_route_tells_the_wan(lab, daemon):
    daemon.configure(text="[lan]\ninterface = lan0\n")
    daemon.launch()
    daemon.wait_for("forward")
    with lab.udp("L1") as client, lab.udp("W1", port=3900) as server:
        assert lab.echo_once(client, server)[0] == ROUTER_WAN
    daemon.stop()


def test_no_address_on_the_lan(lab, daemon):
    lab.R.ip("address del 10.77.0.1/24 dev lan0")
    try:
        with nothing_changes(lab):
            refused(lab, daemon.run("-f"), 4, "lan0", "address")
    finally:
        lab.R.ip("address add 10.77.0.1/24 dev lan0")


def test_rfc4787_req7_wan_inside_the_lan_prefix(lab, daemon):
    """The WAN hands out an address of the LAN's own network: refused, and said why."""
    lab.R.ip("address add 10.77.0.200/24 dev wan0")
    try:
        with nothing_changes(lab):
            done = daemon.run("-f")
            refused(lab, done, 4, "10.77.0")
    finally:
        lab.R.ip("address del 10.77.0.200/24 dev wan0")


@pytest.mark.parametrize("capability", ["net_admin", "net_raw"])
def test_missing_capability(lab, daemon, capability):
    with nothing_changes(lab):
        done = daemon.run(
            command=[
                "nsenter",
                f"--net={lab.R.path}",
                "setpriv",
                f"--bounding-set=-{capability}",
                "--inh-caps=-all",
                *inside_namespace(daemon, "-f"),
            ]
        )
    refused(lab, done, 3, f"CAP_{capability.upper()}")


def inside_namespace(daemon, *options):
    """nsenter first, so that only culvertd itself lacks the right."""
    words = daemon.command(*options)
    return words[words.index(daemon.program) :]


@pytest.mark.parametrize("user", [65534])
def test_not_root(lab, daemon, user):
    daemon.folder.chmod(0o777)
    with nothing_changes(lab):
        done = daemon.run(
            command=[
                "nsenter",
                f"--net={lab.R.path}",
                "setpriv",
                f"--reuid={user}",
                f"--regid={user}",
                "--clear-groups",
                *inside_namespace(daemon, "-f"),
            ]
        )
    refused(lab, done, 3, "CAP_NET_ADMIN", "CAP_NET_RAW")


def test_no_tun_device_node(lab, daemon):
    script = 'mount -t tmpfs none /dev/net && exec "$@"'
    with nothing_changes(lab):
        done = daemon.run(
            command=[
                "nsenter",
                f"--net={lab.R.path}",
                "unshare",
                "-m",
                "sh",
                "-c",
                script,
                "sh",
                *inside_namespace(daemon, "-f"),
            ]
        )
    refused(lab, done, 3, "/dev/net/tun", "tun")


def test_the_tuns_name_is_taken(lab, daemon):
    lab.R.ip("link add cv0 type veth peer name cv0peer")
    try:
        with nothing_changes(lab):
            refused(lab, daemon.run("-f"), 4, "cv0")
    finally:
        lab.R.ip("link del cv0")


def test_state_directory_that_can_not_be(lab, daemon):
    daemon.state_dir.write_text("a file is in the way")
    with nothing_changes(lab):
        refused(lab, daemon.run("-f"), 5, str(daemon.state_dir))


def test_sysctls_that_can_not_be_written(lab, daemon):
    """A container with /proc/sys read-only, where nothing was set before: refused, and nothing is left behind."""
    script = 'mount -o bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"'
    before = read_state(lab.R)
    command = [
        "nsenter",
        f"--net={lab.R.path}",
        "unshare",
        "-m",
        "sh",
        "-c",
        script,
        "sh",
        *inside_namespace(daemon, "-f"),
    ]
    done = None
    try:
        done = daemon.run(command=command)
    except subprocess.TimeoutExpired:
        pytest.fail("culvertd started although the kernel cannot be told to forward packets")
    assert done.returncode in (3, 4) and "/proc/sys is read-only" in done.stderr, (done.returncode, done.stderr)
    assert "--sysctl net.ipv4.conf.default.rp_filter=2" in done.stderr, done.stderr
    assert not compare_states(before, read_state(lab.R))


def test_print_config_reads_back(lab, daemon):
    daemon.configure(
        {
            "nat": {"filtering": "endpoint-independent"},
            "forward:web": {"protocol": "tcp", "port": "80-81", "to": "10.77.0.11:8080"},
        }
    )
    first = daemon.run("--print-config")
    assert first.returncode == 0 and "endpoint-independent" in first.stdout
    daemon.configure(text=first.stdout)
    assert daemon.run("--print-config").stdout == first.stdout


def test_version(lab, daemon):
    done = daemon.run("--version")
    assert done.returncode == 0 and done.stdout.startswith("culvertd ")
    assert os.path.basename(daemon.program) == "culvertd"


def test_without_standard_files(lab, daemon):
    """Messages must not go to what was opened in their place."""
    daemon.configure({})
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *daemon.command("-f")]
    daemon.process = subprocess.Popen(command)
    wait_for(lambda: not daemon.alive() or (daemon.state_dir / "control.sock").exists(), "the control socket")
    assert daemon.alive()
    files = [os.readlink(f"/proc/{daemon.process.pid}/fd/{number}") for number in range(3)]
    assert files == ["/dev/null"] * 3, files
