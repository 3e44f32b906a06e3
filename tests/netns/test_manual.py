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

pytestmark = [pytest.mark.culvert_only("the kernel has no control socket")]

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
TEXTS = {
    "man/culvert-nat.7": r"(?m)^\.Dl culvertctl ?(.*)$",
    "man/culvertctl.8": r"(?m)^\.Dl culvertctl ?(.*)$",
    "README.md": r"(?m)^culvertctl ?(.*)$",
}
NOT_FOUND = 7
STREAMS = {"trace", "capture", "watch"}


@pytest.fixture
def router(router):
    """Some of the commands change the configuration, so nobody else gets this router."""
    yield router
    router.stop()


def shown(text, pattern):
    """The words behind culvertctl, without what a shell does with its output and what is said beside it."""
    for words in re.findall(pattern, text):
        yield shlex.split(words.split(" | ")[0], comments=True)


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
    assert goes_on and (file is None or file.stat().st_size), f"culvertctl {' '.join(words)}: {errors}"


@pytest.mark.parametrize("text", list(TEXTS))
def test_what_is_shown_works(lab, router, tmp_path, text):
    commands = list(shown((TOP / text).read_text(encoding="utf-8"), TEXTS[text]))
    assert len(commands) >= 10, f"{text}: only {commands}"
    for words in commands:
        verb = next((word for word in words if not word.startswith("-")), "status")
        if verb in STREAMS:
            begins(router, words, tmp_path)
            continue
        done = run_ctl(router, *(["-j"] if verb == "top" else []), *words)  # its screen wants a terminal
        allowed = (0, NOT_FOUND) if verb == "forget" else (0,)  # its host is not here
        assert done.returncode in allowed, f"{text}: culvertctl {' '.join(words)}: {done.stderr}"
