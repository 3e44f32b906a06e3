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

HERE = pathlib.Path(__file__).resolve().parent
START_SECONDS = 20


class Box:
    """One box in a namespace of the lab; close() leaves nothing behind, and nothing is left when the tests are killed."""

    def __init__(self, namespace, name, address=None, sets=("tunnels",)):
        """address is only kept, for those who ask for it: the namespace has its addresses already."""
        self.namespace, self.name, self.address = namespace, name, address
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
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()

    def path(self, inside):
        """A file of the box as the host reaches it."""
        return pathlib.Path(f"/proc/{self.init}/root{inside}")

    # --- commands, as Guest has them -------------------------------------------------------------------------------

    def command(self, *words):
        """One word is a line for sh."""
        words = ["sh", "-c", words[0]] if len(words) == 1 else [str(word) for word in words]
        return ["nsenter", f"--target={self.init}", "--mount", "--pid", "--net", "--wd=/", "--", *words]

    def begin(self, *words, timeout=30):
        """Starts a command; the function that comes back waits for its (code, output)."""
        output = tempfile.TemporaryFile()  # not a pipe: what a command leaves running would hold that open
        child = subprocess.Popen(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"},
        )

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

    def try_run(self, *words, timeout=30):
        return self.begin(*words, timeout=timeout)()

    def run(self, *words, timeout=30):
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

    def wait_until(self, line, timeout=30):
        """Until a line for sh succeeds."""
        self.run(f"until {line}; do sleep 0.05; done", timeout=timeout)

    # --- daemons ---------------------------------------------------------------------------------------------------

    def start(self, name, *words):
        """Starts a program that stays in the foreground; what it says goes to /run/NAME.log."""
        script = f'echo $$ >/run/{name}.pid; exec "$@" >/run/{name}.log 2>&1 </dev/null'
        self.run("sh", "-c", f'(setsid sh -c \'{script}\' sh "$@") & true', "sh", *words)
        self.wait_until(f"test -s /run/{name}.pid")

    def running(self, name):
        return self.try_run(f"kill -0 $(cat /run/{name}.pid)").code == 0

    def stop(self, name):
        """Ends what start() began, and waits for it."""
        pid = self.path(f"/run/{name}.pid")
        self.try_run(f"p=$(cat /run/{name}.pid) && kill $p; while kill -0 $p; do sleep 0.05; done")
        pid.unlink()

    def syslog_tail(self, lines=40):
        done = self.try_run(f"tail -n {lines} /run/*.log 2>/dev/null")
        return f"--- log of {self.name}\n{done.output}"
