# SPDX-License-Identifier: BSD-2-Clause
"""Forwards to inside hosts, and the router's own listeners and connections beside them."""
import os

import pytest

from control import ask, run_ctl
from lab import ROUTER_LAN, ROUTER_WAN, carry
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw

FORWARDS = {
    "forward:web": {"protocol": "tcp", "port": "8080", "to": "10.77.0.11:80"},
    "forward:game": {"protocol": "udp", "port": "5000-5003", "to": "10.77.0.11:6000"},
    "forward:both": {"protocol": "tcp+udp", "port": "7000", "to": "10.77.0.12"},
    "forward:raw": {"protocol": "tcp", "port": "9000-9001", "to": "10.77.0.101:9000"},
}
VPN = {
    "forward:pptp": {"service": "pptp", "to": "10.77.0.101"},
    "forward:l2tp": {"service": "l2tp", "to": "10.77.0.102"},
    "forward:ipsec": {"service": "ipsec", "to": "10.77.0.103"},
}
forwards = pytest.mark.config(FORWARDS)


@forwards
def test_forward_tcp_to_another_port(lab, router):
    with lab.tcp_listen("L1", port=80) as listener:
        for host in ("W1", "W2"):
            with lab.tcp_connect(host, (ROUTER_WAN, 8080)) as client:
                server, peer = listener.accept()
                assert peer[0] == lab.address(host), "the inside server sees the real client"
                carry(client, server, os.urandom(200000))
                carry(server, client, os.urandom(200000))
                server.close()


@forwards
@pytest.mark.culvert_only("nft maps a range to a range only with a map")
def test_forward_udp_range(lab, router):
    for offset in range(4):
        with lab.udp("L1", port=6000 + offset) as server, lab.udp("W1") as client:
            seen = lab.echo_once(client, server, to=(ROUTER_WAN, 5000 + offset))
            assert seen == client.getsockname()


@forwards
def test_forward_of_tcp_and_udp_with_one_section(lab, router):
    with lab.udp("L2", port=7000) as server, lab.udp("W1") as client:
        lab.echo_once(client, server, to=(ROUTER_WAN, 7000))
    with lab.tcp_listen("L2", port=7000) as listener, lab.tcp_connect("W2", (ROUTER_WAN, 7000)):
        listener.accept()[0].close()


@forwards
def test_nobody_listens_behind_a_forward(lab, router):
    """The inside host's reset and port unreachable reach the client; they are the host's own."""
    with pytest.raises(ConnectionRefusedError):
        lab.tcp_connect("W1", (ROUTER_WAN, 8080))
    with lab.udp("W1") as client:
        client.connect((ROUTER_WAN, 5003))
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(10)


@forwards
@pytest.mark.culvert_only("masquerading does not hairpin without a rule of its own")
@pytest.mark.parametrize("host", ["L1", "L2"])
def test_rfc5382_req8_hairpin_to_a_forward(lab, router, host):
    """From another inside host, and from the server itself: the server sees the outside address."""
    with lab.tcp_listen("L1", port=80) as listener, lab.tcp_connect(host, (ROUTER_WAN, 8080)) as client:
        server, peer = listener.accept()
        assert peer[0] == ROUTER_WAN
        carry(client, server, os.urandom(100000))
        server.close()
    with lab.udp("L1", port=6001) as server, lab.udp(host) as client:
        client.sendto(b"ping", (ROUTER_WAN, 5001))
        data, seen = server.recvfrom(100)
        assert data == b"ping" and seen[0] == ROUTER_WAN
        server.sendto(b"pong", seen)
        assert client.recvfrom(100) == (b"pong", (ROUTER_WAN, 5001))


@forwards
@pytest.mark.culvert_only("dnat does not bind the other direction")
def test_a_forwards_target_speaks_with_the_forwards_port(lab, router):
    """What the server itself starts from the forwarded port comes from that port outside; nobody else gets the port."""
    with lab.udp("W1", port=3490) as remote:
        with lab.udp("L1", port=6002) as server:
            assert lab.echo_once(server, remote) == (ROUTER_WAN, 5002)
        with lab.udp("L2", port=5001) as other:
            assert lab.echo_once(other, remote)[1] != 5001


@forwards
@pytest.mark.culvert_only("conntrack resets and times out on its own terms")
def test_rfc6056_a_forward_takes_data_without_a_syn(lab, router):
    """After a restart connections to a forward go on: any segment but a reset opens the flow again."""
    inside, outside = lab.raw("L1"), lab.raw("W1")
    outside.send(
        IP(src=outside.address, dst=ROUTER_WAN) / TCP(sport=5555, dport=9000, flags="PA", seq=77, ack=99) / b"going on"
    )
    got = inside.expect()
    assert got[TCP].dport == 9000 and bytes(got[TCP].payload) == b"going on"
    inside.send(IP(src=inside.address, dst=got.src) / TCP(sport=9000, dport=5555, flags="A", seq=99, ack=85))
    assert outside.expect().src == ROUTER_WAN
    with router.dropping(wan={"unsolicited": 1}):
        outside.send(IP(src=outside.address, dst=ROUTER_WAN) / TCP(sport=5556, dport=9001, flags="R", seq=77))
        inside.expect_nothing()


@pytest.mark.config(VPN)
@pytest.mark.culvert_only("services are culvert's own")
@pytest.mark.parametrize(
    "index,host,protocol,port",
    [
        (0, "L1", 6, 1723),
        (0, "L1", 47, 0),
        (0, "L2", 17, 1701),
        (0, "L2", 115, 0),
        (1, "L1", 17, 500),
        (1, "L1", 17, 4500),
        (1, "L1", 50, 0),
    ],
    ids=["pptp-tcp1723", "pptp-gre", "l2tp-udp1701", "l2tp-115", "ipsec-udp500", "ipsec-udp4500", "ipsec-esp"],
)
def test_forward_of_a_service(lab, router, index, host, protocol, port):
    """Everything a VPN server needs arrives at the one host, and its answers leave from the outside address."""
    inside = lab.raw(host, index)
    for remote in (lab.raw("W1"), lab.raw("W2")):
        payload = {
            6: TCP(sport=5000, dport=port, flags="S", seq=1),
            17: UDP(sport=5000, dport=port) / b"hello!!!",
            47: Raw(bytes.fromhex("0000080045000014")),
            50: Raw(bytes.fromhex("11223344000000010102030405060708")),
            115: Raw(b"\x00\x00\x00\x07session and more"),
        }[protocol]
        remote.send(IP(src=remote.address, dst=ROUTER_WAN, proto=protocol) / payload)
        got = inside.expect()
        assert (got.src, got.dst, got.proto) == (remote.address, inside.address, protocol)
        if port:
            assert got.payload.dport == port
            answer = (
                TCP(sport=port, dport=5000, flags="SA", seq=1, ack=2)
                if protocol == 6
                else UDP(sport=port, dport=5000) / b"answer"
            )
        else:
            answer = payload
        inside.send(IP(src=inside.address, dst=remote.address, proto=protocol) / answer)
        back = remote.expect()
        assert back.src == ROUTER_WAN and (not port or back.payload.sport == port)


# --- the router itself -----------------------------------------------------------------------------------------------

HOST_PORTS = {"wan": {"host_ports": "22,2222"}}


@pytest.mark.config(HOST_PORTS)
@pytest.mark.parametrize("port", [22, 2222])
def test_the_routers_own_listener(lab, router, port):
    """A listener on a host port is reached from the WAN, from the LAN by the outside address, and by the LAN
    address."""
    lab.guard.host_ports.add(port)
    with lab.tcp_listen("R", "0.0.0.0", port) as listener:
        for host, address in (("W1", ROUTER_WAN), ("L1", ROUTER_WAN), ("L1", ROUTER_LAN)):
            with lab.tcp_connect(host, (address, port)) as client:
                server, peer = listener.accept()
                assert peer[0] == lab.address(host)
                carry(client, server, os.urandom(50000))
                server.sendall(b"bye")
                assert client.recv(3) == b"bye"
                server.close()


@pytest.mark.config(HOST_PORTS)
@pytest.mark.culvert_only("CVE-2021-3773")
def test_port_shadow_a_host_port_is_never_given_away(lab, router):
    """An inside host that uses the router's port as its source port does not get it outside, and takes nothing from
    the router."""
    lab.guard.host_ports.add(22)
    with lab.tcp_listen("R", "0.0.0.0", 22) as listener, lab.udp("L1", port=22) as shadow, lab.udp(
        "W1", port=50000
    ) as remote, lab.tcp_listen("W1", port=50001) as remote_tcp:
        assert lab.echo_once(shadow, remote)[1] != 22
        with lab.tcp_connect("L1", remote_tcp.getsockname(), port=22):
            connection, peer = remote_tcp.accept()
            assert peer[1] != 22
            connection.close()
        with lab.tcp_connect("W1", (ROUTER_WAN, 22), port=50001):
            server, peer = listener.accept()
            assert peer == ("203.0.113.10", 50001)
            server.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_routers_own_connection_beside_a_host_with_the_same_port(lab, router, transport):
    """The router and L1 talk to the same server from the same port number; each gets its own answers."""
    low, high = map(int, lab.R.read_sysctl("net/ipv4/ip_local_port_range").split())
    port = (low + high) // 2
    if transport == "udp":
        with lab.udp("W1", port=3491) as server, lab.udp("R", "0.0.0.0", port) as own, lab.udp(
            "L1", port=port
        ) as inside:
            first = lab.echo_once(own, server)
            second = lab.echo_once(inside, server)
            assert first == (ROUTER_WAN, port) and second != first
            for number in range(3):
                server.sendto(b"own", first)
                server.sendto(b"inside", second)
                assert own.recv(10) == b"own" and inside.recv(10) == b"inside"
        return
    with lab.tcp_listen("W1", port=3492) as listener, lab.tcp_connect(
        "R", listener.getsockname(), "0.0.0.0", port
    ) as own:
        first, first_peer = listener.accept()
        with lab.tcp_connect("L1", listener.getsockname(), port=port) as inside:
            second, second_peer = listener.accept()
            assert first_peer == (ROUTER_WAN, port) and second_peer != first_peer
            for sock, text in ((first, b"own"), (second, b"inside")):
                sock.sendall(text)
                sock.close()
            assert own.recv(10) == b"own" and inside.recv(10) == b"inside"


def test_the_routers_services_on_its_lan_address(lab, router):
    """DNS, DHCP or a web page of the router itself: its LAN address is as reachable as ever, UDP, TCP and ping."""
    with lab.udp("R", ROUTER_LAN, 53) as server, lab.udp("L1") as client, lab.udp("L2", port=53) as other:
        lab.echo_once(client, server)
        lab.echo_once(other, server)
    with lab.tcp_listen("R", ROUTER_LAN, 53) as listener, lab.tcp_connect("L1", listener.getsockname()) as client:
        server, peer = listener.accept()
        assert peer[0] == "10.77.0.11"
        carry(client, server, os.urandom(100000))
        carry(server, client, os.urandom(100000))
        server.close()
    lab.L1.ping(ROUTER_LAN, 2)


def test_inside_hosts_reach_one_another_directly(lab, router):
    """L1 to L2 by the router (a host route makes it so): not translated, and not on the WAN."""
    lab.L1.ip("route add 10.77.0.12/32 via 10.77.0.1")
    try:
        with lab.udp("L2", port=7777) as server, lab.udp("L1", port=7778) as client:
            assert lab.echo_once(client, server) == ("10.77.0.11", 7778)
    finally:
        lab.L1.ip("route del 10.77.0.12/32")


def test_the_routers_own_client_with_a_port_the_kernel_chose(lab, router):
    with lab.tcp_listen("W1", port=3493) as listener:
        for _ in range(5):
            with lab.tcp_connect("R", listener.getsockname(), "0.0.0.0") as own:
                server, peer = listener.accept()
                assert peer[0] == ROUTER_WAN
                carry(own, server, os.urandom(100000))
                server.close()
    lab.R.ping("203.0.113.10", 2)


NOWHERE = {
    "forward:good": {"protocol": "tcp", "port": "8080", "to": "10.77.0.11:80"},
    "forward:self": {"protocol": "tcp", "port": "8443", "to": f"{ROUTER_LAN}:443"},
    "forward:away": {"protocol": "tcp", "port": "8081", "to": "203.0.113.10:80"},
}


@pytest.mark.culvert_only("the kernel does not say where a rule leads")
@pytest.mark.config(NOWHERE)
def test_forwards_that_lead_to_no_inside_host(lab, router):
    """Said by the start, --check, a reload, a rehearsal and the status; and explain does not promise anything."""
    wrong = [
        "[forward:self] leads to 10.77.0.1, which is the router itself",
        "[forward:away] leads to 203.0.113.10, which is in no network of lan0",
    ]
    mark = router.mark()
    done = router.run("--check")
    assert done.returncode == 0 and done.stdout.endswith("is good, with 2 warnings about forwards\n"), done
    router.reload(NOWHERE)
    rows = [ask(router, verb) for verb in ("reload", "rehearse")]
    for text in (router.log(), router.log(mark), done.stderr, *map(str, rows)):
        assert [text.count(words) > 0 for words in wrong] == [True, True] and "forward:good" not in text, text
    section = router.config_file.read_text().splitlines().index("[forward:away]") + 1
    assert f"culvert.ini:{section}: warning: [forward:away]" in done.stderr, done.stderr
    warnings = [row for row in ask(router, "status") if row["kind"] == "warning"]
    assert [row["warning"] for row in warnings] == ["forward-leads-nowhere"]
    assert wrong[0] in warnings[0]["text"] and "(2 forwards in all)" in warnings[0]["text"]
    for port, name in ((8443, "self"), (8081, "away")):
        verdict, note, _ = ask(router, f"explain in tcp 203.0.113.11:4000 {ROUTER_WAN}:{port}")
        assert verdict["verdict"] == "undeliverable" and f"[forward:{name}] leads to" in note["text"], (verdict, note)
    assert ask(router, f"explain in tcp 203.0.113.11:4000 {ROUTER_WAN}:8080")[0]["verdict"] == "forwarded"
    done = run_ctl(router, "explain", "in", "tcp", "203.0.113.11:4000", f"{ROUTER_WAN}:8443")
    assert "translated, but no host gets it" in done.stdout, done
    assert not [row for row in ask(router, "status") if row["kind"] == "warning" and "good" in row["text"]]
    router.reload({"forward:good": NOWHERE["forward:good"]})
    assert not [row for row in ask(router, "status") if row["kind"] == "warning"]


@pytest.mark.culvert_only("culvertd's own command line")
def test_check_of_a_file_for_another_machine(lab, daemon):
    text = "[lan]\ninterface = elsewhere0\n[forward:a]\nprotocol = tcp\nport = 80\nto = {}\n"
    done = daemon.run("--check", text=text.format("10.77.0.1"))
    assert done.returncode == 0 and "elsewhere0 does not exist or has no address" in done.stderr, done
    assert "warning" not in done.stderr, done
    done = daemon.run("--check", text=text.format("203.0.113.10"))
    assert done.returncode == 0, done
    assert "ini:3: warning: [forward:a] leads to 203.0.113.10, which is not a private" in done.stderr, done


@pytest.mark.culvert_only("the kernel gives its own connections other ports then")
@pytest.mark.config({"forward:all": {"protocol": "tcp", "port": "30000-65535", "to": "10.77.0.11"}})
def test_a_forward_over_the_ports_of_the_router_itself(lab, router):
    low, high = map(int, lab.R.read_sysctl("net/ipv4/ip_local_port_range").split())
    text = f"[forward:all] takes ports of {low}-{high}, which the router's own connections get: from these"
    warnings = {row["warning"]: row["text"] for row in ask(router, "status") if row["kind"] == "warning"}
    assert warnings["forward-takes-own-ports"].startswith(text), warnings
    assert f"warning: {text}" in router.log() and text in str(ask(router, "reload"))
    router.reload({"forward:all": {"protocol": "tcp", "port": f"30000-{low - 1}", "to": "10.77.0.11"}})
    assert "own connections get" not in str(ask(router, "status"))


@pytest.mark.culvert_only("the kernel says nothing of ports")
@pytest.mark.config({"forward:all": {"protocol": "tcp", "port": "1-65535", "to": "10.77.0.11"}})
def test_a_forward_that_leaves_no_port_to_others(lab, router):
    warnings = [row for row in ask(router, "status") if row["kind"] == "warning"]
    texts = [row["text"] for row in warnings if row["warning"] == "ports-nearly-full"]
    assert len(texts) == 1 and texts[0].startswith(f"forwards and the router have all TCP ports of {ROUTER_WAN}"), texts
