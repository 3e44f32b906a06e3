# SPDX-License-Identifier: BSD-2-Clause
"""The fixtures of the namespace tests: real kernel stacks around one culvertd, seen as a black box.

      10.77.0.0/24                  198.51.100.0/24                     203.0.113.0/24
  L1 .11 ──┐                                                     .1 ┌── .10 .11  W1
           B ──── lan0 .1  [ R: culvertd ]  wan0 .2 ──── .1  X ─────┤
  L2 .12 ──┘      (bridge)                          (router)     .1 └── .10 .11  W2
                                                                        192.0.2.0/24
  Raw peers, addresses on the same links that no kernel owns:
  L1 .101 .103, L2 .102 .104, W1 .101 .102, W2 .101 .102, and X on the WAN link itself .101 .102

One lab of seven namespaces is shared by the tests of a file, and one culvertd by all tests in a row that want the
same configuration (@pytest.mark.config). After every test that uses `router`: the daemon lives, nothing that belongs
inside was seen on the WAN, no answer came from the router's kernel, and every packet received is accounted for.

CULVERTD names the program. ROUTER=kernel runs what it can against the kernel's own NAT, to check the tests themselves.
"""
import os
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kernel_util import Place  # noqa: E402
from lab import THIRD, Lab  # noqa: E402
from namespace import sweep_leftovers  # noqa: E402
from reference import Kernel  # noqa: E402
from router import OFFLOADS_OFF, Culvert, find_culvertd  # noqa: E402

KIND = os.environ.get("ROUTER", "culvert")
FAR_FUTURE = 100000000


def pytest_configure(config):
    config.addinivalue_line("markers", "config(sections): the configuration beyond the two interfaces")
    config.addinivalue_line("markers", "culvert_only(why): the kernel's own NAT is known to behave differently")
    config.addinivalue_line("markers", "offload(on): the lab's links and the daemon with or without offloads")
    # A run that a script put into the background ignores these, and what it starts would inherit that.
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        sweep_leftovers()


def pytest_collection_modifyitems(items):
    if KIND == "culvert" and any("lab" in item.fixturenames for item in items):
        try:
            find_culvertd()
        except FileNotFoundError as missing:
            pytest.exit(str(missing), 3)
    for item in items:
        if KIND == "kernel" and (mark := item.get_closest_marker("culvert_only")):
            item.add_marker(pytest.mark.skip(reason=f"ROUTER=kernel: {mark.args[0]}"))


@pytest.fixture(scope="session", autouse=True)
def needs_root():
    if os.geteuid() != 0:
        pytest.exit("the namespace tests make network namespaces and need root", 3)
    if subprocess.run(["ip", "netns", "list"], capture_output=True, check=False).returncode != 0:
        pytest.exit("the namespace tests need ip(8) with network namespaces", 3)


@pytest.fixture(scope="module")
def lab_offload():
    """Whether the links of a file's lab have their offloads; test files override it to be run both ways."""
    return not OFFLOADS_OFF


@pytest.fixture(scope="module")
def lab(request, lab_offload):
    lab = Lab(request.module.__name__.removeprefix("test_")[:8], lab_offload)
    yield lab
    try:
        if lab.router and lab.router.alive():
            lab.router.stop()
    finally:
        if lab.router:
            lab.router.close()
            lab.router = None
        lab.close()


@pytest.fixture
def router(lab, request):
    """The router, running with the configuration that the test's marks say, and judged after the test."""
    sections = {}
    for mark in request.node.iter_markers("config"):
        for section, keys in mark.args[0].items():
            sections[section] = {**keys, **sections.get(section, {})}
    if lab.router is None:
        lab.router = Kernel(lab) if KIND == "kernel" else Culvert(lab)
    if lab.router.alive() and lab.router.config != sections:
        lab.router.stop()
    if not lab.router.alive():
        lab.router.start(sections)
    lab.guard.leaks()
    lab.guard.host_ports = router_ports(lab)
    lab.router.allow = lambda ip: False
    yield lab.router
    judge(lab)


def in_the_future(seconds):
    """unshare(1) makes the namespace for children only (but from Linux 6.3 on), so it is entered, too."""
    return [
        *("unshare", "--time", "--monotonic", str(seconds)),
        *("nsenter", "--time=/proc/self/ns/time_for_children"),
    ]


@pytest.fixture
def jump(router):
    """jump(seconds): the daemon is killed, and its successor lives that many seconds later than the rest of the world,
    in a time namespace of its own."""
    program = "import time; print(time.monotonic())"
    command = [*in_the_future(FAR_FUTURE), sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a program cannot be started in a time of its own here: {done.stderr.strip()}")
    assert float(done.stdout) > FAR_FUTURE
    normal = router.command

    def jump(seconds):
        router.kill()
        router.command = lambda *options: [*in_the_future(seconds), *normal(*options)]
        router.start(router.config)

    yield jump
    router.command = normal
    if router.alive():
        problems = router.statistics().problems()
        router.stop()
        assert not problems, "\n".join(problems)


def router_ports(lab):
    """The ports from which the router's own connections come: its kernel answers for them."""
    low, high = map(int, lab.R.read_sysctl("net/ipv4/ip_local_port_range").split())
    return set() if KIND == "kernel" else set(range(low, high + 1))


def judge(lab):
    """What must hold after every test, whatever it did."""
    router = lab.router
    leaks = lab.guard.leaks(router.allow)
    assert not leaks, "\n".join(leaks[:10])
    if KIND == "kernel":
        return
    assert (
        router.alive() or router.process is None
    ), f"culvertd ended with {router.process.poll()}\n{router.log()[-3000:]}"
    if router.alive():
        problems = router.statistics().problems()
        assert not problems, "\n".join(problems)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of the daemon's log and what it has counted."""
    outcome = yield
    report = outcome.get_result()
    lab = item.funcargs.get("lab") if hasattr(item, "funcargs") else None
    if report.failed and lab is not None and getattr(lab, "router", None) is not None:
        report.sections.append(("culvertd log (end)", "\n".join(lab.router.events()[-30:])))
        if KIND == "culvert" and lab.router.alive():
            report.sections.append(("culvertd statistics", lab.router.statistics().text))


@pytest.fixture
def daemon(lab):
    """A daemon for tests of starts and stops, in a directory of its own; it does not run yet."""
    instance = Culvert(lab)
    instance.configure({})
    yield instance
    instance.close()


@pytest.fixture
def place():
    """Three namespaces for a kernel_probe."""
    place = Place("kern")
    yield place
    place.close()


@pytest.fixture(scope="module")
def third_client(lab):
    """L2 has a second address, lab.THIRD: a third client."""
    lab.L2.ip(f"address add {THIRD}/24 dev eth0")
