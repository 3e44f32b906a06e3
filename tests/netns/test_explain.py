# SPDX-License-Identifier: BSD-2-Clause
"""What "explain" says of a packet, and what then becomes of it: for each kind of packet the router is asked first, the
packet is sent, and both must be the same. Asking changes nothing."""
import time

import pytest

from control import ask, document, run_ctl
from lab import ROUTER_LAN, ROUTER_WAN, UPSTREAM, wait_for
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

pytestmark = [pytest.mark.culvert_only("the kernel explains nothing")]

CONFIG = {
    "wan": {"host_ports": "22"},
    "nat": {"bypass": "192.0.2.101/32"},
    "l2tp": {"mode": "block"},
    "forward:web": {"protocol": "tcp", "port": "8080", "to": "10.77.0.101:80"},
}
FORBIDDEN = (3, 13)
NAMES = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 51: "ah"}


def words_of(direction, packet):
    """The packet as explain is asked about it."""
    ip, ends = IP(bytes(packet)), ["", ""]
    words = [f"length={len(ip)}", f"ttl={ip.ttl - (direction == 'out')}", f"df={'yes' if ip.flags.DF else 'no'}"]
    if ip.frag:
        words.append(f"offset={ip.frag * 8}")
    elif ip.proto == 6:
        letters = {"S": "syn", "A": "ack", "R": "rst", "F": "fin"}
        words.append("flags=" + "+".join(letters[letter] for letter in str(ip[TCP].flags)))
    elif ip.proto == 1:
        words += [f"type={ip[ICMP].type}", f"id={ip[ICMP].id}"]
    elif ip.proto == 50:
        words.append(f"spi=0x{bytes(ip.payload)[:4].hex()}")
    elif ip.proto == 47 and bytes(ip.payload)[1] == 1:
        words.append(f"call-id={int.from_bytes(bytes(ip.payload)[6:8], 'big')}")
    if ip.proto in (6, 17) and not ip.frag:
        ends = [f":{ip.sport}", f":{ip.dport}"]
    return [direction, NAMES.get(ip.proto, str(ip.proto)), ip.src + ends[0], ip.dst + ends[1], *words]


def explain(router, direction, packet):
    """The verdict, and the packets that would leave."""
    rows = ask(router, "explain " + " ".join(words_of(direction, packet)))
    assert rows[0]["kind"] == "verdict" and all(row["kind"] == "packet" for row in rows[1:])
    assert rows[0]["packets"] == len(rows) - 1
    return rows[0], rows[1:]


def ends_of(ip):
    """The identifier of ICMP stands in the place of both ports."""
    ports = (0, 0)
    if ip.proto in (6, 17):
        ports = (ip.sport, ip.dport)
    elif ip.proto == 1:
        ports = (ip[ICMP].id, ip[ICMP].id)
    return (ip.src, ports[0], ip.dst, ports[1])


def agree(router, direction, packet, sender, receiver):
    """Asks, asks again, sends, and compares. The verdict."""
    side = "LAN" if direction == "out" else "WAN"
    before = router.statistics()
    verdict, packets = explain(router, direction, packet)
    assert (verdict, packets) == explain(router, direction, packet)
    now = router.statistics()
    assert (now.side[side], now.drop, now.flows) == (before.side[side], before.drop, before.flows)
    drops = {verdict["reason"]: 1} if verdict["verdict"] == "dropped" else {}
    with router.dropping(**{side.lower(): drops}):
        sender.send(packet)
        if verdict["verdict"] == "forwarded":
            got = receiver.expect()
            row = {name: packets[0][name] for name in ("src-address", "src-port", "dst-address", "dst-port")}
            assert ends_of(got) == tuple(row.values()), (got, row)
            assert got.proto == packets[0]["transport-protocol"] and len(got) == packets[0]["bytes"]
            if got.proto == 1:
                assert got[ICMP].type == packets[0]["identifier"] >> 8
        else:
            receiver.expect_nothing(0.05)
            for row in packets:  # an error about it
                error = sender.expect()
                assert (error.src, error.dst) == (row["src-address"], row["dst-address"])
                assert (error[ICMP].type, error[ICMP].code) == divmod(row["identifier"], 256)
    after = router.statistics()
    names = ("forwarded", "consumed", "held", "dropped")
    rise = {name: after.side[side][name] - now.side[side][name] for name in names}
    assert rise == {name: int(name == verdict["verdict"]) for name in names}, (rise, verdict)
    return verdict


def udp(source, port, destination, to_port, size=20, **fields):
    return IP(src=source, dst=destination, **fields) / UDP(sport=port, dport=to_port) / Raw(b"u" * size)


def tcp(source, port, destination, to_port, flags="S", **fields):
    return IP(src=source, dst=destination, **fields) / TCP(sport=port, dport=to_port, flags=flags)


def portless(source, destination, number, body):
    return IP(src=source, dst=destination, proto=number) / Raw(body)


CALL = bytes.fromhex("3001880b0008123400000001") + b"a packet"
IKE = bytes.fromhex("0102030405060708" + "0000000000000000" + "0020220800000000" + "0000001c")
ESP = bytes.fromhex("0a0b0c0d00000001") + b"ciphertext......"


@pytest.mark.config(CONFIG)
def test_what_goes_out(lab, router):
    one, w1, w2 = lab.raw("L1"), lab.raw("W1"), lab.raw("W2")
    a, b = one.address, w1.address

    def out(packet, receiver=w1):
        return agree(router, "out", packet, one, receiver)

    verdict = out(udp(a, 5000, b, 53))
    assert (verdict["rule"], verdict["flow"], verdict["mapping"]) == ("new-mapping", "new", "new")
    verdict = out(udp(a, 5000, b, 53))
    assert (verdict["rule"], verdict["flow"]) == ("flow", "existing")
    verdict = out(udp(a, 5000, b, 54))
    assert (verdict["rule"], verdict["flow"], verdict["mapping"]) == ("mapping", "new", "existing")
    assert out(tcp(a, 5001, b, 80))["rule"] == "new-mapping"
    assert out(tcp(a, 5002, b, 80, "R"))["reason"] == "tcp_no_flow"
    assert out(IP(src=a, dst=b) / ICMP(id=77))["rule"] == "new-mapping"
    assert out(IP(src=a, dst=b) / ICMP(id=78, type=0))["reason"] == "icmp_no_flow"
    assert out(portless(a, b, 200, b"anything" * 4))["rule"] == "portless"
    verdict = out(portless(a, b, 50, ESP))
    assert (verdict["rule"], verdict["part"], verdict["module"]) == ("portless", "esp", "ipsec")
    verdict = out(portless(a, b, 47, CALL))
    assert (verdict["reason"], verdict["part"], verdict["mode"]) == ("gre_no_call", "pptp", "pass")
    assert out(portless(a, b, 51, b"a" * 24))["reason"] == "ah_untranslatable"
    verdict = out(udp(a, 1701, b, 1701))
    assert (verdict["reason"], verdict["mode"], verdict["packets"]) == ("l2tp_blocked", "block", 1)
    verdict = out(IP(src=a, dst=b) / UDP(sport=500, dport=500) / Raw(IKE))
    assert (verdict["part"], verdict["module"], verdict["external-src-port"]) == ("ike", "ipsec", 500)
    assert out(IP(src=a, dst=b, frag=10, proto=17) / Raw(b"f" * 64))["rule"] == "held"
    assert out(udp(a, 0, b, 9))["reason"] == "port_zero"
    assert out(udp(a, 5000, ROUTER_WAN, 1234))["reason"] == "hairpin_no_target"
    router.allow = lambda ip: ip.dst == w2.address  # forwarded as it is
    assert out(udp(a, 5000, w2.address, 53), w2)["rule"] == "bypass"


@pytest.mark.config(CONFIG)
def test_what_comes_in(lab, router):
    one, w1, w2 = lab.raw("L1"), lab.raw("W1"), lab.raw("W1", 1)
    a, b = one.address, w1.address
    one.send(udp(a, 6000, b, 53))
    port = w1.expect()[UDP].sport

    def come(packet, sender=w1):
        return agree(router, "in", packet, sender, one)

    verdict = come(udp(b, 53, ROUTER_WAN, port))
    assert (verdict["rule"], verdict["flow"], verdict["internal-src-port"]) == ("flow", "existing", 6000)
    verdict = come(udp(b, 99, ROUTER_WAN, port))
    assert (verdict["rule"], verdict["flow"], verdict["mapping"]) == ("mapping", "new", "existing")
    verdict = come(udp(w2.address, 53, ROUTER_WAN, port), w2)
    assert verdict["reason"] == "filtered"
    assert (verdict["nearest-src-address"], verdict["nearest-src-port"]) == (a, 6000)
    assert come(udp(b, 53, ROUTER_WAN, 7))["reason"] == "unsolicited"
    verdict = come(tcp(b, 4000, ROUTER_WAN, 8080))
    assert (verdict["rule"], verdict["forward"], verdict["internal-src-port"]) == ("forward", "web", 80)
    verdict = come(tcp(b, 4000, ROUTER_WAN, 8080, "A"))
    assert (verdict["rule"], verdict["forward"]) == ("flow", "web")
    assert come(portless(b, ROUTER_WAN, 201, b"x" * 32))["reason"] == "no_owner"
    assert come(portless(b, ROUTER_WAN, 47, CALL))["reason"] == "gre_no_call"
    assert come(portless(b, ROUTER_WAN, 51, b"a" * 24))["reason"] == "ah_untranslatable"
    assert come(udp(b, 1701, ROUTER_WAN, port))["reason"] == "l2tp_blocked"
    router.allow = lambda ip: ip.proto == 6 and ip.sport == 22  # nobody listens there
    assert come(tcp(b, 4000, ROUTER_WAN, 22))["rule"] == "router"
    assert come(udp("10.77.0.12", 53, ROUTER_WAN, port))["reason"] == "source_is_inside"
    assert come(udp(ROUTER_WAN, 53, ROUTER_WAN, port))["reason"] == "source_is_ours"
    assert come(udp(b, 0, ROUTER_WAN, port))["reason"] == "port_zero"
    assert come(IP(src=b, dst=ROUTER_WAN, frag=10, proto=17) / Raw(b"f" * 64))["rule"] == "held"


@pytest.mark.config(CONFIG)
def test_hairpins_and_sizes(lab, router):
    one, two, w1 = lab.raw("L1"), lab.raw("L2"), lab.raw("W1")
    two.send(udp(two.address, 7000, w1.address, 53))
    port = w1.expect()[UDP].sport
    verdict = agree(router, "out", udp(one.address, 7001, ROUTER_WAN, port), one, two)
    assert (verdict["rule"], verdict["hairpin"], verdict["flow"]) == ("hairpin", True, "new")
    with lab.mtu(("R", "wan0", 1000)):
        router.settle()
        verdict, packets = explain(router, "out", udp(one.address, 7002, w1.address, 53, 1200))
        assert (verdict["rule"], verdict["packets"], verdict["mtu"]) == ("new-mapping", 2, 1000)
        assert [row["offset"] for row in packets] == [0, 976]
    with lab.mtu(("R", "lan0", 1000)):
        router.settle()
        verdict = agree(router, "in", udp(w1.address, 53, ROUTER_WAN, port, 1200, flags="DF"), w1, two)
        assert (verdict["reason"], verdict["packets"], verdict["mtu"]) == ("too_big", 1, 1000)
    router.settle()


def test_less_need_be_said(lab, router):
    """No source port, capitals, and names, which the tool resolves."""
    host, server = lab.address("L1"), lab.address("W1")
    for words, port in (("out tcp {} {}:443", 50000), ("OUT UDP {} {}:500", 500), ("out udp {} {}:53", 50000)):
        verdict, note, packet = ask(router, f"explain {words.format(host, server)}")
        assert (verdict["verdict"], verdict["internal-src-port"], note["note"]) == ("forwarded", port, "source-port")
        assert note["text"] == f"the source was given without a port; explain uses {port}"
        assert (packet["src-address"], packet["dst-address"]) == (ROUTER_WAN, server)
    done = run_ctl(router, "explain", "out", "tcp", host, "localhost:443")
    assert done.returncode == 0 and "reason: destination_martian" in done.stdout, done
    assert run_ctl(router, "mappings", "--remote", "localhost").stdout == "nothing to list\n"
    for words in (["mappings", "--host", "a" * 64], ["explain", "in", "tcp", "a" * 64 + ":5", f"{ROUTER_WAN}:80"],
                  ["tunnels", "a." + "b" * 64]):
        done = run_ctl(router, *words)
        assert done.returncode == 7 and "has no IPv4 address: " in done.stderr and not done.stdout, done


def test_what_can_not_be_asked(router):
    """Each mistake is named, with what to write instead."""
    for words, part in (
        ("", "explain takes in or out"),
        ("up tcp 1.2.3.4:5 6.7.8.9:1", "explain takes in or out"),
        ("out what 1.2.3.4:5 6.7.8.9:1", "what is not a protocol"),
        ("out tcp 1.2.3:5 6.7.8.9:1", "1.2.3:5 is not an endpoint"),
        ("out tcp 1.2.3.4:65536 6.7.8.9:1", "1.2.3.4:65536 is not an endpoint"),
        ("out tcp 1.2.3.4 6.7.8.9", "6.7.8.9 has no port"),
        ("out tcp 1.2.3.4:5 6.7.8.9:1 flags=up", "flags= takes syn"),
        ("out udp 1.2.3.4:5 6.7.8.9:1 call-id=1", "call-id= takes a number to 65535, for gre"),
        ("out esp 1.2.3.4 6.7.8.9 spi=0x1ffffffff", "spi= takes a number"),
        ("out icmp 1.2.3.4 6.7.8.9 type=3", "errors quote a packet"),
        ("out udp 1.2.3.4 6.7.8.9 offset=7", "a multiple of 8"),
        ("out udp 1.2.3.4:5 6.7.8.9:1 length=x", "length= takes the bytes"),
        ("out udp 1.2.3.4:5 6.7.8.9:1 size=9", "cannot understand size=9"),
    ):
        done = run_ctl(router, "explain", *words.split())
        assert done.returncode == 1 and part in done.stderr, (words, done)


def test_the_last_packets_one_by_one(lab, router):
    one, w1, w2 = lab.raw("L1"), lab.raw("W1"), lab.raw("W2")
    one.send(udp(one.address, 6100, w1.address, 53))
    port = w1.expect()[UDP].sport
    before, *_ = ask(router, "drops explain=filtered")
    with router.dropping(wan={"filtered": 2, "no_owner": 1}):
        w2.send(udp(w2.address, 53, ROUTER_WAN, port))
        w2.send(portless(w2.address, ROUTER_WAN, 202, b"x" * 32))
        w2.send(udp(w2.address, 54, ROUTER_WAN, port))
    rows = ask(router, "drops last=3")
    assert [row["reason"] for row in rows] == ["filtered", "no_owner", "filtered"]
    assert [row["number"] for row in rows] == list(range(rows[0]["number"], rows[0]["number"] - 3, -1))
    fields = ("from", "protocol-name", "src-address", "src-port", "dst-address", "dst-port", "bytes")
    assert tuple(rows[0][name] for name in fields) == ("wan", "udp", w2.address, 54, ROUTER_WAN, port, 48)
    assert (rows[0]["nearest-src-address"], rows[0]["nearest-src-port"]) == (one.address, 6100)
    assert rows[1]["nearest-src-address"] is None and abs(rows[0]["time"] - time.time()) < 60 > rows[0]["age"]
    assert [row["src-port"] for row in ask(router, "drops reason=filtered last=2")] == [54, 53]
    after, *packets = ask(router, "drops explain=filtered")
    assert after["packets-wan"] == before["packets-wan"] + 2
    assert 2 <= after["packets-last-minute"] <= before["packets-last-minute"] + 2
    assert [row["src-port"] for row in packets[:2]] == [54, 53]
    shown = run_ctl(router, "drops", "last=3")
    assert shown.returncode == 0 and f"{w2.address}:54" in shown.stdout and "filtered" in shown.stdout, shown
    for words, code, part in (
        (["last=0"], 1, "1 to 4096"),
        (["last=4097"], 1, "1 to 4096"),
        (["reason=filterd"], 7, "did you mean filtered?"),
    ):
        done = run_ctl(router, "drops", *words)
        assert done.returncode == code and part in done.stderr, done


def test_a_dropped_packet_names_its_tunnel(lab, router):
    """Of two clients of one server each has its own; with a server that neither talks to there is none."""
    hosts, w1, w2 = [lab.raw("L1"), lab.raw("L2")], lab.raw("W1"), lab.raw("W2")
    ports = []
    for host in hosts:
        host.send(udp(host.address, 4500, w1.address, 4500))
        ports.append(w1.expect()[UDP].sport)
        w1.send(udp(w1.address, 4500, ROUTER_WAN, ports[-1]))
        host.expect()
    names = {row["internal-src-address"]: row["id"] for row in ask(router, f"tunnels remote={w1.address}")}
    assert len({names[host.address] for host in hosts}) == 2
    with router.dropping(wan={"ip_ttl": 2, "filtered": 1}):
        for port in ports:
            w1.send(IP(src=w1.address, dst=ROUTER_WAN, ttl=2) / UDP(sport=4500, dport=port) / Raw(b"x" * 40))
        w2.send(udp(w2.address, 4500, ROUTER_WAN, ports[0]))
        time.sleep(0.1)
    stranger, second, first = ask(router, "drops last=3")
    assert [row["tunnel"] for row in (first, second)] == [names[host.address] for host in hosts]
    assert [row["nearest-src-address"] for row in (first, second)] == [host.address for host in hosts]
    assert stranger["tunnel"] is None and stranger["nearest-src-address"] == hosts[0].address
    shown = run_ctl(router, "drops", "last=3").stdout
    assert "TUNNEL" in shown and shown.count(names[hosts[1].address]) == 1, shown


def test_what_the_engine_never_sees_is_said(lab, router):
    """A dry run of the engine alone says "forwarded" of what the kernel keeps to itself, and of what no link takes."""
    host, remote = lab.raw("L1"), lab.raw("W1")

    def asked(direction, *words):
        return ask(router, " ".join(["explain", direction, "udp", *words]))

    def notes(direction, *words):
        return [row["note"] for row in asked(direction, *words) if row["kind"] == "note"]

    source = f"{host.address}:6200"
    assert notes("out", source, f"{remote.address}:53") == []
    cases = (
        ("own-address", ROUTER_LAN, 64),
        ("inside-destination", lab.address("L2"), 64),
        ("time-to-live", remote.address, 1),
    )
    for name, destination, ttl in cases:
        rows = asked("out", source, f"{destination}:53", f"ttl={ttl}")
        assert [row["kind"] for row in rows] == ["verdict", "note"] and rows[1]["note"] == name
        assert (rows[0]["verdict"], rows[0]["rule"], rows[0]["flow"]) == ("not-ours", None, None)
        before = router.statistics().side["LAN"]["received"]
        host.send(udp(host.address, 6200, destination, 53, ttl=ttl))
        time.sleep(0.1)
        assert router.statistics().side["LAN"]["received"] == before, name
    done = run_ctl(router, "explain", "out", "udp", source, f"{ROUTER_LAN}:53")
    assert "not ours: the kernel takes it\n" in done.stdout, done
    assert "\nbut: the destination is the router itself" in done.stdout, done
    done = run_ctl(router, "explain", "in", "icmp", remote.address, ROUTER_WAN)
    assert "for the router itself\n" in done.stdout, done
    # from the WAN the time to live is judged here
    assert notes("in", f"{remote.address}:53", f"{ROUTER_WAN}:6200", "ttl=1") == []
    lab.R.ip("link set wan0 down")
    try:
        router.settle()
        verdict = asked("out", source, f"{remote.address}:53")
        assert [(row["verdict"], row["reason"], row["packets"]) for row in verdict] == [("dropped", "link_down", 0)]
    finally:
        lab.R.ip("link set wan0 up", f"route replace default via {UPSTREAM}")
        router.settle()
    lab.R.ip(f"route add unreachable {remote.address}")
    try:
        router.settle()
        verdict = asked("out", source, f"{remote.address}:53")
        assert [(row["verdict"], row["reason"]) for row in verdict] == [("dropped", "link_no_route")]
        assert asked("out", source, f"{lab.address('W2')}:53")[0]["verdict"] == "forwarded"
    finally:
        lab.R.ip(f"route delete unreachable {remote.address}")
        router.settle()


def test_a_dead_next_hop(lab, router):
    """Asking makes nobody ask for a link address; after a packet has, it is known that nobody answers."""
    dead, nobody = "198.18.7.7", "198.51.100.77"
    lab.R.ip(f"route add {dead} via {nobody}")
    try:
        router.settle()
        words = f"explain out udp {lab.address('L1')}:6300 {dead}:53"
        assert [row["kind"] for row in ask(router, words)] == ["verdict", "packet"]
        assert not [row for row in lab.R.ip_json("neighbour") if row["dst"] == nobody]
        with router.dropping(lan={"link_next_hop": 1}), lab.udp("L1", port=6300) as client:
            client.sendto(b"anybody?", (dead, 53))
        wait_for(lambda: ask(router, words)[0]["reason"] == "link_next_hop", "the silence of the next hop")
    finally:
        lab.R.ip(f"route delete {dead}")
        router.settle()


def test_for_people_and_programs(lab, router):
    words = ["explain", "out", "udp", f"{lab.address('L1')}:5000", f"{lab.address('W1')}:53"]
    done = run_ctl(router, *words)
    assert done.returncode == 0 and "forwarded" in done.stdout and ROUTER_WAN in done.stdout, done
    assert [row["kind"] for row in document(router, *words)] == ["verdict", "packet"]
