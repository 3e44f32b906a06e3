#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the WAN's network and the kernel's tables do to a host's packets, with culvertd and with nft masquerade.

    client 10.77.0.2 .3 --- lan0 [router] wan0 203.0.113.2/16 --- 203.0.113.1/16, and 500 peers, server

scan: .3 tries random addresses of the WAN's own network, which nobody has. churn: tens of thousands of routes, ten of
them change each second, and .3 sends to 500 peers on the WAN link. Meanwhile datagrams of .2 are echoed by the server:
how many are lost, and how long they take, beside the same without load. Of culvertd, the processor time of a tick of
its loop is told, too: all that it uses while nothing flows, with the routes there.

All namespaces of a machine share the kernel's table of neighbours, and a scan through nft masquerade fills it: nothing
else should run meanwhile.
"""
import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

import bench
from bench import OUTSIDE, SERVER, run, running

ECHO, SINK = "7003", "9"
PEERS, STRANGERS, TICK = 500, 30000, 2.0


@contextlib.contextmanager
def thread(work):
    """work(stop) runs until the block ends."""
    stop = threading.Event()
    worker = threading.Thread(target=work, args=(stop,), daemon=True)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def ping(options, seconds):
    """Shares of the datagrams lost, and the 99th percentile of their round trips in milliseconds."""
    text = run(options.traffic, "ping", SERVER, ECHO, str(seconds), "5", space="client", timeout=seconds + 20)
    _, highest, lost = map(float, text.split())
    return lost, highest / 1000


@contextlib.contextmanager
def scattered(options, rate, addresses):
    """A sender of .3's, to the addresses one after the other."""
    path = os.path.join(options.work, "addresses")
    with open(path, "w") as file:
        file.writelines(address + "\n" for address in addresses)
    with open(path) as file, running(options.traffic, "scatter", "10.77.0.3", SINK, str(rate), space="client",
                                     ready="ready", source=file):
        yield


def strangers():
    dice = random.Random(1)
    return ["203.0.%d.%d" % (dice.randrange(120, 250), dice.randrange(1, 255)) for _ in range(STRANGERS)]


def peer(number):
    return "203.0.%d.%d" % (2 + number // 250, 1 + number % 250)


@contextlib.contextmanager
def churn():
    """Ten changes a second, all by one process."""
    with running("ip", "-force", "-batch", "-", space="router", source=subprocess.PIPE) as changer:

        def write(stop):
            number = 0
            while not stop.wait(0.1):
                verb = ("replace", "delete")[number % 2]
                changer.stdin.write("route %s 192.0.2.%d/32 via %s\n" % (verb, number // 2 % 250, SERVER))
                changer.stdin.flush()
                number += 1

        with thread(write):
            yield


@contextlib.contextmanager
def routed(options):
    lines = ["route add 11.%d.%d.%d/32 via %s" % (number >> 16, number >> 8 & 255, number & 255, SERVER)
             for number in range(options.routes)]
    run("ip", "-batch", "-", space="router", text="\n".join(lines) + "\n", timeout=120)
    try:
        yield
    finally:
        run("ip", "route", "flush", "via", SERVER, "root", "11.0.0.0/8", space="router", timeout=120)


@contextlib.contextmanager
def churned(options):
    with churn(), scattered(options, PEERS, [peer(number) for number in range(PEERS)]):
        time.sleep(5)  # until the peers are known
        yield


@contextlib.contextmanager
def scanned(options):
    with scattered(options, options.rate, strangers()):
        time.sleep(1)
        yield


def packets(device):
    """(given to the device, lost before somebody took them)"""
    shown = json.loads(run("ip", "-j", "-s", "link", "show", "dev", device, space="router"))[0]["stats64"]
    return shown["tx"]["packets"], shown["tx"]["dropped"]


def taken(before):
    now = packets("cv0")
    took, lost = now[0] - before[0], now[1] - before[1]
    return took / max(1, took + lost)


def tick_of(process, count):
    """Milliseconds of processor time a tick while nothing flows, the median of so many."""

    def used():
        with open("/proc/%d/schedstat" % process.pid) as file:
            return int(file.read().split()[0]) / 1e6

    marks = [used()]
    for _ in range(count):
        time.sleep(TICK)
        marks.append(used())
    return statistics.median(after - before for before, after in zip(marks, marks[1:]))


@contextlib.contextmanager
def culvert(options):
    path = os.path.join(options.work, "links.ini")
    with open(path, "w") as config:
        config.write("[lan]\ninterface = lan0\n[wan]\ninterface = wan0\n")
    with running(options.culvertd, "-c", path, "-f", "--state-dir", os.path.join(options.work, "state"),
                 space="router", ready="forwarding", log=os.path.join(options.work, "links.log")) as process:
        yield process


ROUTERS = {"kernel": bench.kernel_nat, "culvert": culvert}
# What is there while it is idle, too, and what comes then.
LOADS = {"scan": (lambda options: contextlib.nullcontext(), scanned), "churn": (routed, churned)}


def wait_for_neighbours():
    """Until the kernel has room for neighbours again; the scan before has filled its table."""
    end = time.monotonic() + 60
    while True:
        try:
            return run("ping", "-c", "5", "-i", "0.2", "-W", "1", SERVER, space="client")
        except RuntimeError:
            if time.monotonic() > end:
                raise


def measure(options, load, router):
    found = {}
    stage, start = LOADS[load]
    with ROUTERS[router](options) as process, running(options.traffic, "echo", ECHO, space="server", ready="ready"):
        with stage(options):
            if process:
                time.sleep(2 * TICK)
                found["tick"] = tick_of(process, 9)
            wait_for_neighbours()
            found["lost, idle"], found["p99, idle"] = ping(options, options.seconds)
            with start(options):
                before = packets("cv0") if process else None
                found["lost"], found["p99"] = ping(options, options.seconds)
                if process:
                    found["taken"] = taken(before)
    return found


@contextlib.contextmanager
def wide_topology():
    with bench.topology():
        run("ip", "address", "add", "10.77.0.3/24", "dev", "eth0", space="client")
        for space, device, address in (("router", "wan0", OUTSIDE), ("server", "eth0", SERVER)):
            run("ip", "address", "flush", "dev", device, space=space)
            run("ip", "address", "add", address + "/16", "dev", device, space=space)
        run("ip", "route", "add", "default", "via", SERVER, space="router")
        lines = ["address add %s/16 dev eth0" % peer(number) for number in range(PEERS)]
        run("ip", "-batch", "-", space="server", text="\n".join(lines) + "\n", timeout=60)
        yield


def show(load, router, rounds):
    middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    own = "  taken %.1f %%  tick %.3f ms" % (100 * middle["taken"], middle["tick"]) if "tick" in middle else ""
    print("%-6s %-8s lost %5.1f %%  p99 %8.2f ms  idle %8.2f ms  ratio %5.2f%s" % (
        load, router, 100 * middle["lost"], middle["p99"], middle["p99, idle"], middle["p99"] / middle["p99, idle"],
        own), flush=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh links", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement (default 10)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, each with both routers (default 3)")
    parser.add_argument("--rate", type=int, default=2000, help="packets a second of the scan (default 2000)")
    parser.add_argument("--routes", type=int, default=50000, help="of the churn (default 50000)")
    parser.add_argument("--only", default=",".join(LOADS), help="loads: " + ",".join(LOADS))
    for hidden in ("--culvertd", "--tools", "--work"):
        parser.add_argument(hidden, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.traffic = os.path.join(options.tools, "traffic")
    with wide_topology():
        for load in options.only.split(","):
            rounds = {router: [] for router in ROUTERS}
            for _ in range(options.repeats):
                for router, found in rounds.items():
                    found.append(measure(options, load, router))
            for router, found in rounds.items():
                show(load, router, found)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
