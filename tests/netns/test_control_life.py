# SPDX-License-Identifier: BSD-2-Clause
"""The file of the control socket: who may connect, what is in its place at a start, and what is left at the end."""
import json
import os
import pwd
import signal
import socket
import stat
import subprocess

import pytest

from control import Control, ask, socket_of

pytestmark = [pytest.mark.culvert_only("the kernel has no control socket")]


# --- who may ask -----------------------------------------------------------------------------------------------------


def ask_as(daemon, user, group, groups=()):
    """What somebody else is answered: the first line, or the errno of connect()."""
    program = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_UNIX)\n"
        "try: s.connect(sys.argv[1])\n"
        "except OSError as error: sys.exit(error.errno)\n"
        "try: s.sendall(b'help drops\\n')\n"
        "except OSError: pass\n"
        "print(s.makefile().readline())\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, str(socket_of(daemon))],
        user=user,
        group=group,
        extra_groups=list(groups),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else done.returncode


@pytest.mark.parametrize("user", [None, "nobody"])
def test_root_the_daemon_and_its_group_may_ask(lab, daemon, user):
    entry = pwd.getpwnam(user or "root")
    group = entry.pw_gid
    daemon.start({}, *(["--user", user] if user else []))
    status = os.stat(socket_of(daemon))
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o660
    assert (status.st_uid, status.st_gid) == (entry.pw_uid, group)
    good = {"schema": "culvert.help/1"}
    assert ask_as(daemon, 0, 0) == good
    assert ask_as(daemon, entry.pw_uid, 12345) == good
    assert ask_as(daemon, 12345, group) == good
    assert ask_as(daemon, 12345, 12345, [group]) == good
    assert ask_as(daemon, 12345, 12345) == 13  # EACCES
    # Should somebody open the file to all, the daemon still looks who comes.
    os.chmod(socket_of(daemon), 0o666)
    refused = ask_as(daemon, 12345, 12345, [23456])
    assert refused["code"] == 3 and "group" in refused["error"]
    assert ask_as(daemon, 12345, 12345, [group]) == good
    daemon.stop()
    assert not socket_of(daemon).exists()


def test_sockets_of_the_dead_are_replaced(lab, daemon):
    daemon.start()
    daemon.kill()
    assert socket_of(daemon).exists()
    daemon.start()
    assert ask(daemon, "help")
    daemon.stop()
    assert not socket_of(daemon).exists()


def test_a_socket_that_somebody_serves_is_left_alone(lab, daemon):
    path = daemon.folder / "taken.sock"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen(1)
        done = daemon.run("-f", sections={"control": {"socket": str(path)}})
        assert done.returncode == 5 and str(path) in done.stderr and "serves it" in done.stderr, done.stderr
        assert path.exists()
    path.unlink()
    path.write_text("a file")
    done = daemon.run("-f")
    assert done.returncode == 5 and "not a socket" in done.stderr, done.stderr
    assert path.read_text() == "a file"


@pytest.mark.parametrize("path", ["missing/control.sock", "x" * 120], ids=["missing", "long"])
def test_paths_that_can_not_be(lab, daemon, path):
    sections = {"control": {"socket": str(daemon.folder / path)}}
    done = daemon.run("-f", sections=sections)
    assert done.returncode == (2 if len(path) > 100 else 5) and "socket" in done.stderr, done.stderr


def test_a_path_of_ones_own(lab, daemon):
    path = daemon.folder / "own.sock"
    daemon.start({"control": {"socket": str(path)}})
    assert path.exists() and not socket_of(daemon).exists()
    # Somebody put a file of his own in its place: it is not ours to remove.
    path.unlink()
    path.write_text("mine")
    daemon.stop()
    assert path.read_text() == "mine"


def test_stop_with_peers_in_all_states(lab, daemon):
    daemon.start()
    with Control(daemon) as silent, Control(daemon) as half, Control(daemon) as watching, Control(daemon) as asked:
        half.send(b"stat")
        watching.send(b"watch\n")
        assert watching.line() == {"schema": "culvert.watch/1"}
        asked.ask("help")
        daemon.stop()
        for control in (silent, half, watching, asked):
            assert control.is_closed()


def test_reload_and_signals_beside_peers(lab, daemon):
    daemon.start()
    with Control(daemon) as control:
        control.ask("status")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("was read again")
        assert control.ask("status")
    daemon.stop()
