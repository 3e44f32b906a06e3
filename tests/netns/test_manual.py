# SPDX-License-Identifier: BSD-2-Clause
"""Commands that the manual and the README show are commands: each is said to a running router, as it stands there."""
import pathlib
import re
import shlex
import subprocess
import time

import pytest

from control import find_ctl, run_ctl, socket_of
from namespace import LIMIT
from shown import block

pytestmark = [pytest.mark.culvert_only("the kernel has no control socket")]

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
SHOWN = r"(?m)^(?:\.Dl )?culvertctl ?(.*)$"


def manual(page):
    return (TOP / "man" / page).read_text(encoding="utf-8")


TEXTS = {
    "culvert-nat.7": lambda: manual("culvert-nat.7"),
    "culvertctl.8": lambda: manual("culvertctl.8"),
    "README.md": lambda: block("README.md", "culvertctl   ") + block("README.md", "culvertctl rehearse"),
}
NOT_FOUND = 7
TUNNEL = re.compile(r"(pptp|l2tp|ipsec)-\d+")
STREAMS = {"trace", "capture", "watch"}


@pytest.fixture
def router(router):
    """Some of the commands change the configuration, so nobody else gets this router."""
    yield router
    router.stop()


def shown(text):
    """The words behind culvertctl, without what a shell does with its output and what is said beside it. A name that
    only the Internet knows becomes an address."""
    for words in re.findall(SHOWN, text):
        yield shlex.split(words.split(" | ")[0].replace("www.example.com", "203.0.113.80"), comments=True)


def begins(router, words, folder):
    """What is refused ends at once; else a capture's file gets its head, and others go on."""
    at = words.index("-w") if "-w" in words else None
    file = folder / words[at + 1] if at else None
    words = [*words[:at], "-w", str(file), *words[at + 2 :]] if at else words
    command = [find_ctl(router), "--socket", str(socket_of(router)), *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        end = time.monotonic() + (LIMIT if file else 0.5)
        while child.poll() is None and time.monotonic() < end and not (file and file.exists() and file.stat().st_size):
            time.sleep(0.02)
        goes_on = child.poll() is None
        child.terminate()
        errors = child.communicate(timeout=LIMIT)[1]
    if child.returncode == NOT_FOUND and any(TUNNEL.fullmatch(word) for word in words):
        return  # there is none of that name here
    assert goes_on and (file is None or file.stat().st_size), f"culvertctl {' '.join(words)}: {errors}"


@pytest.mark.parametrize("text", list(TEXTS))
def test_what_is_shown_works(lab, router, tmp_path, text):
    commands = list(shown(TEXTS[text]()))
    assert len(commands) >= 10, f"{text}: only {commands}"
    for words in commands:
        verb = next((word for word in words if not word.startswith("-")), "status")
        if verb in STREAMS:
            begins(router, words, tmp_path)
            continue
        done = run_ctl(router, *(["-j"] if verb == "top" else []), *words)  # its screen wants a terminal
        allowed = (0, NOT_FOUND) if verb == "forget" else (0,)  # its host is not here
        assert done.returncode in allowed, f"{text}: culvertctl {' '.join(words)}: {done.stderr}"


def test_the_configuration_of_the_readme_is_good(lab, daemon):
    """On a machine that has its LAN."""
    lab.R.ip("link add eth1 type veth peer name eth1peer", "address add 192.168.77.1/24 dev eth1", "link set eth1 up")
    try:
        done = daemon.run("--check", text=block("README.md", "[lan]"))
    finally:
        lab.R.ip("link delete eth1")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "the configuration is good" in done.stdout
