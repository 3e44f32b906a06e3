# SPDX-License-Identifier: BSD-2-Clause
"""Another configuration while packets go on: what is unchanged loses nothing, a bad file changes nothing, a rehearsal
names what the reload then ends, and a trial ends by itself."""
import os
import pathlib
import re
import signal
import socket
import struct
import threading
import time

import pytest

import esp_peer
import pptp_peer
from control import Control, answer_of, ask, rehearse, run_ctl
from lab import ROUTER_WAN, linger_reset
from namespace import LIMIT
from router import BASE, merge, write_config
from test_parts import Ends as Parts
from test_parts import InUdp, L2tp, Native

pytestmark = [pytest.mark.culvert_only("the kernel reads no file")]

RELOADS, SECONDS = 100, 20
STEP = 0.002  # between two datagrams of a stream
SO_RCVBUFFORCE = 33

PPTP, IPSEC = {"forward:pptp": {"service": "pptp", "to": "10.77.0.12"}}, {
    "forward:ipsec": {"service": "ipsec", "to": "10.77.0.12"}
}
WEB = {"forward:web": {"protocol": "tcp", "port": "8080", "to": "10.77.0.12:80"}}


def identity(row):
    """What two rows about one flow have in common."""
    return tuple(
        row[name]
        for name in (
            "protocol-name",
            *(
                f"{end}-{what}"
                for end in ("internal-src", "external-src", "external-dst")
                for what in ("address", "port")
            ),
        )
    )


def flows(router):
    return {identity(row) for row in ask(router, "mappings")}


def tunnel_identity(row):
    return row["service"], row["internal-src-address"], row["external-dst-address"]


def tunnels(router):
    return list(tunnel_identity(row) for row in ask(router, "tunnels") if row["state"] != "ended")


@pytest.fixture
def restored(router):
    """The file and the running configuration are afterwards what they were before."""
    yield router
    if router.config_file.is_dir():
        router.config_file.rmdir()
    router.config_file.unlink(missing_ok=True)
    router.configure(router.config)
    deadline = time.monotonic() + LIMIT
    while answer_of(router, "reload")[1]["code"] == 1 and time.monotonic() < deadline:
        time.sleep(0.2)  # a trial
    assert all(row["changes"] == 0 for row in ask(router, "rehearse"))


# --- nothing is lost -------------------------------------------------------------------------------------------------


class Stream(threading.Thread):
    """Numbered datagrams to an echo: each comes back once, in order, until stop() is called and LAST has come back."""

    LAST = 0xFFFFFFFF

    def __init__(self, lab):
        super().__init__()
        self.client, self.server = lab.udp("L1"), lab.udp("W1")
        for sock in (self.client, self.server):
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.to = self.server.getsockname()
        self.over, self.sent, self.problems = threading.Event(), 0, []
        self.echo = threading.Thread(target=self.serve)
        self.listener = threading.Thread(target=self.listen)

    def serve(self):
        expected = 0
        while True:
            try:
                data, peer = self.server.recvfrom(2048)
            except TimeoutError:
                return
            self.server.sendto(data, peer)
            (number,) = struct.unpack("!I", data[:4])
            if number == self.LAST:
                return
            if number != expected:
                self.problems.append(f"the server got {number} instead of {expected}")
            expected = number + 1

    def listen(self):
        self.received = 0
        while True:
            try:
                (number,) = struct.unpack("!I", self.client.recv(2048)[:4])
            except TimeoutError:
                return
            if number == self.LAST:
                return
            if number != self.received:
                self.problems.append(f"the client got {number} instead of {self.received}")
            self.received = number + 1

    def run(self):
        self.echo.start()
        self.listener.start()
        while not self.over.wait(STEP):
            self.client.sendto(struct.pack("!I", self.sent) + bytes(500), self.to)
            self.sent += 1
        self.client.sendto(struct.pack("!I", self.LAST), self.to)
        self.echo.join()
        self.listener.join()

    def stop(self):
        self.over.set()
        self.join()
        if self.received != self.sent:
            self.problems.append(f"{self.received} of {self.sent} came back")
        return self.problems


TCP_INFO_SIZE, DATA_SEGMENTS, OUT_OF_ORDER = 232, 152, 224  # of struct tcp_info in linux/tcp.h


class Connection(threading.Thread):
    """TCP that echoes blocks. Segments that were sent and not received were lost; one that its sender took for lost
    and sent again counts on both sides."""

    def __init__(self, lab):
        super().__init__()
        self.lab = lab
        listener, to = lab.tcp_listen("W1"), lab.address("W1")
        self.client = lab.tcp_connect("L1", (to, listener.getsockname()[1]))
        self.server, _ = listener.accept()
        listener.close()
        self.over, self.blocks, self.problems = threading.Event(), 0, []

    def run(self):
        for sock in (self.client, self.server):
            sock.settimeout(LIMIT)
        while not self.over.wait(STEP):
            block = os.urandom(1200)  # one segment, whatever the offloads
            for source, target in ((self.client, self.server), (self.server, self.client)):
                source.sendall(block)
                got = b""
                while len(got) < len(block):
                    got += target.recv(len(block) - len(got))
                if got != block:
                    self.problems.append("other data came")
            self.blocks += 1

    def stop(self):
        self.over.set()
        self.join()
        self.lab.catch_up()
        ends = [
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE) for sock in (self.client, self.server)
        ]
        (c_in, c_out), (s_in, s_out) = (struct.unpack_from("=II", end, DATA_SEGMENTS) for end in ends)
        if (c_out, s_out) != (s_in, c_in) or c_out < self.blocks:
            self.problems.append(f"of {c_out} and {s_out} segments {s_in} and {c_in} arrived")
        if late := [late for end in ends if (late := struct.unpack_from("=I", end, OUT_OF_ORDER)[0])]:
            self.problems.append(f"{late} segments came out of order")
        for sock in (self.client, self.server):
            sock.close()
        return self.problems


class Reloader(threading.Thread):
    """Reload after reload: nothing, a timer, a mode that nobody uses, a forward that comes and goes."""

    changes = ({}, {"timeouts": {"udp": "200"}}, {"l2tp": {"mode": "block"}}, WEB, {"nat": {"icmp_rate": "50"}})

    def __init__(self, router):
        super().__init__()
        self.router, self.done, self.problems = router, 0, []

    def run(self):
        begin = time.monotonic()
        with Control(self.router) as control:
            for number in range(RELOADS):
                time.sleep(max(0.0, begin + number * SECONDS / RELOADS - time.monotonic()))
                self.router.config_file.write_text(
                    write_config(merge(merge(BASE, self.router.config), self.changes[number % len(self.changes)]))
                )
                control.send(b"reload\n")
                rows, last = control.answer()
                if last != {"code": 0} or rows[-1]["flows-ended"] != 0:
                    self.problems.append((number, rows, last))
                    return
                self.done += 1
        self.seconds = time.monotonic() - begin


def test_a_hundred_reloads_lose_nothing(lab, restored):
    """Under UDP and TCP, two PPTP calls, native ESP with its IKE, and IKE with ESP in UDP."""
    router = restored
    calls, parts = pptp_peer.Ends(lab), Parts(lab)
    try:
        native, in_udp = Native(parts, "L1", "W2"), InUdp(parts, "L2", "W2")
        for tunnel in (native, in_udp):
            tunnel.start()
            tunnel.carry()
        server = calls.serve("W1")
        dialled = [calls.connect(host, server).dial(7, 8 + number) for number, host in enumerate(("L1", "L2"))]
        stream, connection, reloader = Stream(lab), Connection(lab), Reloader(router)
        before = router.statistics()
        for thread in (stream, connection, reloader):
            thread.start()
        rounds = 0
        while reloader.is_alive():
            pptp_peer.carry(calls, dialled)
            esp_peer.carry(parts.field, [native.pair])
            in_udp.carry()
            rounds += 1
        reloader.join()
        problems = stream.stop() + connection.stop() + reloader.problems
        assert not problems, problems[:10]
        assert router.statistics().drop == before.drop
        assert reloader.done == RELOADS and reloader.seconds < SECONDS * 5
        assert rounds > 20 and stream.sent > 1000 and connection.blocks > 100
        native.talk()
        in_udp.talk(port=4500, marker=bytes(4))
    finally:
        calls.close()
        parts.close()


# --- a bad file changes nothing --------------------------------------------------------------------------------------

GOOD = "[lan]\ninterface = lan0\n[wan]\ninterface = wan0\n"
BAD = {
    "no such key": (GOOD + "[nat]\nhairpining = yes\n", ":6: unknown key hairpining"),
    "no such section": (GOOD + "[nta]\n", ":5: unknown section [nta]"),
    "no such value": (GOOD + "[pptp]\nmode = off\n", ":6: mode = off: "),
    "too small": (GOOD + "[timeouts]\nudp = 5\n", ":6: udp = 5: "),
    "no equals": (GOOD + "[nat]\nhairpinning\n", ":6: there is no '=' in 'hairpinning'"),
    "a section twice": (GOOD + "[lan]\ntun = cv1\n", ":5: section [lan] occurs twice"),
    "a key twice": (GOOD + "[nat]\nicmp_rate = 1\nicmp_rate = 2\n", ":7: icmp_rate is set here again"),
    "before a section": ("interface = lan0\n" + GOOD, ":1: interface comes before the first [SECTION]"),
    "half a section": (GOOD + "[nat\n", ":5: a section is written [NAME]"),
    "not text": (GOOD + "[nat]\nmapping = \x01\n", ":6: byte 0x01 in column 11"),
    "a long line": (GOOD + "[nat]\nbypass = " + "10.0.0.0/8 " * 30 + "\n", ":6: a line of "),
    "a forward to nowhere": (GOOD + "[forward:a]\nprotocol = tcp\nport = 80\n", ":5: "),
    "two forwards of a port": (
        GOOD + "".join(f"[forward:{name}]\nprotocol = tcp\nport = 80\nto = 10.77.0.12\n" for name in "ab"),
        ":9: ",
    ),
    "nothing": ("", "interface"),
    "too large": (GOOD + "#" * (1 << 20), "is larger than 1048576 bytes"),
}


def expect_refusal(router, pattern):
    """The running configuration stays as it was."""
    rows, last = answer_of(router, "reload")
    assert last["code"] == 2 and str(router.config_file) in last["error"] and pattern in last["error"], last
    assert [row["text"] for row in rows if row["severity"] == "error"][0] == last["error"]
    assert rows[-1]["text"] == "reload: the configuration has errors; nothing has changed"
    assert answer_of(router, "rehearse")[1]["code"] == 2


@pytest.mark.config(WEB)
def test_a_bad_file_changes_nothing_by_a_signal_either(lab, restored):
    restored.config_file.write_text(BAD["no such key"][0])
    mark = restored.mark()
    restored.process.send_signal(signal.SIGHUP)
    restored.wait_for(f"error: {restored.config_file}{BAD['no such key'][1]}", mark)
    restored.wait_for("reload failed; keeping the running configuration", mark)


@pytest.mark.config(WEB)
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_changes_nothing(lab, restored, kind):
    client, server = lab.udp("L1"), lab.udp("W1")
    lab.echo_once(client, server)
    before = flows(restored)
    text, pattern = BAD[kind]
    restored.config_file.write_text(text)
    expect_refusal(restored, pattern)
    lab.echo_once(client, server)
    assert flows(restored) == before
    restored.configure(restored.config)
    (sum_,) = ask(restored, "rehearse")
    assert sum_["changes"] == 0


@pytest.mark.config(WEB)
@pytest.mark.parametrize("kind", ["missing", "a directory", "a pipe"])
def test_no_file_changes_nothing(lab, restored, kind):
    path = restored.config_file
    path.unlink()
    if kind == "a directory":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    expect_refusal(restored, {"missing": "cannot be opened: No such file"}.get(kind, "is not a file"))


# --- a rehearsal -----------------------------------------------------------------------------------------------------

CHANGES = {
    "nothing": {},
    "a timer": {"timeouts": {"udp": "200"}},
    "PPTP blocked": {"pptp": {"mode": "block"}},
    "PPTP plain": {"pptp": {"mode": "plain"}},
    "IPsec blocked": {"ipsec": {"mode": "block"}},
    "IKE blocked": {"ipsec": {"ike": "block"}},
    "NAT traversal blocked": {"ipsec": {"natt": "block"}},
    "ESP blocked": {"ipsec": {"esp": "block"}},
    "ESP plain": {"ipsec": {"esp": "plain"}},
    "L2TP blocked": {"l2tp": {"mode": "block"}},
    "all blocked": {service: {"mode": "block"} for service in ("pptp", "l2tp", "ipsec")},
    "no web forward": {"forward:web": None},
    "another web forward": {"forward:web": {"to": "10.77.0.11:80"}},
    "no forward of PPTP": {"forward:pptp": None},
    "no forward of IPsec": {"forward:ipsec": None},
    "a forward of one port": {"forward:one": {"protocol": "udp", "port": "33000", "to": "10.77.0.12"}},
}


class Everything:
    """Flows and tunnels of all kinds, in both directions."""

    def __init__(self, lab):
        self.calls, self.parts, self.sockets = pptp_peer.Ends(lab), Parts(lab), []
        client, server = lab.udp("L1"), lab.udp("W1")
        lab.echo_once(client, server)
        listener = lab.tcp_listen("L2", port=80)
        self.connected = [lab.tcp_connect("W1", (ROUTER_WAN, 8080)), listener.accept()[0]]
        self.sockets += [client, server, listener]
        self.tunnels = []
        for kind, *ends in (
            (Native, "L1", "W1"),
            (InUdp, "L1", "W2"),
            (L2tp, "L1", "W2"),
            (InUdp, "W1", "L2"),
            (Native, "W2", "L2"),
        ):
            tunnel = kind(self.parts, *ends)
            tunnel.start()
            tunnel.carry()
            self.tunnels.append(tunnel)
        out = self.calls.connect("L1", self.calls.serve("W1")).dial(5, 6)
        inward = self.calls.connect("W2", self.calls.serve("L2"), to=ROUTER_WAN).dial(7, 8)
        pptp_peer.carry(self.calls, [out, inward])

    def carrying(self, router):
        """What still carries data. Calls that ended still drain, so of them the router is asked."""
        found = {tunnel for tunnel in tunnels(router) if tunnel[0] == "pptp"}
        for tunnel in self.tunnels:
            if tunnel.carries():
                inside, outside = (tunnel.server, tunnel.client) if tunnel.inward else (tunnel.client, tunnel.server)
                service = "l2tp" if isinstance(tunnel, L2tp) else "ipsec"
                found.add((service, *map(self.parts.field.address, (inside, outside))))
        return found

    def close(self):
        self.calls.close()
        self.parts.close()
        for sock in self.connected:
            linger_reset(sock)  # or the router's kernel would hear of its end while culvertd is away
        for sock in self.sockets:
            sock.close()


def changed(config, change):
    """The configuration with a change; None takes a section out."""
    result = merge(config, {name: keys for name, keys in change.items() if keys})
    return {name: keys for name, keys in result.items() if change.get(name, keys) is not None}


@pytest.mark.config({**PPTP, **IPSEC, **WEB})
@pytest.mark.parametrize("kind", CHANGES)
def test_a_rehearsal_names_what_the_reload_ends(lab, restored, kind):
    router = restored
    router.stop()  # nothing is left of the test before
    router.start(router.config)
    everything = Everything(lab)
    try:
        new = changed(router.config, CHANGES[kind])
        text = write_config(merge(BASE, new))
        carrying = everything.carrying(router)
        assert carrying == set(tunnels(router)) and len(carrying) == 7
        before = flows(router)
        named, last = rehearse(router, text)
        assert last == {"code": 0}
        assert flows(router) == before, "to ask has changed something"
        router.config_file.write_text(text)
        (*_, done) = ask(router, "reload")
        assert done["kind"] == "reloaded"
        ended = {identity(row) for row in named if row["kind"] == "ending-flow"}
        assert before - flows(router) == ended
        lost = {tunnel_identity(row): row["reason"] for row in named if row["kind"] == "ending-tunnel"}
        left = everything.carrying(router)
        assert carrying - left <= set(lost), "ended without having been named"
        again = left & set(lost)  # ESP without help: the next packet from inside opens a plain flow
        assert not again or kind == "ESP plain", again
        sum_ = named[-1]
        assert (sum_["flows-that-end"], sum_["tunnels-that-end"]) == (len(ended), len(lost))
        assert sum_["changes"] == len([row for row in named if row["kind"] == "change"]) == len(CHANGES[kind])
        assert all(row["reason"] for row in named if row["kind"].startswith("ending-"))
        if kind.endswith("blocked"):
            assert ended and (lost or kind == "IKE blocked")  # whose tunnels live on until they need new keys
    finally:
        everything.close()


def test_a_rehearsal_tells_each_change(lab, restored):
    text = write_config(merge(BASE, {"nat": {"filtering": "endpoint-independent"}, "limits": {"flows": "1000"}, **WEB}))
    *changes, sum_ = rehearse(restored, text)[0]
    told = {(row["section"], row["key"]): (row["before"], row["after"], row["needs-restart"]) for row in changes}
    assert told == {
        ("nat", "filtering"): ("address-dependent", "endpoint-independent", False),
        ("limits", "flows"): ("262144", "1000", True),
        ("forward:web", None): (None, "protocol tcp, port 8080, to 10.77.0.12:80", False),
    }
    assert (sum_["changes"], sum_["changes-that-need-a-restart"], sum_["flows-that-end"]) == (3, 1, 0)


# --- on trial --------------------------------------------------------------------------------------------------------

BLOCKED = {"l2tp": {"mode": "block"}}


def l2tp_mode(router):
    return next(row["mode"] for row in ask(router, "status") if row["kind"] == "service" and row["service"] == "l2tp")


def warnings(router):
    """What the status warns of: {name: sentence}."""
    return {row["warning"]: row["text"] for row in ask(router, "status") if row["kind"] == "warning"}


def test_a_trial_ends_by_itself(lab, restored):
    client, server = lab.udp("L1"), lab.udp("W1")
    lab.echo_once(client, server)
    restored.config_file.write_text(write_config(merge(BASE, BLOCKED)))
    mark, begin = restored.mark(), time.monotonic()
    *_, done = ask(restored, "reload confirm=4")
    assert done["confirm-within"] == 4 and l2tp_mode(restored) == "block"
    said = warnings(restored)["configuration-on-trial"]
    assert re.search(r"comes back in [1-4] s; culvertctl confirm keeps it", said), said
    rows, last = answer_of(restored, "reload")
    assert last["code"] == 1 and "on trial" in last["error"], "the trial's outcome comes first"
    restored.process.send_signal(signal.SIGHUP)
    assert answer_of(restored, "mode pptp plain")[1]["code"] == 1
    restored.wait_for("nobody has confirmed the configuration within 4 s", mark)
    assert time.monotonic() - begin >= 4 and l2tp_mode(restored) == "pass"
    lab.echo_once(client, server)
    assert answer_of(restored, "confirm")[1]["code"] == 7
    (text,) = warnings(restored).values()
    assert text.endswith("not in force since the last reload: nobody confirmed it within 4 s")
    file = restored.config_file.read_text()
    code, error = answer_of(restored, "mode pptp plain")[1].values()
    assert code == 1 and "nobody confirmed it within 4 s" in error and error.endswith("reload it first"), error
    assert not (restored.folder / "culvert.d").exists(), "nothing was written"
    assert restored.config_file.read_text() == file and l2tp_mode(restored) == "pass", "what nobody wanted stays out"
    assert [row["after"] for row in ask(restored, "rehearse") if row["kind"] == "change"] == ["block"]


def test_a_trial_is_confirmed(lab, restored):
    restored.config_file.write_text(write_config(merge(BASE, BLOCKED)))
    assert answer_of(restored, "confirm")[1]["code"] == 7
    ask(restored, "reload confirm=4")
    assert "configuration-on-trial" in warnings(restored)
    assert [row["kind"] for row in ask(restored, "confirm")] == ["confirmed"] and not warnings(restored)
    time.sleep(5)
    assert l2tp_mode(restored) == "block"
    for bad in ("confirm=0", "confirm=3601", "confirm=x", "confirm=", "confirm", "now"):
        assert answer_of(restored, f"reload {bad}")[1]["code"] == 1


def test_a_bad_file_is_not_tried(lab, restored):
    restored.config_file.write_text(GOOD + "[nat]\nx = 1\n")
    assert answer_of(restored, "reload confirm=60")[1]["code"] == 2
    assert answer_of(restored, "confirm")[1]["code"] == 7
    (text,) = warnings(restored).values()
    assert re.search(r": \S+/culvert\.ini:\d+: unknown key x in section \[nat\]", text), text
    restored.config_file.write_text(GOOD)
    ask(restored, "reload")
    assert not warnings(restored)
