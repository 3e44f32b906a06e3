#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""culvertd beside the kernel's nft masquerade, alternating in one run on one topology.

    client 10.77.0.2 --- lan0 [router] wan0 203.0.113.2 --- 203.0.113.1 server

Client, router and server are network namespaces of this machine and share its processors, so that ratios mean more than
figures. Each measurement is made once a round with each router, in turn; the table shows medians. Processor time is
that of the whole machine while the measurement ran, since the kernel's NAT has no process of its own.
"""
import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time

PREFIX = "cvbench%d-" % os.getpid()
SERVER, OUTSIDE = "203.0.113.1", "203.0.113.2"
SPARE = 20  # seconds that a tool may take longer than it measures


def run(*command, space=None, timeout=SPARE, text=None):
    if space:
        command = ("ip", "netns", "exec", PREFIX + space) + command
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(command), done.returncode,
                                                (done.stderr or done.stdout).strip()[-300:]))
    return done.stdout


@contextlib.contextmanager
def running(*command, space, ready=None, log=None, seconds=SPARE, source=None):
    """A program in a namespace, from the line with `ready` on until the block ends. Yields the process."""
    output = open(log, "w+") if log else subprocess.PIPE
    process = subprocess.Popen(("ip", "netns", "exec", PREFIX + space) + command, stdin=source, stdout=output,
                               stderr=subprocess.STDOUT, text=True)
    try:
        end = time.monotonic() + seconds
        while ready and time.monotonic() < end:
            if process.poll() is not None:
                break
            if log:
                with open(log) as written:
                    if ready in written.read():
                        break
                time.sleep(0.05)
            elif ready in process.stdout.readline():
                break
        else:
            if ready:
                raise RuntimeError("%s: no line with '%s'" % (command[0], ready))
        if process.poll() is not None:
            raise RuntimeError("%s ended: %s" % (command[0], open(log).read() if log else process.stdout.read()))
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if log:
            output.close()
        else:
            process.stdout.close()


@contextlib.contextmanager
def topology():
    spaces = ("client", "router", "server")
    try:
        for space in spaces:
            run("ip", "netns", "add", PREFIX + space)
            run("ip", "link", "set", "lo", "up", space=space)
        for device, space in (("lan0", "client"), ("wan0", "server")):
            run("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", PREFIX + space,
                space="router")
        for space, device, address in (("client", "eth0", "10.77.0.2/24"), ("router", "lan0", "10.77.0.1/24"),
                                       ("router", "wan0", OUTSIDE + "/24"), ("server", "eth0", SERVER + "/24")):
            run("ip", "address", "add", address, "dev", device, space=space)
            run("ip", "link", "set", device, "up", space=space)
        run("ip", "route", "add", "default", "via", "10.77.0.1", space="client")
        run("ip", "route", "add", "default", "via", SERVER, space="router")
        yield
    finally:
        for space in spaces:
            subprocess.run(("ip", "netns", "delete", PREFIX + space), capture_output=True)


@contextlib.contextmanager
def kernel_nat(options):
    run("sysctl", "-qw", "net.ipv4.ip_forward=1", space="router")
    run("nft", "-f", "-", space="router", text="""
        table ip bench {
            chain out {
                type nat hook postrouting priority 100
                oifname "wan0" masquerade
            }
        }
    """)
    try:
        yield
    finally:
        run("nft", "delete", "table", "ip", "bench", space="router")
        run("sysctl", "-qw", "net.ipv4.ip_forward=0", space="router")


@contextlib.contextmanager
def culvert(options):
    path = os.path.join(options.work, "culvert.ini")
    with open(path, "w") as config:
        config.write("[lan]\ninterface = lan0\n[wan]\ninterface = wan0\noffload = %s\n" % options.offload)
    with running(options.culvertd, "-c", path, "-f", "--state-dir", os.path.join(options.work, "state"),
                 space="router", ready="forwarding", log=os.path.join(options.work, "culvertd.log")):
        yield


class Processor:
    """Busy seconds of all processors."""

    def __enter__(self):
        self.start = self.busy()
        return self

    def __exit__(self, *_):
        self.seconds = self.busy() - self.start

    @staticmethod
    def busy():
        with open("/proc/stat") as stat:
            user, nice, system, idle, iowait, irq, softirq = map(int, stat.readline().split()[1:8])
        return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def tcp(options, flows, down):
    with running("iperf3", "-s", "-1", "--forceflush", space="server", ready="listening"):
        with Processor() as used:
            text = run("iperf3", "-J", "-c", SERVER, "-P", str(flows), "-t", str(options.seconds),
                       "--connect-timeout", "3000", *(["-R"] if down else []), space="client",
                       timeout=options.seconds + SPARE)
    received = json.loads(text)["end"]["sum_received"]
    return {"value": received["bits_per_second"] / 1e9, "cost": used.seconds / (received["bytes"] / 1e9)}


def udp(options, size):
    seconds = str(options.seconds)
    with running(options.traffic, "receive", "7000", seconds, space="server", ready="ready") as receiver:
        with Processor() as used:
            run(options.traffic, "send", SERVER, "7000", str(options.seconds + 0.3), str(size), space="client",
                timeout=options.seconds + SPARE)
        received = int(receiver.communicate(timeout=SPARE)[0])
    if received == 0:
        raise RuntimeError("no datagram arrived")
    return {"value": received / options.seconds / 1e3, "cost": used.seconds / received * 1e6}


def connections(options):
    with running(options.traffic, "accept", "7001", space="server", ready="ready"):
        with Processor() as used:
            made = int(run(options.traffic, "connect", SERVER, "7001", str(options.seconds), space="client",
                           timeout=options.seconds + SPARE))
    return {"value": made / options.seconds, "cost": used.seconds / made * 1e6}


def round_trip(options):
    with running(options.traffic, "echo", "7002", space="server", ready="ready"):
        with Processor() as used:
            text = run(options.traffic, "ping", SERVER, "7002", str(options.seconds), "0", space="client",
                       timeout=options.seconds + SPARE)
    return {"value": float(text.split()[0]), "cost": used.seconds / options.seconds}


# name: what, unit, unit of the cost in processor time, does more mean better, function
MEASUREMENTS = {
    "tcp1-up": ("1 TCP flow, up", "Gbit/s", "s/GB", True, lambda o: tcp(o, 1, False)),
    "tcp1-down": ("1 TCP flow, down", "Gbit/s", "s/GB", True, lambda o: tcp(o, 1, True)),
    "tcp4-up": ("4 TCP flows, up", "Gbit/s", "s/GB", True, lambda o: tcp(o, 4, False)),
    "tcp4-down": ("4 TCP flows, down", "Gbit/s", "s/GB", True, lambda o: tcp(o, 4, True)),
    "udp": ("UDP of 18 bytes", "kpps", "us/packet", True, lambda o: udp(o, 18)),
    "connections": ("new TCP connections", "1/s", "us each", True, connections),
    "round-trip": ("round trip, median", "us", "cores", False, round_trip),
}
ENGINE = "engine"  # the engine alone, without any system call: tests/bench/engine_bench
ROUTERS = {"kernel": kernel_nat, "culvert": culvert}


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (default 3)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, each with both routers (default 3)")
    names = [*MEASUREMENTS, ENGINE]
    parser.add_argument("--only", default=",".join(names), help="measurements: " + ",".join(names))
    parser.add_argument("--offload", choices=("yes", "no"), default="yes", help="[wan] offload of culvertd")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured to this file")
    for hidden in ("--culvertd", "--tools", "--work"):
        parser.add_argument(hidden, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.names = options.only.split(",")
    for name in options.names:
        if name not in names:
            parser.error("there is no measurement '%s': %s" % (name, ", ".join(names)))
    options.engine = ENGINE in options.names
    options.names = [name for name in options.names if name != ENGINE]
    options.traffic = os.path.join(options.tools, "traffic")
    return options


def measure_engine(options):
    """Prints what the engine alone costs. Returns its figures, and whether they are as good as they have to be."""
    path = os.path.join(options.work, "engine.json")
    print("the engine alone, without system calls:", flush=True)
    code = subprocess.run((os.path.join(options.tools, "engine_bench"), "--json", path), timeout=300).returncode
    with open(path) as figures:
        return json.load(figures), code == 0


def measure(options):
    results = {name: {router: [] for router in ROUTERS} for name in options.names}
    if not options.names:
        return results
    with topology():
        for number in range(options.repeats):
            for router, start in ROUTERS.items():
                with start(options):
                    run("ping", "-c", "2", "-W", "2", SERVER, space="client")
                    for name in options.names:
                        found = MEASUREMENTS[name][4](options)
                        results[name][router].append(found)
                        print("%d/%d %-8s %-22s %10.1f %s" % (number + 1, options.repeats, router,
                                                              MEASUREMENTS[name][0], found["value"],
                                                              MEASUREMENTS[name][1]), file=sys.stderr, flush=True)
    return results


def summarise(results):
    rows = []
    for name, routers in results.items():
        what, unit, cost_unit, more, _ = MEASUREMENTS[name]
        row = {"name": name, "what": what, "unit": unit, "cost_unit": cost_unit, "more_is_better": more}
        for router, found in routers.items():
            row[router] = statistics.median(one["value"] for one in found)
            row[router + "_cost"] = statistics.median(one["cost"] for one in found)
            row[router + "_all"] = found
        row["ratio"] = row["culvert"] / row["kernel"]
        rows.append(row)
    return rows


def print_table(rows):
    print("%-22s %8s %10s %10s %7s   %s" % ("", "", "kernel", "culvert", "ratio", "processor time: kernel, culvert"))
    for row in rows:
        print("%-22s %8s %10.1f %10.1f %7.2f   %.2f, %.2f %s" % (
            row["what"], row["unit"], row["kernel"], row["culvert"], row["ratio"], row["kernel_cost"],
            row["culvert_cost"], row["cost_unit"]))


def main():
    options = parse()
    before = os.getloadavg()[0]
    rows = summarise(measure(options))
    engine, good = measure_engine(options) if options.engine else (None, True)
    print_table(rows)
    print("medians of %d rounds of %d s; %d processors, kernel %s, load before the run %.1f" % (
        options.repeats, options.seconds, os.cpu_count(), os.uname().release, before))
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"schema": "culvert.bench/1", "seconds": options.seconds, "repeats": options.repeats,
                       "processors": os.cpu_count(), "kernel": os.uname().release, "load_before": before,
                       "offload": options.offload, "measurements": rows, "engine": engine},
                      out, indent=1)
            out.write("\n")
    return 0 if good else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
