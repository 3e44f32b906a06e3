#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the WAN's network and the kernel's tables do to a host's packets, with culvertd and with nft masquerade.

    client 10.77.0.2 .3 --- lan0 [router] wan0 203.0.113.2/16 --- 203.0.113.1/16, and 500 peers, server

scan: .3 tries random addresses of the WAN's own network, which nobody has. churn: tens of thousands of routes, ten of
them change each second, and .3 sends to 500 peers on the WAN link. Meanwhile datagrams of .2 are echoed by the server:
how many are lost, and how long they take, beside the same without load. Of culvertd, the processor time of a tick of
its loop while nothing flows is told, too.

All namespaces of a machine share the kernel's table of neighbours, and a scan through nft masquerade fills it: nothing
else should run meanwhile.
"""
import argparse
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import sys
import threading
import time

import bench
from bench import OUTSIDE, SERVER, run, running
from watched import inside

ECHO, SINK = 7003, 9
PEERS, TICK = 500, 2.0


def bound(space, address, port=0):
    with inside(space):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


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


def ping(seconds):
    """Shares of the datagrams lost, and the 99th percentile of their round trips in milliseconds."""
    took, sent = [], 0
    with bound("client", "10.77.0.2") as sock:
        sock.connect((SERVER, ECHO))
        sock.settimeout(1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            sock.send(b"%d" % sent)
            with contextlib.suppress(OSError):  # it is lost, or the echo is not there yet
                while sock.recv(100) != b"%d" % sent:
                    pass
                took.append(time.monotonic() - begin)
            sent += 1
            time.sleep(0.005)
    took.sort()
    return 1 - len(took) / sent, 1000 * took[int(len(took) * 0.99)] if took else float("inf")


def echo(stop):
    with bound("server", SERVER, ECHO) as sock:
        sock.settimeout(0.2)
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                data, sender = sock.recvfrom(2000)
                sock.sendto(data, sender)


def paced(rate, addresses):
    """A sender of .3's, to the addresses one after the other."""

    def send(stop):
        with bound("client", "10.77.0.3") as sock:
            sock.setblocking(False)
            begin, sent = time.monotonic(), 0
            while not stop.is_set():
                for _ in range(max(0, int((time.monotonic() - begin) * rate) - sent)):
                    with contextlib.suppress(OSError):
                        sock.sendto(b"x", (next(addresses), SINK))
                    sent += 1
                stop.wait(0.002)

    return thread(send)


def strangers():
    dice = random.Random(1)
    while True:
        yield "203.0.%d.%d" % (dice.randrange(120, 250), dice.randrange(1, 255))


def peers():
    while True:
        for number in range(PEERS):
            yield peer(number)


def peer(number):
    return "203.0.%d.%d" % (2 + number // 250, 1 + number % 250)


def churn(stop):
    number = 0
    while not stop.wait(0.1):
        verb = ("replace", "delete")[number % 2]
        run("ip", "route", verb, "192.0.2.%d/32" % (number // 2 % 250), "via", SERVER, space="router")
        number += 1


@contextlib.contextmanager
def churned(options):
    lines = ["route add 11.%d.%d.%d/32 via %s" % (number >> 16, number >> 8 & 255, number & 255, SERVER)
             for number in range(options.routes)]
    run("ip", "-batch", "-", space="router", text="\n".join(lines) + "\n", timeout=120)
    try:
        with thread(churn), paced(PEERS, peers()):
            time.sleep(5)  # until the peers are known
            yield
    finally:
        run("ip", "route", "flush", "via", SERVER, "root", "11.0.0.0/8", space="router", timeout=120)


@contextlib.contextmanager
def scanned(options):
    with paced(options.rate, strangers()):
        time.sleep(1)
        yield


def packets(device):
    """(given to the device, lost before somebody took them)"""
    shown = json.loads(run("ip", "-j", "-s", "link", "show", "dev", device, space="router"))[0]["stats64"]
    return shown["tx"]["packets"], shown["tx"]["dropped"]


def taken(router, before):
    if router == "kernel":
        return 1.0
    now = packets("cv0")
    took, lost = now[0] - before[0], now[1] - before[1]
    return took / max(1, took + lost)


def tick_of(process, seconds):
    """Milliseconds of processor time a tick while nothing flows."""

    def used():
        with open("/proc/%d/schedstat" % process.pid) as file:
            return int(file.read().split()[0])

    before = used()
    time.sleep(seconds)
    return (used() - before) / 1e6 / (seconds / TICK)


@contextlib.contextmanager
def culvert(options):
    path = os.path.join(options.work, "links.ini")
    with open(path, "w") as config:
        config.write("[lan]\ninterface = lan0\n[wan]\ninterface = wan0\n")
    with running(options.culvertd, "-c", path, "-f", "--state-dir", os.path.join(options.work, "state"),
                 space="router", ready="forwarding", log=os.path.join(options.work, "links.log")) as process:
        yield process


ROUTERS = {"kernel": bench.kernel_nat, "culvert": culvert}
LOADS = {"scan": scanned, "churn": churned}


def measure(options, load, router):
    found = {}
    with ROUTERS[router](options) as process, thread(echo):
        ping(1)
        found["lost, idle"], found["p99, idle"] = ping(options.seconds)
        with LOADS[load](options):
            before = packets("cv0") if process else None
            found["lost"], found["p99"] = ping(options.seconds)
            found["taken"] = taken(router, before)
            if process and load == "churn":
                found["load"] = tick_of(process, 4 * TICK)
        if process:
            found["tick"] = tick_of(process, 4 * TICK)
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
    print("%-6s %-8s lost %5.1f %%  p99 %8.2f ms  idle %8.2f ms  ratio %5.2f  taken %5.1f %%%s%s" % (
        load, router, 100 * middle["lost"], middle["p99"], middle["p99, idle"], middle["p99"] / middle["p99, idle"],
        100 * middle["taken"], "  tick %.3f ms" % middle["tick"] if "tick" in middle else "",
        "  with the load %.2f ms" % middle["load"] if "load" in middle else ""), flush=True)


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
