# SPDX-License-Identifier: BSD-2-Clause
"""VPNs that are tried in vain, and the sentence that says why: a server or a router on the way refuses by ICMP or a
reset, NAT traversal is filtered, a mode blocks, or it is AH. Servers and routers are real kernels."""
import contextlib
import os
import struct

import pytest

from control import ask, run_ctl
from lab import ROUTER_WAN, UPSTREAM, wait_for
from scapy.layers.inet import IP
from scapy.packet import Raw

pytestmark = pytest.mark.culvert_only("the kernel's own NAT says nothing of VPNs")

SA_INIT, AUTH, INITIATOR, RESPONSE = 34, 35, 0x08, 0x20
MARKER = bytes(4)  # RFC 3948 section 2.2


def ike(exchange, flags, spis):
    """A message of IKEv2 (RFC 7296 section 3.1) with a nonce, or with what nobody can read."""
    payload = struct.pack("!BBH", 0, 0, 36) + os.urandom(32)
    kind = 40 if exchange == SA_INIT else 46
    return struct.pack("!QQBBBBII", *spis, kind, 0x20, exchange, flags, 0, 28 + len(payload)) + payload


def new_spi():
    return int.from_bytes(os.urandom(8), "big") | 1


def tunnel(router, host, remote, **wanted):
    """The one row of this pair that has these members, waited for."""
    found = []

    def is_there():
        rows = ask(router, f"tunnels host={host} remote={remote}")
        found[:] = [row for row in rows if all(row[name.replace("_", "-")] == value for name, value in wanted.items())]
        return len(found) == 1

    wait_for(is_there, lambda: f"{wanted} in {ask(router, f'tunnels host={host} remote={remote}')}")
    return found[0]


def warnings(router):
    return {row["warning"]: row["text"] for row in ask(router, "status") if row["kind"] == "warning"}


@pytest.fixture
def router(router):
    """It knows nothing of what was tried before."""
    router.start_anew()
    return router


@contextlib.contextmanager
def upstream_rule(lab, rule):
    lab.X.ip(f"rule add {rule}")
    try:
        yield
    finally:
        lab.X.ip(f"rule delete {rule}")


def test_a_server_that_says_port_unreachable(lab, router):
    """Nothing listens on UDP 500 of W1; its kernel says so, and so does the tunnel, at once and for good."""
    server = lab.address("W1")
    with lab.udp("L1", port=500) as client:
        client.sendto(ike(SA_INIT, INITIATOR, (new_spi(), 0)), (server, 500))
        row = tunnel(router, lab.address("L1"), server, hint="refused")
    assert row["hint-text"].startswith(
        f"{server} answers to UDP port 500 with ICMP unreachable (type 3, code 3); the server, or a firewall"), row
    assert warnings(router)["tunnels-hints"]
    router.wait_for(r"tunnel hint: IPsec .* hint=refused\]")


@pytest.mark.parametrize("action,hint,code", [("unreachable", "unreachable", 0), ("prohibit", "prohibited", 13)])
def test_a_router_on_the_way_that_refuses(lab, router, action, hint, code):
    server = lab.address("W2")
    with upstream_rule(lab, f"to {server} {action} priority 10"), lab.udp("L2", port=1701) as client:
        # SCCRQ with an Assigned Tunnel ID (RFC 2661 section 6.1)
        client.sendto(bytes.fromhex("c802001c0000000000000000800800000000000180080000000900" "07"), (server, 1701))
        row = tunnel(router, lab.address("L2"), server, service="l2tp", hint=hint)
    assert f"{UPSTREAM} answers to UDP port 1701 with ICMP unreachable (type 3, code {code}); " in row["hint-text"], row


def test_a_pptp_server_that_is_not_there(lab, router):
    """No call, and so no tunnel of its own; what was tried is shown for a minute."""
    server = lab.address("W1")
    with pytest.raises(ConnectionRefusedError):
        lab.tcp_connect("L1", (server, 1723))
    row = tunnel(router, lab.address("L1"), server, service="pptp", hint="refused")
    assert (row["id"], row["state"], row["packets-out"]) == (None, "requested", 1)
    assert f"{server} answers to TCP port 1723 with a reset; " in row["hint-text"], row
    assert "tunnels-hints" in warnings(router)
    assert "tried without success: PPTP 10.77.0.11 -> " in router.statistics().text


def test_nat_traversal_is_filtered_upstream(lab, router, jump):
    """UDP 500 is answered and UDP 4500 is not: said once that has been so for ten seconds."""
    spis = (new_spi(), new_spi())
    with lab.udp("W2", port=500) as server, lab.udp("L1", port=500) as client, lab.udp("L1", port=4500) as natt, \
            upstream_rule(lab, "ipproto udp dport 4500 blackhole priority 10"):
        there = server.getsockname()
        client.sendto(ike(SA_INIT, INITIATOR, (spis[0], 0)), there)
        _, seen = server.recvfrom(2000)
        server.sendto(ike(SA_INIT, RESPONSE, spis), seen)
        client.recv(2000)
        for _ in range(3):
            natt.sendto(MARKER + ike(AUTH, INITIATOR, spis), (there[0], 4500))
        assert tunnel(router, lab.address("L1"), there[0], state="negotiating", hint=None)
        jump(11)
        row = tunnel(router, lab.address("L1"), there[0], hint="natt_filtered")
        assert "not on UDP port 4500" in row["hint-text"] and "tunnels-hints" in warnings(router)


@pytest.mark.config({"pptp": {"mode": "block"}, "ipsec": {"esp": "block"}})
def test_what_is_blocked_and_tried(lab, router):
    """In the status with who, how often, and the word that allows it; in the list of tunnels, and once in the log."""
    server, raw, away = lab.address("W1"), lab.raw("L1"), lab.raw("W1")
    assert "blocked-is-tried" not in warnings(router)
    for _ in range(3):
        with pytest.raises(OSError):
            lab.tcp_connect("L2", (server, 1723))
    row = tunnel(router, lab.address("L2"), server, state="blocked")
    assert (row["hint"], row["service"], row["packets-out"]) == ("blocked", "pptp", 3)
    assert row["hint-text"] == "[pptp] mode = block refuses it: culvertctl mode pptp pass lets it through again"
    assert warnings(router) == {
        "blocked-is-tried": "PPTP is blocked by [pptp] mode, and 10.77.0.12 has tried it 3 times in the last minute; "
                            "culvertctl mode pptp pass allows it"}
    router.wait_for(r"tunnel hint: PPTP 10.77.0.12 .* hint=blocked\]")
    with router.dropping(lan={"ipsec_blocked": 1}):
        raw.send(IP(src=raw.address, dst=away.address, proto=50) / Raw(bytes(16) + b"x"))
    texts = [row["text"] for row in ask(router, "status") if row["kind"] == "warning"]
    assert f"IPsec (ESP) is blocked by [ipsec] esp, and {raw.address} has tried it 1 time in the last minute; " \
           "culvertctl mode esp pass allows it" in texts, texts
    assert "[pptp] mode = block refuses it" in run_ctl(router, "tunnels").stdout.replace("\n", " ")
    router.reload({})
    assert "blocked-is-tried" not in warnings(router)
    assert router.log().count("tunnel hint: PPTP") == 1


def test_ah_without_ike(lab, router):
    raw, away = lab.raw("L1"), lab.raw("W1")
    with router.dropping(lan={"ah_untranslatable": 1}):
        raw.send(IP(src=raw.address, dst=away.address, proto=51) / Raw(bytes(24)))
    row = tunnel(router, raw.address, away.address, hint="ah_seen")
    assert (row["state"], row["data"], row["id"]) == ("blocked", "AH", None)
    assert "tunnels-hints" in warnings(router)
    assert run_ctl(router, "tunnels").returncode == 0


def test_a_forged_refusal_changes_no_packet(lab, router):
    """Anybody may send such an error; the flow, and what comes next, are as before, and so is the sentence then."""
    spis = (new_spi(), new_spi())
    with lab.udp("W1", port=500) as server, lab.udp("L1", port=500) as client:
        there = server.getsockname()
        client.sendto(ike(SA_INIT, INITIATOR, (spis[0], 0)), there)
        _, seen = server.recvfrom(2000)
        quote = IP(src=ROUTER_WAN, dst=there[0], proto=17) / Raw(struct.pack("!HHHH", 500, 500, 100, 0))
        stranger = lab.raw("W2")
        stranger.send(IP(src=stranger.address, dst=ROUTER_WAN, proto=1) / Raw(icmp(3, 13, bytes(quote))))
        assert tunnel(router, lab.address("L1"), there[0], hint="prohibited")
        server.sendto(ike(SA_INIT, RESPONSE, spis), seen)
        client.recv(2000)
        assert tunnel(router, lab.address("L1"), there[0], hint=None)["state"] == "negotiating"


def icmp(kind, code, quote):
    data = struct.pack("!BBHI", kind, code, 0, 0) + quote
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return data[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + data[4:]


@pytest.mark.config({"limits": {"host_flows": "40"}})
def test_a_host_at_its_quota_is_named(lab, router):
    """In the status while it lasts, and in the log once; others are not named, and have what they want."""
    server = lab.address("W1")
    with lab.udp("L2") as other:
        other.sendto(b"hello", (server, 4000))
        for _ in range(2):
            with lab.udp("L1", port=6881) as client:
                for port in range(5000, 5060):
                    with contextlib.suppress(OSError):  # it hears of it by ICMP
                        client.sendto(b"peer?", (server, port))
            router.wait_for(r"10\.77\.0\.11 has reached \[limits\] host_flows \(40\): its new connections are dropped")
            router.catch_up()
    assert warnings(router)["host-limit"].startswith("10.77.0.11 has reached [limits] host_flows (40): its new conn")
    assert not [row for row in ask(router, "status") if row["kind"] == "warning" and "10.77.0.12" in row["text"]]
    assert router.log().count("has reached [limits] host_flows") == 1


def test_two_hosts_and_a_protocol_without_ports(lab, router):
    """One of them is cut off from that server for as long as the other one has it."""
    hosts, away = [lab.raw("L1"), lab.raw("L2")], lab.raw("W1")
    with router.dropping(lan={"owner_taken": 1}):
        for host in hosts:
            host.send(IP(src=host.address, dst=away.address, proto=132) / Raw(bytes(24)))
    text = warnings(router)["used-up"]
    assert text.startswith("1 packet of inside hosts had to be dropped in the last minute as owner_taken: an"), text


def test_a_lan_that_is_cut_off(lab, router):
    """Whatever for: the reason that most packets die for is in the status."""
    away = "198.18.7.7"
    lab.R.ip(f"route add unreachable {away}")
    try:
        router.settle()
        with router.dropping(lan={"link_no_route": 30}), lab.udp("L1") as client:
            for _ in range(30):
                with contextlib.suppress(OSError):
                    client.sendto(b"anybody?", (away, 53))
        assert warnings(router)["lan-cut-off"].startswith("30 of 30 packets from the LAN were dropped in the last minu")
        with lab.udp("L1") as client:
            for _ in range(10):
                client.sendto(b"somebody", (lab.address("W1"), 9))
            router.catch_up()
        assert "lan-cut-off" not in warnings(router)
    finally:
        lab.R.ip(f"route delete unreachable {away}")
        router.settle()
