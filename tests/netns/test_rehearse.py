# SPDX-License-Identifier: BSD-2-Clause
"""What is rehearsed beside the configuration file: a text that whoever asks has read, and no file that the daemon
opens for others. What a rehearsal says is in test_reload.py."""
import json
import os
import time

import pytest

from control import Control, answer_of, member, rehearse
from lab import UPSTREAM
from namespace import LIMIT
from router import BASE, merge, write_config

pytestmark = [pytest.mark.culvert_only("the kernel reads no file")]


def test_a_rehearsal_opens_no_file(lab, router):
    """The daemon may read what who asks may not, and quotes lines in its errors: it takes text, never a path."""
    secret = router.folder / "secret.ini"
    secret.write_text("[nat]\npassword = wonderland\n")
    with Control(router) as control:
        for words in ("/etc/shadow", "secret.ini", str(secret), "a b", "size=3", "a size=x", "a size=-1", "a size=1 b"):
            code, error = control.refused(f"rehearse {words}")
            assert code in (1, 2) and "wonderland" not in error and "root" not in error, (words, error)
        assert control.refused(f"rehearse {'n' * 201} size=3")[0] == 1
        assert control.refused("rehearse a size=1048577") == (2, "a: a configuration has at most 1048576 bytes")
    secret.unlink()
    rows, last = rehearse(router, b"[nat]\nx\x1b\xff = \x00\n", "its/name")
    assert last["code"] == 2 and last["error"].startswith("its/name:2: "), last
    rows, last = rehearse(router, b"[nat]\n" + b"y" * 199 + b"\n", "n" * 200)
    assert last["error"].startswith("n" * 200 + ":2: there is no '=' in 'yyy"), last
    assert last["error"].endswith("..."), "cut, and it can be seen"
    rows, last = rehearse(router, b"# " + b"x" * ((1 << 20) - 3) + b"\n" )
    assert last["code"] == 2, "a line of a megabyte"
    text = router.config_file.read_bytes()
    rows, last = rehearse(router, text + b"# a comment\n" * ((1 << 20) // 12 - 100))
    assert last == {"code": 0} and rows[-1]["changes"] == 0


def test_a_text_comes_in_pieces_or_not_at_all(lab, router):
    """Requests may follow at once; who sends less than it has announced is let go, with nothing done."""
    text = router.config_file.read_bytes()
    before = len(os.listdir(f"/proc/{router.process.pid}/fd"))
    with Control(router) as control:
        control.send(f"rehearse x size={len(text)}\n".encode() + text + b"help help\n")
        assert control.answer()[1] == {"code": 0} and control.answer()[0][0] == {"schema": "culvert.help/1"}
        control.send(b"rehearse x size=0\n")
        assert control.answer()[1]["code"] in (0, 2)
        control.send(f"rehearse x size={len(text)}\n".encode())
        for byte in text:
            control.send(bytes([byte]))
        assert control.answer()[1] == {"code": 0}
    with Control(router, 2 * LIMIT) as short, Control(router) as gone:
        short.send(b"rehearse x size=100\n" + b"[nat]\n")
        gone.send(b"rehearse x size=1000000\n" + b"# reload\n" * 1000)
        gone.socket.close()
        begin = time.monotonic()
        assert [short.line(), short.line()] == [{"schema": "culvert.rehearse/1"}, {"kind": "send", "bytes": 100}]
        assert short.is_closed() and 8 < time.monotonic() - begin
    assert len(os.listdir(f"/proc/{router.process.pid}/fd")) <= before


def test_culvertctl_reads_the_file_as_who_asks(lab, router):
    """A member of the socket's group, who may not read what root may."""
    text = write_config(merge(BASE, {"nat": {"filtering": "endpoint-independent"}}))
    with member(router) as (run, folder):
        for place in (folder, router.folder):  # the daemon's own directory is like any other
            secret = place / "secret.ini"
            secret.write_text("[nat]\npassword = wonderland\n")
            secret.chmod(0o600)
            done = run("rehearse", str(secret))
            assert done.returncode == 2 and "Permission denied" in done.stderr, done
            assert "wonderland" not in done.stderr + done.stdout and "password" not in done.stderr + done.stdout
            secret.unlink()
        own = folder / "my next.ini"
        own.write_text(text)
        for words, given in (([str(own)], None), (["-"], text)):
            done = run("-j", "rehearse", *words, input=given)
            rows = json.loads(done.stdout)["rows"]
            assert [row["kind"] for row in rows] == ["change", "rehearsed"] and done.returncode == 0, done
        own.write_text("[nat]\nfilterin = none\n")
        done = run("rehearse", str(own))
        assert done.returncode == 2 and f"{folder}/my?next.ini:2: " in done.stderr, done.stderr
        long = folder / ("n" * 240)
        long.write_text("[nat]\n" + "y" * 199 + "\n")
        done = run("rehearse", str(long))
        # its short form is not said
        assert done.returncode == 2 and done.stderr.count(":2: there is no '=' in 'yyy") == 1, done.stderr
        assert run("rehearse", str(own), "size=3").returncode == 1
        assert run("rehearse", "/dev/zero").returncode == 2
        assert run("rehearse", str(folder)).returncode == 2


def test_the_default_route_may_be_named(lab, router):
    """An empty [wan] interface is the device of the default route: to write its name is no change."""
    text = write_config(merge(BASE, {"wan": {"interface": ""}}))
    before = router.config_file.read_text()
    assert rehearse(router, text)[0][-1]["changes"] == 0
    router.config_file.write_text(text)
    try:
        rows, last = answer_of(router, "reload")
        assert last == {"code": 0} and not [row for row in rows if row.get("severity") == "warning"], rows
    finally:
        router.config_file.write_text(before)
    lab.R.ip("route delete default")
    try:
        rows, last = rehearse(router, text)
        assert [(row["key"], row["needs-restart"]) for row in rows if row["kind"] == "change"] == [("interface", True)]
    finally:
        lab.R.ip(f"route replace default via {UPSTREAM}")
        router.settle()
