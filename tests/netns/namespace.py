# SPDX-License-Identifier: BSD-2-Clause
"""Network namespaces of the tests' own: made, entered and removed here.

Sockets are made by entering a namespace for the moment of socket(2): they stay where they were born, so one Python
thread can hold both ends of a conversation. Commands run through nsenter. Names begin with PREFIX and the process id;
what a killed run left behind is swept by the next one.
"""
import contextlib
import ctypes
import json
import os
import re
import socket
import subprocess
import time

PREFIX = "cvt"
RUN = "/run/netns"
CLONE_NEWNET = 0x40000000
LIMIT = 15  # seconds in which what must come has come, however busy the machine is

_libc = ctypes.CDLL(None, use_errno=True)


def _set_namespace(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def sweep_leftovers():
    """Removes namespaces of test processes that no longer live."""
    if not os.path.isdir(RUN):
        return
    for name in os.listdir(RUN):
        pid = name[len(PREFIX) :].split("-")[0] if name.startswith(PREFIX) else ""
        if pid.isdigit() and not os.path.isdir(f"/proc/{pid}"):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


class Namespace:
    """One namespace; remove() ends what still runs in it and deletes it."""

    def __init__(self, name):
        self.name = f"{PREFIX}{os.getpid()}-{name}"
        self.path = f"{RUN}/{self.name}"
        self.children = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def remove(self):
        for child in self.children:
            stop_child(child)
        os.close(self.fd)
        subprocess.run(["ip", "netns", "delete", self.name], check=False)

    @contextlib.contextmanager
    def entered(self):
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(self.fd)
            yield self
        finally:
            _set_namespace(home)
            os.close(home)

    def socket(self, family, kind, protocol=0):
        with self.entered():
            return socket.socket(family, kind, protocol)

    def command(self, *words):
        return ["nsenter", f"--net={self.path}", "--", *map(str, words)]

    def run(self, *words, check=True, timeout=60, **options):
        """Runs a command to its end; its output comes back as text, and in the message of a failure."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=timeout, **options)
        if check and done.returncode != 0:
            raise AssertionError(
                f"{self.name}: {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def ping(self, address, count, *options):
        """Sends echo requests until so many answers have come; fails if they do not come in time."""
        said = self.run("ping", "-n", "-c", count, "-i", "0.01", "-w", LIMIT, *options, address).stdout
        answers = int(re.search(r"(\d+) received", said)[1])
        assert answers >= count and "+" not in said, said

    def start(self, *words, **options):
        """Starts a command that lives until stop_child() or the end of the namespace."""
        child = subprocess.Popen(self.command(*words), **options)
        self.children.append(child)
        return child

    def ip(self, *lines):
        """`ip` commands, one a line, in one process."""
        subprocess.run(
            ["ip", "-n", self.name, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True, timeout=60
        )

    def ip_json(self, *words):
        done = subprocess.run(
            ["ip", "-n", self.name, "-j", *words], capture_output=True, text=True, check=True, timeout=60
        )
        return json.loads(done.stdout or "[]")

    def read_sysctl(self, key):
        with self.entered(), open(f"/proc/sys/{key}", encoding="ascii") as file:
            return file.read().strip()

    def set_sysctl(self, key, value):
        with self.entered(), open(f"/proc/sys/{key}", "w", encoding="ascii") as file:
            file.write(f"{value}\n")

    def mac(self, device):
        return self.ip_json("link", "show", "dev", device)[0]["address"]


def stop_child(child, timeout=LIMIT):
    """Ends a process that start() began: politely, then not."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout)


def read_state(namespace):
    """What an orderly stop must leave as it was: links, addresses, routes of all tables, rules, nft, sysctls."""
    # IPv6 addresses of new links become routes of their own a second or two later.
    end = time.monotonic() + LIMIT
    while namespace.run("ip", "-6", "address", "show", "tentative").stdout and time.monotonic() < end:
        time.sleep(0.05)
    state = {}
    for words in (
        ["link"],
        ["addr"],
        ["route", "show", "table", "all"],
        ["rule"],
        ["-6", "route", "show", "table", "all"],
        ["-6", "rule"],
    ):
        state["ip " + " ".join(words)] = namespace.ip_json(*words)
    for link in state["ip link"]:
        link.pop("group", None)
    state["nft"] = namespace.run("nft", "list", "ruleset").stdout
    state["neighbours"] = [entry for entry in namespace.ip_json("neigh") if "PERMANENT" in entry.get("state", [])]
    with namespace.entered():
        for top in ("/proc/sys/net/ipv4", "/proc/sys/net/ipv6", "/proc/sys/net/core"):
            for folder, _, names in os.walk(top):
                for name in names:
                    with contextlib.suppress(OSError):
                        with open(os.path.join(folder, name), encoding="ascii", errors="replace") as file:
                            state[os.path.join(folder, name)] = file.read()
    # What changes without anybody's doing.
    for name in ("/proc/sys/net/ipv4/route/gc_elasticity", "/proc/sys/net/core/flow_limit_cpu_bitmap"):
        state.pop(name, None)
    return state


def compare_states(before, after):
    """The differences of two read_state(), in words; empty if there are none."""
    return [
        f"{key}:\n  before {before.get(key)}\n  after  {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
