# SPDX-License-Identifier: BSD-2-Clause
"""Three namespaces around kernel_probe, the program that drives src/io/kernel.h without an engine:

      L .11 ──── lan0 .1 [ R: kernel_probe ] wan0 .2 ──── .1 X
         10.77.0.0/24                     198.51.100.0/24
"""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

from lab import wait_for
from namespace import LIMIT, Namespace, compare_states, read_state
from wire import Capture, RawPeer

HERE = pathlib.Path(__file__).resolve().parent
LAN, WAN = "10.77.0.0/24", "198.51.100.0/24"
ROUTER_LAN, ROUTER_WAN, UPSTREAM, HOST = "10.77.0.1", "198.51.100.2", "198.51.100.1", "10.77.0.11"
HOP = "192.0.0.8"
REMOTE = "203.0.113.9"  # somewhere behind X; nobody is there
TABLE = "2747"


def find_probe():
    named = os.environ.get("KERNEL_PROBE")
    folders = [os.environ.get("top_builddir", "."), ".", "build", str(HERE.parent.parent / "build")]
    for candidate in [named] if named else [os.path.join(folder, "tests/netns/kernel_probe") for folder in folders]:
        if os.access(candidate, os.X_OK):
            return str(pathlib.Path(candidate).resolve())
    raise FileNotFoundError("no kernel_probe: make tests/netns/kernel_probe, and set KERNEL_PROBE to its path")


class Probe:
    """A running kernel_probe."""

    def __init__(self, place, *options):
        self.place = place
        self.log_path = place.folder / "probe.log"
        with open(self.log_path, "ab") as log:
            self.log_from = log.tell()
            self.process = place.R.start(
                find_probe(),
                "--lan",
                "lan0",
                "--state-dir",
                place.state,
                *options,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        self.buffer = b""
        self.packets = []

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            log.seek(self.log_from)
            return log.read()

    def read_line(self, timeout=LIMIT):
        """The next answer; packets that reached the TUN meanwhile are kept in self.packets."""
        end = time.monotonic() + timeout
        while True:
            while b"\n" in self.buffer:
                line, self.buffer = self.buffer.split(b"\n", 1)
                if line.startswith(b"tun "):
                    self.packets.append(bytes.fromhex(line[4:].decode()))
                else:
                    return line.decode()
            left = end - time.monotonic()
            if left < 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            self.buffer += data

    def ready(self):
        line = self.read_line()
        assert line == "ready", f"{line!r} {self.process.poll()}\n{self.log()}"
        return self

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        line = self.read_line()
        assert line is not None, f"no answer to {command}\n{self.log()}"
        return line

    def links(self):
        return json.loads(self.ask("links"))

    def tun_packets(self, settle=0.2):
        """What reached the TUN. Between two answers the probe has looked at what was there before."""
        for _ in range(2):
            self.links()
        end = time.monotonic() + settle
        while self.read_line(end - time.monotonic()) is not None:
            pass
        packets, self.packets = self.packets, []
        return packets

    def stop(self):
        self.process.terminate()
        code = self.process.wait(LIMIT)
        assert "runtime error" not in self.log() and "Sanitizer" not in self.log(), self.log()
        return code

    def kill(self):
        # nsenter has become the probe: no other process is in between
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(LIMIT)


class Place:
    """The three namespaces; close() leaves nothing behind."""

    def __init__(self, label):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="culvert-kernel-"))
        self.state = self.folder / "state"
        self.spaces = []
        self.peers = []
        try:
            self.L, self.R, self.X = (self._space(f"{label}-{name}") for name in "LRX")
            self._wire()
        except BaseException:
            self.close()
            raise

    def _space(self, name):
        space = Namespace(name)
        self.spaces.append(space)
        # Otherwise IPv6 addresses come and go by themselves while states are compared.
        space.set_sysctl("net/ipv6/conf/default/accept_dad", 0)
        space.ip("link set lo up")
        return space

    def _wire(self):
        self.R.ip(
            f"link add lan0 type veth peer name eth0 netns {self.L.name}",
            f"address add {ROUTER_LAN}/24 dev lan0",
            "link set lan0 up",
        )
        self.L.ip("link set eth0 up", f"address add {HOST}/24 dev eth0", f"route add default via {ROUTER_LAN}")
        self.wire_wan()
        self.X.ip(f"route add {LAN} via {ROUTER_WAN}")  # so that a leak would find its way
        for device in ("lan0", "wan0"):
            wait_for(lambda: self.R.ip_json("link", "show", "dev", device)[0]["operstate"] == "UP", f"{device} is up")
        # The kernel gives links their IPv6 addresses a little later.
        wait_for(lambda: str(self.R.ip_json("-6", "addr")).count("'fe80:") == 2, "IPv6 addresses of both links")
        for space in (self.L, self.X):
            space.set_sysctl("net/ipv4/icmp_ratelimit", 0)

    def wire_wan(self):
        self.R.ip(
            f"link add wan0 type veth peer name eth0 netns {self.X.name}",
            f"address add {ROUTER_WAN}/24 dev wan0",
            "link set wan0 up",
            f"route add default via {UPSTREAM}",
        )
        self.X.ip("link set eth0 up", f"address add {UPSTREAM}/24 dev eth0")

    def start(self, *options):
        return Probe(self, *options).ready()

    def run(self, *options, timeout=30):
        """A probe that is expected to end by itself."""
        return subprocess.run(
            self.R.command(find_probe(), "--state-dir", self.state, *options),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def remote(self, address=REMOTE):
        """A host beyond X, made of a socket."""
        peer = RawPeer(self.X, "eth0", address, self.R.mac("wan0"))
        self.peers.append(peer)
        return peer

    def capture_wan(self):
        return Capture(self.X, "eth0")

    def capture_lan(self):
        return Capture(self.L, "eth0")

    def close(self):
        for peer in self.peers:
            peer.close()
        for space in self.spaces:
            space.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


def rules(place):
    return [
        (rule["priority"], rule.get("dst"), rule.get("table"), rule.get("action")) for rule in place.R.ip_json("rule")
    ]


def outside_of(place):
    """The addresses the guard's rules name."""
    return sorted({rule["dst"] for rule in place.R.ip_json("rule") if rule["priority"] == 101})


def assert_same(before, place):
    differences = compare_states(before, read_state(place.R))
    assert not differences, "\n".join(differences)
