# SPDX-License-Identifier: BSD-2-Clause
"""What a running culvertd may still do, and that it can do with that everything it must."""
import os
import pathlib
import pwd
import signal
import subprocess

import pytest

from lab import wait_for
from namespace import compare_states, read_state

pytestmark = [pytest.mark.culvert_only("culvertd's own rights")]

NET_ADMIN_AND_RAW = (1 << 12) | (1 << 13)


def read_status(pid, proc="/proc"):
    lines = pathlib.Path(f"{proc}/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def has_feature(program, name):
    done = subprocess.run([program, "--version", "-v"], capture_output=True, text=True, check=True, timeout=10)
    return f"{name}: yes" in done.stdout


def require_capability_dropping(daemon):
    if not has_feature(daemon.program, "libcap-ng"):
        pytest.skip("this culvertd was built without libcap-ng")


@pytest.mark.parametrize("user", [None, "nobody"])
def test_only_two_capabilities_are_left(lab, daemon, user):
    require_capability_dropping(daemon)
    daemon.start({}, *(["--user", user] if user else []))
    status = read_status(daemon.process.pid)
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == NET_ADMIN_AND_RAW
    assert int(status["CapInh"], 16) == int(status["CapBnd"], 16) == int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    if user:
        entry = pwd.getpwnam(user)
        assert status["Uid"].split() == [str(entry.pw_uid)] * 4
        assert status["Gid"].split() == [str(entry.pw_gid)] * 4
        assert status["Groups"].strip() in ("", str(entry.pw_gid))
    daemon.stop()


def test_system_calls_are_filtered(lab, daemon):
    if not has_feature(daemon.program, "libseccomp"):
        pytest.skip("this culvertd was built without libseccomp, or with the address sanitizer")
    daemon.start()
    assert read_status(daemon.process.pid)["Seccomp"] == "2"
    daemon.stop()


@pytest.mark.parametrize("user", [None, "nobody"])
def test_life_with_few_rights(lab, daemon, user):
    """The carrier of the WAN goes and comes back, addresses change, the log moves, the file is read again; the stop
    undoes everything. Nothing of that is refused."""
    require_capability_dropping(daemon)
    before = read_state(lab.R)
    log = daemon.folder / "culvert.log"
    daemon.configure({"log": {"target": str(log)}})
    daemon.launch(*(["--user", user] if user else []))
    daemon.log_file = log
    wait_for_file(daemon, log)
    daemon.wait_for(r"forward")
    if user:
        folder = pwd.getpwnam(user)
        os.chown(daemon.folder, folder.pw_uid, folder.pw_gid)  # where the log moves

    mark = daemon.mark()
    lab.R.ip("address add 198.51.100.77/24 dev wan0")
    daemon.wait_for(r"198\.51\.100\.77", mark)
    lab.R.ip("address del 198.51.100.77/24 dev wan0")
    lab.X.ip("link set to_r down")
    daemon.wait_for(r"wan0: down", mark)
    lab.X.ip("link set to_r up")
    daemon.wait_for(r"wan0: up", mark)
    mark = daemon.mark()
    daemon.configure({"log": {"target": str(log)}, "nat": {"hairpinning": "no"}})
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(r"\[nat\] hairpinning has changed", mark)
    assert "Permission denied" not in daemon.log() and "not permitted" not in daemon.log(), daemon.log()

    log.rename(daemon.folder / "old.log")
    daemon.process.send_signal(signal.SIGUSR2)
    wait_for_file(daemon, log)
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.wait_for(r"from LAN: received")
    daemon.stop()
    assert "stopped" in daemon.log()
    differences = compare_states(before, read_state(lab.R))
    assert not differences, "\n".join(differences)


def wait_for_file(daemon, path):
    wait_for(lambda: path.exists() or not daemon.alive(), f"{path} appears")
    assert daemon.alive(), "culvertd ended"


def test_a_pid_file_is_emptied_where_it_can_not_be_removed(lab, daemon):
    """As nobody, in a directory of root: what is left locks nothing out."""
    require_capability_dropping(daemon)
    pidfile = daemon.folder / "pid"
    for _ in range(2):
        daemon.start({}, "--user", "nobody", "--pidfile", str(pidfile))
        assert int(pidfile.read_text()) == daemon.process.pid
        daemon.stop()
        assert pidfile.read_text() == ""
