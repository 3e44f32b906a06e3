# SPDX-License-Identifier: BSD-2-Clause
"""Boxes: places for VPN software that needs no kernel of its own. A box is a namespace of the lab in which /usr, /etc
and /var are the host's with sets of software.py laid over them, and /run is its own. Whatever is written there stays
there, and everything that runs in a box ends with it (box_init.py).

A box takes commands as a guest does (guest.py), but is there at once and costs next to nothing.
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import software
from guest import Result
from namespace import LIMIT

HERE = pathlib.Path(__file__).resolve().parent
START_SECONDS = 20


class Box:
    """One box in a namespace of the lab; close() leaves nothing behind; a killed test leaves no process."""

    def __init__(self, namespace, name, address=None, sets=("tunnels",)):
        """address is only kept, for those who ask for it: the namespace has its addresses already."""
        self.namespace, self.name, self.address = namespace, name, address
        self.daemons = {}
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        command += [sys.executable, "-IS", HERE / "box_init.py", *(software.prepare(each) for each in sets)]
        self.process = subprocess.Popen(
            namespace.command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        try:
            said = self.process.stdout.readline()
            assert said == b"ready\n", f"box {name} did not come up: {said!r}"
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            (self.init,) = map(int, children.read_text(encoding="ascii").split())
        except BaseException:
            self.close()
            raise

    def close(self):
        """The box's first process ends with its standard input, and takes all others with it."""
        self.process.stdin.close()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LIMIT)
        self.process.stdout.close()
        for child in self.daemons.values():
            child.wait(LIMIT)

    def path(self, inside):
        """A file of the box as the host reaches it."""
        return pathlib.Path(f"/proc/{self.init}/root{inside}")

    # --- commands, as Guest has them -------------------------------------------------------------------------------

    def _spawn(self, words, output=subprocess.DEVNULL):
        command = ["nsenter", f"--target={self.init}", "--mount", "--pid", "--net", "--wd=/", "--", *map(str, words)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"},
        )

    def begin(self, *words, timeout=90):
        """Starts a command; the function that comes back waits for its (code, output). One word is a line for sh."""
        output = tempfile.TemporaryFile()  # not a pipe: what a command leaves running would hold that open
        child = self._spawn(["sh", "-c", words[0]] if len(words) == 1 else words, output)

        def wait():
            with output:
                try:
                    code = child.wait(timeout)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
                    code = 124
                output.seek(0)
                text = output.read().decode(errors="replace")
            return Result(code, text + (f"\nended after {timeout} s\n" if code == 124 else ""))

        return wait

    def try_run(self, *words, timeout=90):
        return self.begin(*words, timeout=timeout)()

    def run(self, *words, timeout=90):
        """A command that must succeed; its output."""
        done = self.try_run(*words, timeout=timeout)
        if done.code != 0:
            raise AssertionError(
                f"box {self.name}: {' '.join(map(str, words))}: exit {done.code}\n{done.output}\n{self.syslog_tail()}"
            )
        return done.output

    def write(self, path, text):
        """A file that only root may read, its folders made as well."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)

    def wait_until(self, line, timeout=90):
        """Until a line for sh succeeds."""
        self.run(f"until {line}; do sleep 0.05; done", timeout=timeout)

    # --- daemons ---------------------------------------------------------------------------------------------------

    def start(self, name, *words):
        """Starts a program that stays in the foreground; what it says goes to /run/NAME.log."""
        script = 'echo $$ >"/run/$0.pid"; exec "$@" >"/run/$0.log" 2>&1'
        self.path(f"/run/{name}.pid").unlink(missing_ok=True)
        self.daemons[name] = self._spawn(["sh", "-c", script, name, *words])
        self.wait_until(f"test -s /run/{name}.pid")

    def running(self, name):
        return self.daemons[name].poll() is None

    def stop(self, name, timeout=60):
        """Ends what start() began, and waits for it."""
        self.try_run(f"kill $(cat /run/{name}.pid)")
        self.daemons.pop(name).wait(timeout)

    def syslog_tail(self, lines=40):
        done = self.try_run(f"tail -n {lines} /run/*.log 2>/dev/null")
        return f"--- log of {self.name}\n{done.output}"
