# SPDX-License-Identifier: BSD-2-Clause
"""One mode is changed, in the file as well: what stays of the file, what ends, and who is asked before."""
import contextlib
import os
import pathlib
import pty
import shutil
import subprocess

import pytest

import pptp_peer
from control import answer_of, ask, find_ctl, run_ctl, socket_of
from namespace import LIMIT

pytestmark = [pytest.mark.culvert_only("the kernel has no control socket")]


@pytest.fixture
def restored(router):
    """The file and the running configuration are afterwards what they were before."""
    yield router
    router.config_file.unlink(missing_ok=True)
    shutil.rmtree(router.folder / "culvert.d", ignore_errors=True)
    router.configure(router.config)
    ask(router, "reload")
    assert all(row["changes"] == 0 for row in ask(router, "rehearse"))


WRITTEN = """# My router.
[lan]
interface = lan0   ; the green cable

[wan]
interface = wan0

# Nobody needs it.
[l2tp]
#mode = pass

[pptp]
mode = pass        # for the old one
"""


def answered_by_hand(router, answer, *words):
    """What culvertctl says to somebody at a terminal who answers its question so; a script is never asked."""
    master, slave = pty.openpty()
    command = [find_ctl(router), "--socket", str(socket_of(router)), *words]
    with subprocess.Popen(command, stdin=slave, stderr=slave, stdout=subprocess.DEVNULL) as child:
        os.close(slave)
        said = b""
        with contextlib.suppress(OSError):
            while data := os.read(master, 4096):
                said += data
                if said.endswith(b"[y/N] "):
                    os.write(master, answer)
        os.close(master)
        assert child.wait(LIMIT) == 0
    return said


NOTE = "# Written by culvertctl mode. To undo it, remove this file, then say culvertctl reload.\n"


def test_a_mode_is_kept_in_a_drop_in(lab, restored):
    router = restored
    router.config_file.write_text(WRITTEN)
    ask(router, "reload")
    drop_in = router.folder / "culvert.d" / "90-mode.ini"
    kept = f"; this is kept in {drop_in}"
    ends = pptp_peer.Ends(lab)
    try:
        server = ends.serve("W1")
        ends.connect("L1", server).dial(7300, 300)
        (row,) = ask(router, "mode PPTP off rehearse=yes")
        assert (row["before"], row["mode"], row["tunnels"], row["hosts"], row["done"]) == ("pass", "block", 1, 1, False)
        assert row["text"] == "1 tunnel of 1 host would end" and not drop_in.exists()
        said = answered_by_hand(router, b"n\n", "mode", "pptp", "off")
        assert b"1 tunnel of 1 host would end; go on? [y/N]" in said and b"nothing has changed" in said, said
        assert not drop_in.exists()
        *findings, reloaded, row = ask(router, "mode PPTP off")
        assert [finding["severity"] for finding in findings if finding["severity"] == "notice"] == []
        assert (reloaded["kind"], row["kind"], row["done"]) == ("reloaded", "mode-change", True)
        assert row["text"] == "PPTP is blocked now; 1 tunnel of 1 host ended" + kept and row["file"] == str(drop_in)
        assert drop_in.read_text() == NOTE + "[pptp]\nmode = block\n"
        with pytest.raises(OSError):
            ends.connect("L2", server)
        ask(router, "mode l2tp plain")
        ask(router, "mode natt block")
        assert drop_in.read_text() == (NOTE + "[pptp]\nmode = block\n[l2tp]\nmode = plain\n"
                                              "[ipsec]\nnatt = block\n")
        router.kill()  # the guard stays: after a stop the router's kernel would answer what is still on its way
        mark = router.mark()
        router.launch()
        router.wait_for(r"forwarding \S+ -> ", mark)
        assert [row["mode"] for row in ask(router, "status") if row["kind"] == "service"][:2] == ["block", "plain"]
        assert {row["switch"]: row["mode"] for row in ask(router, "mode")} == {
            "pptp": "block", "l2tp": "plain", "ipsec": "pass", "ike": "pass", "natt": "block", "esp": "pass",
            "ah": "pass"}
        assert run_ctl(router, "mode").stdout.splitlines()[:2] == ["WHAT   MODE", "pptp   block"]
        assert ask(router, "mode pptp on")[-1]["text"] == "PPTP passes now; no tunnel ended" + kept
        ends.connect("L2", server)
        assert ask(router, "mode pptp pass")[-1]["text"] == "PPTP passes as before; no tunnel ended" + kept
    finally:
        ends.close()
    assert router.config_file.read_text() == WRITTEN, "the user's own file stays as it is"
    assert [path.name for path in drop_in.parent.iterdir()] == [drop_in.name]
    drop_in.unlink()
    ask(router, "reload")
    assert {row["mode"] for row in ask(router, "mode")} == {"pass"}


def test_a_mode_that_can_not_be_changed(lab, restored):
    router = restored
    text = router.config_file.read_text()
    for words in ("pptp", "pptp of", "pptp inherit", "gre block", "pptp block now"):
        code, error = answer_of(router, f"mode {words}")[1].values()
        assert code == 1 and error
    bad = text + "[nat]\nno such key\n"
    router.config_file.write_text(bad)
    code, error = answer_of(router, "mode pptp block")[1].values()
    assert code == 2 and "nothing has changed" in error and router.config_file.read_text() == bad
    twice = text + "[pptp]\nmode = pass\n[nat]\n[pptp]\nmode = pass\n"
    router.config_file.write_text(twice)
    folder = router.folder / "culvert.d"
    code, error = answer_of(router, "mode pptp block")[1].values()
    assert code == 2 and "occurs twice" in error and router.config_file.read_text() == twice
    aside = pathlib.Path(f"{router.config_file}.aside")
    router.config_file.rename(aside)
    for request in ("reload", "rehearse", "reload confirm=9"):  # and --check, test_startup.py
        code, error = answer_of(router, request)[1].values()
        assert code == 2 and "cannot be opened: No such file or directory" in error, (request, code, error)
    code, error = answer_of(router, "mode pptp block")[1].values()
    assert code == 2 and "cannot be opened: No such file or directory" in error, (code, error)
    assert run_ctl(router, "rehearse", str(router.config_file)).returncode == 2
    assert not folder.exists()
    shutil.copy(aside, router.config_file)
    router.config_file.write_text(text)
    code, error = answer_of(router, "mode pptp block")[1].values()
    assert code == 1 and "cannot be opened" in error and error.endswith("reload it first"), error
    ask(router, "reload")
    os.chown(router.folder, 1234, 1234)  # culvertd has given up the right to write where it likes
    try:
        code, error = answer_of(router, "mode pptp block")[1].values()
        assert code == 5 and "write it yourself" in error and f"{folder}/90-mode.ini" in error, error
    finally:
        os.chown(router.folder, 0, 0)
    assert not folder.exists()
    folder.mkdir()
    drop_in = folder / "90-mode.ini"
    for bad, why in (("[forward:a]\nservice = pptp\nto = 192.168.7.7\n", f"{drop_in}:1: would be lost"),
                     ("[pptp]\nmode = perhaps\n", f"{drop_in}:2: mode = perhaps: ")):
        drop_in.write_text(bad)
        code, error = answer_of(router, "mode pptp block")[1].values()
        assert code == 2 and why in error and drop_in.read_text() == bad, error
    assert [row["mode"] for row in ask(router, "status") if row["kind"] == "service"][0] == "pass"
