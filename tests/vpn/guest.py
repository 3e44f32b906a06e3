# SPDX-License-Identifier: BSD-2-Clause
"""Guests: user-mode-linux machines, each one process of the host, with a kernel that has PPP whatever the host's has.

A guest's root is the host's, read-only, under a file system in memory (guest_init.py); its one network device is a
TAP device in a namespace of the lab. Commands go in and answers come out over a serial line that is a socket here.
"""
import collections
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import software

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MIB = 192
BOOT_SECONDS = 300
# gre: without it a guest's kernel answers "protocol unreachable" when data of a call comes late and its program is
# gone. pptpd takes that for the end of every call from the same address, and all hosts behind a NAT have the same.
MODULES = ["gre", "ppp_async", "ppp_synctty", "ppp_mppe", "ppp_deflate", "l2tp_ppp"]
# ESP and AH, with AES-GCM and with AES-CBC and HMAC-SHA; drbg makes what their sequences start from.
MODULES += ["esp4", "ah4", "xfrm_user", "authenc", "hmac", "cbc", "gcm", "ghash_generic", "ctr", "seqiv", "echainiv"]
MODULES += ["sha512_generic", "drbg", "tun"]
SETS = ["guests", "libreswan", "strongswan"]

Result = collections.namedtuple("Result", "code output")


def guest_software():
    """The folders to lay over a guest's root; the kernel is in the first."""
    return [software.prepare(name) for name in SETS]


class Guest:
    """One machine. start() returns at once, wait() when it can be talked to; close() leaves nothing behind."""

    def __init__(self, name, namespace, address, gateway, folder):
        self.name, self.namespace, self.gateway = name, namespace, gateway
        self.address = address.split("/")[0]
        self.network = address
        self.device = f"tap{name.lower()}"
        self.folder = pathlib.Path(folder, name)
        self.console = self.folder / "console"
        self.process = None
        self.line = None
        self.reader = None
        self.lock = threading.Lock()
        self.pending = {}
        self.booted = None
        self.last = 0

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self, folders, master=None, host_address=None):
        """folders is what guest_software() gave. The TAP device becomes a port of the bridge master, or gets an
        address of its own."""
        kernel, modules = software.find_kernel(folders[0])
        self.folder.mkdir(parents=True)
        self.namespace.ip(f"tuntap add {self.device} mode tap")
        if master:
            self.namespace.ip(f"link set {self.device} master {master}")
        if host_address:
            self.namespace.ip(f"address add {host_address} dev {self.device}")
        self.namespace.ip(f"link set {self.device} up")
        self.booted = self.pending[0] = concurrent.futures.Future()
        self.line, far = socket.socketpair()
        variables = {
            "guest_name": self.name,
            "guest_software": ",".join(map(str, folders)),
            "guest_modules": modules,
            "guest_address": self.network,
            "guest_gateway": self.gateway,
            "guest_load": ",".join(MODULES),
        }
        command = [
            kernel,
            f"mem={MEMORY_MIB}M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            f"init={HERE / 'guest_init.py'}",
            "quiet",
            "panic=-1",
            f"umid={self.name}",
            f"uml_dir={self.folder}",
            "con=null",
            "con0=null,fd:1",
            "ssl=null",
            f"ssl0=fd:{far.fileno()}",
            f"vec0:transport=tap,ifname={self.device},depth=128,gro=1",
            *(f"{key}={value}" for key, value in variables.items()),
        ]
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen(
                self.namespace.command(*command),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                pass_fds=[far.fileno()],
                start_new_session=True,
                env={**os.environ, "TMPDIR": memory_folder(self.folder)},
            )
        far.close()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return self

    def wait(self, timeout=BOOT_SECONDS):
        """Until the guest has its network and takes commands."""
        self._result(self.booted, timeout, "boot")
        return self

    def close(self):
        """Closing the line makes the guest power off; if it does not, its processes are ended."""
        if self.process is None:
            return
        self.line.shutdown(socket.SHUT_RDWR)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(60)
        self.reader.join(5)
        self.line.close()
        self.process = None
        self.namespace.ip(f"link delete {self.device}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # --- the line --------------------------------------------------------------------------------------------------

    def _read(self):
        rest = b""
        while True:
            try:
                data = self.line.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                answer = json.loads(line)
                self.pending.pop(answer["id"]).set_result(Result(answer["code"], answer["output"]))
        for future in list(self.pending.values()):
            future.cancel()

    def _ask(self, **request):
        with self.lock:
            self.last += 1
            request["id"] = self.last
            future = self.pending[self.last] = concurrent.futures.Future()
            data = json.dumps(request).encode() + b"\n"
            # The guest's terminal holds 4 KiB that nobody has read yet.
            assert len(data) < 3000, "a request to a guest must be short: put it into a file"
            self.line.sendall(data)
        return future

    def _result(self, future, timeout, what):
        try:
            return future.result(timeout)
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            state = "does not answer" if self.alive() else "has ended"
            raise AssertionError(f"guest {self.name} {state}: {what}\n{self.console_tail()}") from None

    # --- commands --------------------------------------------------------------------------------------------------

    def begin(self, *words, timeout=90):
        """Starts a command; the function that comes back waits for its (code, output). One word is a line for sh."""
        command = ["sh", "-c", words[0]] if len(words) == 1 else [str(word) for word in words]
        future = self._ask(command=command, timeout=timeout)
        return lambda: self._result(future, timeout + 30, " ".join(command))

    def try_run(self, *words, timeout=90):
        return self.begin(*words, timeout=timeout)()

    def run(self, *words, timeout=90):
        """A command that must succeed; its output."""
        done = self.try_run(*words, timeout=timeout)
        if done.code != 0:
            raise AssertionError(f"guest {self.name}: {' '.join(map(str, words))}: exit {done.code}\n{done.output}")
        return done.output

    def write(self, path, text):
        done = self._result(self._ask(path=path, text=text), 90, f"write {path}")
        assert done.code == 0, f"guest {self.name}: {path}: {done.output}"

    def wait_until(self, line, timeout=90):
        """Until a line for sh succeeds."""
        self.run(f"until {line}; do sleep 0.1; done", timeout=timeout)

    def console_tail(self):
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return f"--- console of {self.name}\n" + "\n".join(text.splitlines()[-30:])

    def syslog_tail(self, lines=40):
        done = self.try_run(f"dmesg | tail -n 5; tail -n {lines} /run/syslog /run/*.log 2>/dev/null")
        return f"--- log of {self.name}\n{done.output}"


def memory_folder(fallback):
    """Where a guest's memory is: /dev/shm, unless it is as small as a container's."""
    shared = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    if shared and shared.f_bavail * shared.f_frsize > 8 * MEMORY_MIB << 20:
        return "/dev/shm"
    return str(fallback)


def boot(guests, timeout=BOOT_SECONDS):
    """Waits for guests that were started, all at one time; how long it took."""
    begin = time.monotonic()
    for guest in guests:
        guest.wait(timeout - (time.monotonic() - begin))
    return time.monotonic() - begin
