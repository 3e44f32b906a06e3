# SPDX-License-Identifier: BSD-2-Clause
"""Who watches hears of links, addresses, reloads, modes and trials in the words of the log. Tunnels are in
test_control.py."""
import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from control import Control, answer_of, find_ctl, run_ctl, socket_of
from lab import wait_for
from namespace import LIMIT
from router import BASE, merge, write_config

pytestmark = [pytest.mark.culvert_only("the kernel has no control socket")]


class Watch:
    """A watcher, and how far the log was when it began."""

    def __init__(self, router):
        self.router, self.mark = router, router.mark()
        self.control = Control(router)
        self.control.send(b"watch\n")
        assert self.control.line() == {"schema": "culvert.watch/1"}  # from now on everything is told

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.control.__exit__()

    def hears(self, severity, pattern):
        """Up to the first message like this, which stands in the log as well."""
        heard = []
        while True:
            row = self.control.line()
            heard.append(row["text"])
            assert list(row) == ["kind", "severity", "time", "text"] and row["kind"] == "message", row
            if re.fullmatch(pattern, row["text"]):
                break
            assert len(heard) < 20, heard
        assert row["severity"] == severity and abs(row["time"] - time.time()) < LIMIT, row
        assert row["text"] in self.router.log(self.mark)

    def hears_nothing(self):
        self.control.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            self.control.line()
        self.control.socket.settimeout(LIMIT)


@pytest.fixture
def router(router):
    """With its own configuration in the end."""
    text = router.config_file.read_text()
    yield router
    router.config_file.write_text(text)
    router.stop()


def test_links_and_addresses(lab, router):
    with Watch(router) as watch:
        lab.X.ip("link set to_r down")
        watch.hears("notice", r"wan0: down, MTU 1500, addresses 198\.51\.100\.2")
        lab.X.ip("link set to_r up")
        watch.hears("notice", r"wan0: up, MTU 1500, addresses 198\.51\.100\.2")
        lab.R.ip("address add 192.0.2.77/32 dev wan0")
        watch.hears("notice", r"wan0: up, MTU 1500, addresses 198\.51\.100\.2, 192\.0\.2\.77")
        lab.R.ip("address del 192.0.2.77/32 dev wan0")
        watch.hears("notice", r"wan0: up, MTU 1500, addresses 198\.51\.100\.2")
        lab.B.ip("link set to_r down")
        watch.hears("notice", r"lan0: down, MTU 1500, address 10\.77\.0\.1")
        lab.B.ip("link set to_r up")
        watch.hears("notice", r"lan0: up, MTU 1500, address 10\.77\.0\.1")
        watch.hears_nothing()
    lab.introduce_raw_peers()


def test_reloads_modes_and_trials(lab, router):
    """What has changed, from what to what, and who wanted that."""
    root = r"root, process \d+, asks: "
    with Watch(router) as watch:
        router.config_file.write_text(write_config(merge(BASE, {"nat": {"hairpinning": "no"}})))
        router.process.send_signal(signal.SIGHUP)
        watch.hears("notice", "SIGHUP asks: reload")
        watch.hears("notice", r"reload: \[nat\] hairpinning has changed from yes to no")
        watch.hears("notice", "the configuration was read again")
        assert run_ctl(router, "mode", "pptp", "block").returncode == 0
        watch.hears("notice", root + "mode pptp block")
        watch.hears("notice", r"reload: \[pptp\] mode has changed from pass to block")
        watch.hears("notice", "the configuration was read again")
        router.config_file.write_text(write_config(merge(BASE, {"limits": {"flows": "1000"}})))
        assert answer_of(router, "reload confirm=1")[1] == {"code": 0}
        watch.hears("notice", root + "reload confirm=1")
        watch.hears("warning", r"reload: \[limits\] flows has changed in the file, but only a restart applies it")
        watch.hears("notice", "the configuration is on trial; the previous one comes back in 1 s unless somebody .*")
        watch.hears("warning", "nobody has confirmed the configuration within 1 s; the previous one is in force.*")
        router.config_file.write_text("[nat]\nhairpinnin = no\n")
        assert answer_of(router, "reload")[1]["code"] == 2
        watch.hears("error", r"\S+:2: \[nat\] has no key \"hairpinnin\".*|\S+:2: .*hairpinnin.*")
        watch.hears("error", "reload failed; keeping the running configuration")
        assert answer_of(router, "forget 10.77.0.99")[1]["code"] == 7
        watch.hears("notice", root + r"forget 10\.77\.0\.99")
        answer_of(router, "mappings")  # asking changes nothing
        watch.hears_nothing()


def test_a_quiet_log_is_heard_as_well(lab, router):
    """At [log] level = error only errors are written; who watches hears the same as before, but no flood."""
    router.stop()
    router.configure({"log": {"level": "error"}})
    router.launch()
    wait_for(lambda: socket_of(router).exists() and run_ctl(router).returncode == 0, "the daemon answers")
    mark = router.mark()
    with Control(router) as control:
        control.send(b"watch\n")
        assert control.line() == {"schema": "culvert.watch/1"}
        for number in range(30):
            answer_of(router, f"forget 10.77.0.{number}")
        rows = [control.line()["text"] for _ in range(10)]
        assert all("asks: forget" in row for row in rows)
        control.socket.settimeout(LIMIT)
        assert re.fullmatch(r"20 similar messages suppressed: \.\.\., asks: .*", control.line()["text"])
    assert "asks" not in router.log(mark)


def test_people_see_them_with_tunnels(lab, router):
    environment = {**os.environ, "COLUMNS": "80"}
    with subprocess.Popen([find_ctl(router), "--socket", str(socket_of(router)), "watch"], stdout=subprocess.PIPE,
                          text=True, env=environment) as child:
        try:
            while not select.select([child.stdout], [], [], 1)[0]:  # that it watches is not said before
                router.process.send_signal(signal.SIGHUP)
            router.process.send_signal(signal.SIGHUP)
            lines = [child.stdout.readline() for _ in range(3)]
        finally:
            child.kill()
    assert lines[0] == "notice: SIGHUP asks: reload\n" and all(line.startswith("notice: ") for line in lines), lines


@contextlib.contextmanager
def on_terminal(router, *words):
    """What a terminal shows, as a function that reads up to a pattern."""
    master, slave = pty.openpty()
    text = b""

    def shows(pattern):
        nonlocal text
        while not re.search(pattern, text):
            assert select.select([master], [], [], LIMIT)[0], (pattern, text)
            text += os.read(master, 4096)
        return text

    with subprocess.Popen([find_ctl(router), "--socket", str(socket_of(router)), *words], stdin=subprocess.DEVNULL,
                          stdout=slave, stderr=slave) as child:
        try:
            yield shows
        finally:
            child.kill()
            os.close(slave)
            os.close(master)


def test_a_terminal_is_told_what_is_waited_for(lab, router):
    """As soon as nothing is missed any more."""
    with on_terminal(router, "watch") as shows:
        shows(rb"^culvertctl: waiting for tunnels and messages; Ctrl-C ends this\r\n$")
        router.process.send_signal(signal.SIGHUP)
        shows(rb"this\r\nnotice: SIGHUP asks: reload\r\n")
    for words in (("trace",), ("capture", "-w", str(router.folder / "x.pcapng"))):
        with on_terminal(router, *words) as shows:
            shows(rb"culvertctl: waiting for packets; Ctrl-C ends this\r\n")
    with on_terminal(router, "trace", "count=0") as shows:
        assert b"waiting" not in shows(rb"count= takes .*\r\n")
    with on_terminal(router, "tunnels", "host=x") as shows:
        assert b"waiting" not in shows(rb"culvertctl: .*\r\n")


def test_a_pipe_is_not(lab, router):
    for words in (["watch"], ["trace"]):
        with subprocess.Popen([find_ctl(router), "--socket", str(socket_of(router)), "-J", *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline().startswith('{"schema":')
            child.kill()
            assert child.stderr.read() == ""
