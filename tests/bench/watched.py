#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""culvertd under load while somebody looks at it: what that costs the packets.

    client 10.77.0.2 .3 --- lan0 [router] wan0 203.0.113.2 .3 --- 203.0.113.1 server

The client opens many mappings and tunnels; then traffic flows, in intervals that alternate: one in which nobody looks,
one in which somebody does. Traffic, its receiver, culvertd and who looks share the processors of this machine, so that
the ratio of the intervals beside each other counts. A load that has a rate must not lose datagrams because somebody
looks; what the receiving socket itself had no room for is told apart. Each list is checked afterwards: every mapping
exactly once. How busy culvertd was is told for the same traffic.
"""
import argparse
import contextlib
import ctypes
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

import bench
from bench import SERVER, SPARE, run, running

CLIENTS, OUTSIDES = ("10.77.0.2", "10.77.0.3"), ("203.0.113.2", "203.0.113.3")
FIRST_PORT, SINK, L2TP = 10000, 9, 1701
GOOD = 0.95       # of what flows when nobody looks, at a rate that the router carries easily
GOOD_TAPPED = 0.8  # of what a packet costs culvertd, while somebody waits for other packets
SLOW = 10_000     # bytes that a slow reader takes in a second
GROWTH = 512      # KiB of memory that culvertd may have more at the end of a measurement


# --- what there is to look at ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def inside(space):
    """Sockets made in here belong to that namespace and stay there."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/thread-self/ns/net") as home, open("/run/netns/" + bench.PREFIX + space) as there:
        if setns(there.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if setns(home.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")


def open_socket(space, address, port):
    with inside(space):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


def open_mappings(count):
    """A datagram of each of so many inside endpoints. Returns these."""
    ends = [(CLIENTS[i % 2], FIRST_PORT + i // 2) for i in range(count)]
    with open_socket("server", SERVER, SINK), inside("client"):
        for number, end in enumerate(ends):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(end)
                sock.sendto(b"open", (SERVER, SINK))
            if number % 50 == 0:
                time.sleep(0.001)
    return set(ends)


def l2tp(kind, tunnel, own):
    """RFC 2661: a control message with its type and the Tunnel ID that its sender wants to be called by."""
    body = struct.pack("!HHHH", 0x8008, 0, 0, kind) + struct.pack("!HHHH", 0x8008, 0, 9, own)
    return struct.pack("!HHHHHH", 0xC802, 12 + len(body), tunnel, 0, 0, 0) + body


def open_tunnels(count):
    """So many tunnels of one host, each as far as its control connection."""
    server = open_socket("server", SERVER, L2TP)
    server.settimeout(1)
    with server, inside("client"):
        for number in range(count):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(1)
                sock.bind((CLIENTS[0], FIRST_PORT + number))
                sock.sendto(l2tp(1, 0, number + 1), (SERVER, L2TP))
                _, seen = server.recvfrom(100)
                server.sendto(l2tp(2, number + 1, number + 1), seen)
                sock.recv(100)
                sock.sendto(l2tp(3, number + 1, number + 1), (SERVER, L2TP))
                server.recv(100)


# --- traffic ---------------------------------------------------------------------------------------------------------


def paced(options, size, segments):
    with running(options.traffic, "tally", "7000", space="server", ready="ready") as receiver:
        sent = int(run(options.traffic, "pace", SERVER, "7000", str(options.seconds), str(size), str(options.rate),
                       str(segments), space="client", timeout=options.seconds + SPARE))
        received, overflow, seconds = receiver.communicate(timeout=SPARE)[0].split()
    return {"value": int(received) * size * 8 / float(seconds) / 1e6, "lost": sent - int(received) - int(overflow),
            "overflow": int(overflow)}


def flood(options):
    found = bench.udp(options, 18)
    return {"value": found["value"], "lost": 0, "overflow": 0}


def tcp(options, *limit):
    with running("iperf3", "-s", "-1", "--forceflush", space="server", ready="listening"):
        text = run("iperf3", "-J", "-c", SERVER, "-t", str(options.seconds), "--connect-timeout", "3000", *limit,
                   space="client", timeout=options.seconds + SPARE)
    end = json.loads(text)["end"]
    return {"value": end["sum_received"]["bits_per_second"] / 1e6, "lost": end["sum_sent"]["retransmits"],
            "overflow": 0}


# name: what, unit, has it a rate, function
LOADS = {
    "udp": ("UDP of 1400 bytes", "Mbit/s", True, lambda o: paced(o, 1400, 1)),
    "gso": ("the same, 44 in a segment", "Mbit/s", True, lambda o: paced(o, 1400, 44)),
    "tcp": ("1 TCP flow", "Mbit/s", True, lambda o: tcp(o, "-b", "%dM" % o.rate)),
    "flood": ("UDP of 18 bytes at most", "kpps", False, flood),
    "tcp-most": ("1 TCP flow at most", "Mbit/s", False, tcp),
}


# --- who looks -------------------------------------------------------------------------------------------------------


class Looking:
    """Somebody who looks until the block ends; then what he saw is judged."""

    def __init__(self, options):
        self.options = options
        self.over = threading.Event()
        self.count, self.wrong = 0, []

    def __enter__(self):
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join(60)
        if kind is None:
            self.judge()
            if self.count == 0:
                self.wrong.append("nothing was seen")

    def judge(self):
        pass

    def path(self, number):
        return os.path.join(self.options.work, "answer-%d" % number)

    def judge_rows(self, what, rows):
        """Each row: inside address and port, and the whole endpoints."""
        rows = list(rows)
        ends = [row[:2] for row in rows if row[3] == SINK]
        if len(set(rows)) != len(rows) or len(set(ends)) != len(ends) or set(ends) != self.options.ends:
            self.wrong.append("%s: %d mappings, %d of them different, %d are there" % (
                what, len(ends), len(set(ends)), len(self.options.ends)))


def key_of(row):
    return (row["internal-src-address"], row["internal-src-port"], row["external-dst-address"],
            row["external-dst-port"], row["transport-protocol"], row["external-src-address"], row["external-src-port"])


class Command(Looking):
    """culvertctl again and again."""

    words, pause, is_list = (), 0, False

    def command(self):
        nice = ("nice", "-n", str(self.options.nice)) if self.options.nice else ()
        return (*nice, self.options.culvertctl, "--socket", self.options.socket, *self.words)

    def look(self):
        while not self.over.is_set():
            with open(self.path(self.count), "w") as out:
                done = subprocess.run(self.command(), stdout=out, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                self.wrong.append("exit %d: %s" % (done.returncode, done.stderr.strip()))
                return
            self.count += 1
            self.over.wait(self.pause)

    def judge(self):
        for number in range(self.count):
            with open(self.path(number)) as answer:
                self.judge_answer("list %d" % (number + 1), answer)
            os.unlink(self.path(number))

    def judge_answer(self, what, answer):
        if not answer.read(1):
            self.wrong.append(what + ": nothing came")


class Lines(Command):
    words = ("-J", "mappings")

    def judge_answer(self, what, answer):
        rows = [json.loads(line) for line in answer]
        self.judge_rows(what, map(key_of, rows[1:]))


class Document(Command):
    words = ("-j", "mappings")

    def judge_answer(self, what, answer):
        self.judge_rows(what, map(key_of, json.load(answer)["rows"]))


class Columns(Command):
    words = ("-o", "tsv", "mappings")

    def judge_answer(self, what, answer):
        names = answer.readline().strip("#\n").split("\t")
        at = [names.index(name) for name in ("internal-src-address", "internal-src-port", "external-dst-address",
                                             "external-dst-port", "transport-protocol", "external-src-address",
                                             "external-src-port")]
        rows = (line.rstrip("\n").split("\t") for line in answer)
        self.judge_rows(what, (tuple(int(row[i]) if row[i].isdigit() else row[i] for i in at) for row in rows))


class Tunnels(Command):
    words = ("-J", "tunnels")

    def judge_answer(self, what, answer):
        ids = [json.loads(line).get("internal-id") for line in answer][1:]
        if sorted(map(int, ids)) != list(range(1, self.options.tunnels + 1)):
            self.wrong.append("%s: %d tunnels, %d are there" % (what, len(ids), self.options.tunnels))


class Socket(Looking):
    """A program that asks for the mappings and takes what comes."""

    def ask(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sock.connect(self.options.socket)
        sock.sendall(b"mappings\n")
        self.pieces = []
        return sock

    def take_rest(self, sock):
        tail = b""
        while not tail.endswith(b'\n{"code":0}\n'):
            piece = sock.recv(1 << 18)
            if not piece:
                raise RuntimeError("the connection ended in the middle of a list")
            self.pieces.append(piece)
            tail = (tail + piece)[-16:]

    def judge_pieces(self):
        rows = [json.loads(line) for line in b"".join(self.pieces).splitlines()]
        self.judge_rows("list", map(key_of, rows[1:-1]))


class Fast(Socket):
    def look(self):
        while not self.over.is_set():
            with self.ask() as sock:
                self.take_rest(sock)
            self.count += 1

    def judge(self):
        self.judge_pieces()


class Slow(Socket):
    def look(self):
        with self.ask() as sock:
            while not self.over.wait(0.1):
                self.pieces.append(sock.recv(SLOW // 10))
            self.take_rest(sock)
        self.count = 1

    def judge(self):
        self.judge_pieces()


class Storm(Looking):
    """Connections that ask half a question and go."""

    def look(self):
        while not self.over.is_set():
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self.options.socket)
                with contextlib.suppress(BrokenPipeError):
                    sock.sendall(b"mapp")
            self.count += 1


class Stream(Command):
    """A verb that goes on until it is stopped."""

    def look(self):
        with open(os.path.join(self.options.work, "stream"), "w") as out:
            with subprocess.Popen(self.command(), stdout=out, stderr=subprocess.PIPE, text=True) as process:
                self.over.wait()
                self.count = process.poll() is None
                if not self.count:
                    self.wrong.append("it ended: " + process.stderr.read())
                process.terminate()

    def judge(self):
        pass


class Scrapes(Looking):
    def look(self):
        while not self.over.wait(1 if self.count else 0):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(self.options.metrics)
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                text = b""
                while piece := sock.recv(1 << 16):
                    text += piece
            if b" 200 " not in text.split(b"\n")[0] or b"\nculvert_" not in text:
                self.wrong.append("a scrape failed")
            self.count += 1


def command(what, *words, kind=Command, pause=0):
    return type(what, (kind,), {"words": words, "pause": pause})


NOBODY = ("host=10.99.99.99",)
WATCHERS = {
    "lines": ("mappings -J in a loop", Lines),
    "document": ("mappings -j in a loop", Document),
    "tsv": ("mappings -o tsv in a loop", Columns),
    "fast": ("mappings, a fast reader", Fast),
    "slow": ("mappings, 10 kB/s", Slow),
    "tunnels": ("tunnels -J in a loop", Tunnels),
    "drops": ("drops last=4096 in a loop", command("Drops", "-J", "drops", "last=4096")),
    "trace-none": ("trace of nobody", command("TraceNone", "-J", "trace", *NOBODY, kind=Stream)),
    "trace": ("trace of all", command("Trace", "-J", "trace", "count=1000000", kind=Stream)),
    "capture": ("capture of all", command("Capture", "-J", "capture", "count=1000000", "rate=10000", kind=Stream)),
    "top": ("top once a second", command("Top", "-J", "top", "show=hosts", pause=1)),
    "metrics": ("a scrape once a second", Scrapes),
    "storm": ("connections that come and go", Storm),
    "explain": ("explain in a loop", command("Explain", "-J", "explain", "out", "udp", CLIENTS[0] + ":5000",
                                             SERVER + ":7000")),
}


# --- the measurement -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def culvert(options):
    path = os.path.join(options.work, "watched.ini")
    state = os.path.join(options.work, "watched-state")
    options.socket = os.path.join(state, "control.sock")
    options.metrics = os.path.join(options.work, "metrics.sock")
    with open(path, "w") as config:
        config.write("[lan]\ninterface = lan0\n[wan]\ninterface = wan0\n[limits]\nflows = 262144\nhost_flows = 131072\n"
                     "tunnels = 16384\n[timeouts]\nudp = 86400\nudp_vpn = 86400\n[metrics]\nlisten = unix:%s\n"
                     % options.metrics)
    with running(options.culvertd, "-c", path, "-f", "--state-dir", state, space="router", ready="forwarding",
                 log=os.path.join(options.work, "watched.log")) as daemon:
        yield daemon


def memory_of(process):
    """Of culvertd, which `ip netns exec` has become: its own, without the arena and libraries."""
    with open("/proc/%d/status" % process.pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


def seconds_of(process):
    """Of processor time that it has used."""
    with open("/proc/%d/stat" % process.pid) as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def lost_in_kernel(options):
    """What the kernel threw away in front of the router because it was too slow."""
    done = subprocess.run((options.culvertctl, "--socket", options.socket, "-J", "status"), capture_output=True,
                          text=True, check=True)
    return sum(json.loads(line).get("lost-before", 0) for line in done.stdout.splitlines())


def interval(options, daemon, load, kind):
    before, start, busy = lost_in_kernel(options), time.monotonic(), seconds_of(daemon)
    with kind(options) if kind else contextlib.nullcontext() as looking:
        found = LOADS[load][3](options)
        found["busy"] = (seconds_of(daemon) - busy) / (time.monotonic() - start)
    found["lost_before"] = lost_in_kernel(options) - before
    if looking:
        found["count"], found["wrong"] = looking.count, looking.wrong
    return found


def measure_pair(options, daemon, load, name):
    what, kind = WATCHERS[name]
    memory, quiet, watched = 0, [], []
    for number in range(options.repeats):
        # Each is first every other time: what comes first in a pair must not always be the same.
        for is_quiet in ((True, False), (False, True))[number % 2]:
            (quiet if is_quiet else watched).append(interval(options, daemon, load, None if is_quiet else kind))
        memory = memory or memory_of(daemon)  # when all has been used once
    row = {"load": load, "watcher": name, "what": what, "quiet": quiet, "watched": watched,
           "ratio": statistics.median(b["value"] / a["value"] for a, b in zip(quiet, watched)),
           "seen": sum(one["count"] for one in watched), "growth": memory_of(daemon) - memory,
           "wrong": [text for one in watched for text in one["wrong"]]}
    row["quiet_busy"], row["watched_busy"] = (statistics.median(one["busy"] / one["value"] for one in part) *
                                              statistics.median(one["value"] for one in quiet)
                                              for part in (quiet, watched))
    for key in ("lost", "lost_before", "overflow"):
        row["quiet_" + key], row["watched_" + key] = (sum(one[key] for one in part) for part in (quiet, watched))
    judge(row)
    return row


def judge(row):
    if LOADS[row["load"]][2]:
        if row["ratio"] < GOOD:
            row["wrong"].append("the ratio is below %.2f" % GOOD)
        # The median, because other programs of this machine make an interval lose packets now and then.
        if statistics.median(b["lost"] - a["lost"] for a, b in zip(row["quiet"], row["watched"])) > 0:
            row["wrong"].append("packets were lost")
    if row["watcher"] == "trace-none" and row["quiet_busy"] < GOOD_TAPPED * row["watched_busy"]:
        row["wrong"].append("a packet costs culvertd more than 1/%.2f" % GOOD_TAPPED)
    if row["growth"] > GROWTH:
        row["wrong"].append("culvertd has %d KiB more" % row["growth"])


def print_row(row):
    quiet = statistics.median(one["value"] for one in row["quiet"])
    print("%-26s %-26s %9.1f %-6s %6.3f   %6d %6d %8d   %3.0f %3.0f %%  %5d  %s" % (
        LOADS[row["load"]][0], row["what"], quiet, LOADS[row["load"]][1], row["ratio"], row["quiet_lost"],
        row["watched_lost"], row["watched_lost_before"],
        row["quiet_busy"] * 100, row["watched_busy"] * 100, row["seen"], "; ".join(row["wrong"]) or "good"), flush=True)


def read_names(parser, text, known):
    names = text.split(",")
    for name in names:
        if name not in known:
            parser.error("there is no '%s': %s" % (name, ", ".join(known)))
    return names


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh watched", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=3, help="of each interval (default 3)")
    parser.add_argument("--repeats", type=int, default=4, help="pairs of intervals (default 4)")
    parser.add_argument("--mappings", type=int, default=100000, help="that are there (default 100000)")
    parser.add_argument("--tunnels", type=int, default=10000, help="that are there (default 10000)")
    parser.add_argument("--rate", type=int, default=1000, help="Mbit/s of loads that have a rate (default 1000)")
    parser.add_argument("--nice", type=int, default=0, help="run culvertctl at that niceness (default 0)")
    parser.add_argument("--loads", default=",".join(LOADS), help="which: " + ",".join(LOADS))
    parser.add_argument("--only", default=",".join(WATCHERS), help="who looks: " + ",".join(WATCHERS))
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured to this file")
    for hidden in ("--culvertd", "--tools", "--work"):
        parser.add_argument(hidden, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.loads = read_names(parser, options.loads, LOADS)
    options.names = read_names(parser, options.only, WATCHERS)
    if not 0 < options.mappings <= 100000 or not 0 < options.tunnels <= 10000:
        parser.error("give 1 to 100000 mappings and 1 to 10000 tunnels")
    options.traffic = os.path.join(options.tools, "traffic")
    options.culvertctl = os.path.join(os.path.dirname(options.culvertd), "culvertctl")
    return options


def measure(options):
    rows = []
    with bench.topology():
        for space, device, address in (("client", "eth0", CLIENTS[1]), ("router", "wan0", OUTSIDES[1])):
            run("ip", "address", "add", address + "/24", "dev", device, space=space)
        with culvert(options) as daemon:
            run("ping", "-c", "2", "-W", "2", SERVER, space="client")
            options.ends = open_mappings(options.mappings)
            open_tunnels(options.tunnels)
            print("%-26s %-26s %16s %6s   %s" % ("", "", "nobody looks", "ratio",
                                                 "lost: quiet, watched, before the router; busy; seen"))
            for load in options.loads:
                for name in options.names:
                    rows.append(measure_pair(options, daemon, load, name))
                    print_row(rows[-1])
    return rows


def main():
    options = parse()
    before = os.getloadavg()[0]
    rows = measure(options)
    print("medians of %d pairs of %d s; %d mappings, %d tunnels, %d processors, kernel %s, load before the run %.1f" % (
        options.repeats, options.seconds, options.mappings, options.tunnels, os.cpu_count(), os.uname().release,
        before))
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"schema": "culvert.watched/1", "seconds": options.seconds, "processors": os.cpu_count(),
                       "kernel": os.uname().release, "load_before": before, "nice": options.nice,
                       "measurements": rows}, out, indent=1)
            out.write("\n")
    bad = sum(bool(row["wrong"]) for row in rows)
    print("%d of %d good" % (len(rows) - bad, len(rows)))
    return 1 if bad else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
