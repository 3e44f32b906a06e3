# SPDX-License-Identifier: BSD-2-Clause
"""The journal of what culvert has changed in the kernel: private, and believed only if it is culvert's own."""
import os

import pytest

from kernel_util import assert_same
from namespace import read_state


def journal_of(place):
    (name,) = os.listdir(place.state)
    return place.state / name


def test_the_journal_is_private(place):
    probe = place.start()
    assert journal_of(place).stat().st_mode & 0o777 == 0o600
    probe.stop()


@pytest.mark.parametrize(
    "line",
    [
        "sysctl -w kernel.core_pattern='1' # was '|/tmp/x'",
        "sysctl -w net.ipv4.conf.lan0.forwarding='1' # was '|/tmp/x'",
        "sysctl -w net.ipv4.conf.....kernel.panic.forwarding='1' # was '0'",
        "sysctl -w net.ipv4.conf.lan0.forwarding='1'",
        "ip rule add pref 32766 lookup main protocol 202",
        "ip rule add pref 106 lookup local",
        "ip rule del pref 32766 lookup main",
        "ip rule add pref 106  lookup local protocol 202",
        "ip route add default dev wan0 metric 0 table 254 proto 202",
        "ip address add 10.77.0.1/24 dev lan0",
        "ip link set dev ../../x mtu 1500 up # was mtu 1500 down",
        "ip link set dev wan0 mtu 1500 down",
        "rm -rf /",
        "",
        "x" * 5000,
        "ip " * 2000,
    ],
)
def test_a_journal_that_culvert_did_not_write_is_refused(place, line):
    place.start().kill()
    path = journal_of(place)
    crashed = read_state(place.R)
    good = path.read_text()
    path.write_text(good + line + "\n")
    for arguments in (["cleanup"], ["--lan", "lan0"]):
        done = place.run(*arguments)
        assert done.returncode == 5 and "not a journal that culvert has written" in done.stderr, done.stderr
        assert f"line {len(good.splitlines()) + 1}" in done.stderr
    assert path.read_text() == good + line + "\n", "left for people to look at"
    assert_same(crashed, place)


def test_a_journal_that_is_cut_a_link_or_foreign_is_refused(place):
    place.start().kill()
    path = journal_of(place)
    good = path.read_text()
    cases = [
        lambda: path.write_text(good[:-10]),
        lambda: path.write_text("nonsense\n"),
        lambda: path.write_bytes(b"\0" * 100),
        lambda: path.write_bytes(good.encode() + b"\0\n"),
        lambda: path.write_text(good + "#" * (1 << 20)),
        lambda: (path.write_text(good), path.chmod(0o666)),
        lambda: (
            path.unlink(),
            (place.folder / "elsewhere").write_text(good),
            path.symlink_to(place.folder / "elsewhere"),
        ),
        lambda: (path.unlink(), os.mkfifo(path)),
        lambda: (path.unlink(), path.mkdir()),
    ]
    for number, spoil in enumerate(cases):
        spoil()
        done = place.run("cleanup")
        assert (
            done.returncode == 5 and "not a journal that culvert has written" in done.stderr
        ), f"case {number}: {done.stderr}"
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        path.write_text(good)
        path.chmod(0o600)
    assert place.run("cleanup").returncode == 0


def test_a_journal_from_before_the_boot_is_dropped(place):
    before = read_state(place.R)
    probe = place.start()
    path = journal_of(place)
    text = path.read_text().replace(open("/proc/sys/kernel/random/boot_id", encoding="ascii").read().strip(), "0" * 36)
    probe.stop()
    path.write_text(text)
    done = place.run("cleanup")
    assert done.returncode == 0 and "from before the machine was started" in done.stderr, done.stderr
    assert_same(before, place)
