# SPDX-License-Identifier: BSD-2-Clause
"""A machine in which a real systemd is the first process: a namespace of the lab with process, mount, host name, IPC
and control group namespaces around it. Its /usr is the host's, all else is its own, in memory (machine_init.py).
Nothing of it outlives close(), nor the end of the tests.

systemd itself is taken from the host, or unpacked beside it and never installed (software.py of tests/vpn).
"""
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vpn"))

import software  # noqa: E402

START_SECONDS = 30


class Missing(Exception):
    """There can be no such machine here."""


def find_systemd():
    """The layers that /usr needs to have systemd in it."""
    if all(os.access(f"/usr/{name}", os.X_OK) for name in ("lib/systemd/systemd", "bin/systemd-analyze")):
        return []
    try:
        return [software.prepare("systemd")]
    except software.Missing as missing:
        raise Missing(f"no systemd: {missing}") from missing


class Machine:
    """files: {file of the host: its place in the machine}."""

    def __init__(self, space, files):
        name = f"{space.name}-machine"
        pairs = [f"{source}={target}" for source, target in files.items()]
        command = ["unshare", "--mount", sys.executable, "-IS", HERE / "machine_init.py", "keep"]
        self.keeper = subprocess.Popen(
            space.command(*command, name, "router", *pairs, "--", *find_systemd()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            said = self.keeper.stdout.readline()
            if said.startswith("missing: "):
                raise Missing(said.removeprefix("missing: ").strip())
            assert said.startswith("init "), f"no machine: {said!r}"
            self.init = int(said.split()[1])
            self.wait_until("systemctl is-active basic.target", START_SECONDS)
        except BaseException:
            self.close()
            raise

    def close(self):
        self.keeper.stdin.close()
        assert self.keeper.wait(60) == 0, "the machine left something behind"
        self.keeper.stdout.close()

    def path(self, inside):
        """A file of the machine as the host reaches it."""
        return pathlib.Path(f"/proc/{self.init}/root{inside}")

    def write(self, path, text):
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def try_run(self, *words, timeout=90, **options):
        """One word is a line for sh."""
        enter = ["nsenter", f"--target={self.init}", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]
        enter += ["--root", "--wd"]
        return subprocess.run(
            [*enter, "--", *(["sh", "-c", *words] if len(words) == 1 else map(str, words))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_PAGER": "cat"},
            **options,
        )

    def run(self, *words, **options):
        """A command that must succeed; its output."""
        done = self.try_run(*words, **options)
        assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def wait_until(self, line, timeout=30):
        """Until a line for sh succeeds."""
        end = time.monotonic() + timeout
        while (done := self.try_run(line)).returncode != 0:
            assert time.monotonic() < end, f"{line}: not within {timeout} s\n{done.stdout}{done.stderr}"
            time.sleep(0.05)
