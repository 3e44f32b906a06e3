# SPDX-License-Identifier: BSD-2-Clause
"""The fixtures of the VPN room: real VPN software in user-mode-linux guests around the router of the namespace tests.

      10.77.0.0/24                  198.51.100.0/24
  C1 .21 ──┐                                                     .1 ┌── 198.18.1.10  S1
  C2 .22 ──B ──── lan0 .1  [ R: culvertd ]  wan0 .2 ──── .1  X ─────┤
  C3 .23 ──┘      (bridge)                          (router)     .1 └── 198.18.2.10  S2

Guests are booted once, all at one time. As in the namespace tests, one culvertd serves the tests in a row that want
the same configuration, CULVERTD names it, and ROUTER=kernel puts the kernel's own NAT with its PPTP helper in its
place, to check the room itself.
"""
import os
import pathlib
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "netns")]

import software  # noqa: E402
from box import Box  # noqa: E402
from guest import Guest, boot, guest_software  # noqa: E402
from helper import KernelWithHelper  # noqa: E402
from lab import Lab  # noqa: E402
from namespace import Namespace, sweep_leftovers  # noqa: E402
from router import Culvert, find_culvertd  # noqa: E402

KIND = os.environ.get("ROUTER", "culvert")
LAN_GUESTS = {"C1": "10.77.0.21", "C2": "10.77.0.22", "C3": "10.77.0.23"}
WAN_GUESTS = {"S1": "198.18.1.", "S2": "198.18.2."}


def pytest_configure(config):
    config.addinivalue_line("markers", "config(sections): the configuration beyond the two interfaces")
    config.addinivalue_line("markers", "culvert_only(why): the kernel's own NAT is known to behave differently")
    sweep_leftovers()


def pytest_collection_modifyitems(items):
    for item in items:
        if KIND == "kernel" and (mark := item.get_closest_marker("culvert_only")):
            item.add_marker(pytest.mark.skip(reason=f"ROUTER=kernel: {mark.args[0]}"))


@pytest.fixture(scope="session")
def software_folders():
    """The VPN software. What is missing is said and stops the room: nothing of it can be tested without."""
    if os.geteuid() != 0:
        pytest.exit("the VPN room makes network namespaces and needs root", 3)
    try:
        if KIND == "culvert":
            find_culvertd()
        folders = guest_software()
        software.find_kernel(folders[0])
        return folders
    except (FileNotFoundError, software.Missing) as missing:
        pytest.exit(str(missing), 3)


@pytest.fixture(scope="session")
def room(software_folders):
    """The lab with its router and guests: room.C1, room.lab, room.router."""
    room = Room()
    try:
        room.build(software_folders)
        yield room
    finally:
        room.close()


class Room:
    def __init__(self):
        self.lab = self.router = None
        self.guests = {}
        self.folder = tempfile.TemporaryDirectory(prefix="culvert-vpn-")

    def build(self, folders):
        self.lab = Lab("vpn")
        self.router = KernelWithHelper(self.lab) if KIND == "kernel" else Culvert(self.lab)
        for name, address in LAN_GUESTS.items():
            guest = self.guests[name] = Guest(name, self.lab.B, f"{address}/24", "10.77.0.1", self.folder.name)
            guest.start(folders, master="br0")
        for name, network in WAN_GUESTS.items():
            guest = self.guests[name] = Guest(name, self.lab.X, f"{network}10/24", f"{network}1", self.folder.name)
            guest.start(folders, host_address=f"{network}1/24")
        print(f"{len(self.guests)} guests up after {boot(self.guests.values()):.1f} s")

    def close(self):
        if self.router:
            self.router.close()
        for guest in self.guests.values():
            guest.close()
        if self.lab:
            self.lab.close()
        self.folder.cleanup()

    def __getattr__(self, name):
        try:
            return self.__dict__["guests"][name]
        except KeyError:
            raise AttributeError(name) from None


class BoxRoom:
    """The lab and its router with boxes instead of guests: room.L1, room.L2, room.W1, room.W2, addresses as in
    tests/netns, and further hosts on the LAN. A file that wants it has a fixture `room` of its own that gives it."""

    def __init__(self, *sets):
        self.sets = sets
        self.boxes, self.extra = {}, []
        self.lab = self.router = None

    def build(self, hosts=()):
        """hosts: how the LAN's hosts beyond L1 and L2 are called; they have the addresses 10.77.0.13 and so on."""
        self.lab = Lab("box")
        self.router = KernelWithHelper(self.lab) if KIND == "kernel" else Culvert(self.lab)
        for name in ("L1", "L2", "W1", "W2"):
            self.boxes[name] = Box(self.lab.spaces[name], name, self.lab.address(name), self.sets)
        for number, name in enumerate(hosts, 13):
            self.add_host(name, f"10.77.0.{number}")

    def add_host(self, name, address):
        space = Namespace(f"box-{name}")
        self.extra.append(space)
        port = f"to_{name.lower()}"
        self.lab.B.ip(
            f"link add {port} type veth peer name eth0 netns {space.name}",
            f"link set {port} master br0 up",
        )
        space.ip(
            "link set lo up",
            "link set eth0 up",
            f"address add {address}/24 dev eth0",
            "route add default via 10.77.0.1",
        )
        self.boxes[name] = Box(space, name, address, self.sets)

    def close(self):
        if self.router:
            self.router.close()
        for box in self.boxes.values():
            box.close()
        for space in self.extra:
            space.remove()
        if self.lab:
            self.lab.close()

    def __getattr__(self, name):
        try:
            return self.__dict__["boxes"][name]
        except KeyError:
            raise AttributeError(name) from None


@pytest.fixture
def router(room, request):
    """The router, running with the configuration that the test's marks say, and judged after the test."""
    sections = {}
    for mark in request.node.iter_markers("config"):
        for section, keys in mark.args[0].items():
            sections[section] = {**keys, **sections.get(section, {})}
    router = room.router
    if router.alive() and router.config != sections:
        router.stop()
    if not router.alive():
        router.start(sections)
    room.lab.guard.leaks()
    low, high = map(int, room.lab.R.read_sysctl("net/ipv4/ip_local_port_range").split())
    room.lab.guard.host_ports = set() if KIND == "kernel" else set(range(low, high + 1))
    yield router
    leaks = room.lab.guard.leaks()
    assert not leaks, "\n".join(leaks[:10])
    if KIND == "culvert":
        assert router.alive(), f"culvertd ended\n{router.log()[-3000:]}"
        problems = router.statistics().problems()
        assert not problems, "\n".join(problems)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of the daemon's log and its statistics."""
    outcome = yield
    report = outcome.get_result()
    room = item.funcargs.get("room") if hasattr(item, "funcargs") else None
    if report.failed and room is not None and KIND == "culvert" and room.router is not None and room.router.alive():
        report.sections.append(("culvertd log (end)", "\n".join(room.router.events()[-30:])))
        report.sections.append(("culvertd statistics", room.router.statistics().text))
