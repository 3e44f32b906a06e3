# SPDX-License-Identifier: BSD-2-Clause
"""What culvert learns from the kernel while it runs: links, addresses, routes, next hops."""
import os
import socket
import time

from kernel_util import HOST, ROUTER_WAN, UPSTREAM, assert_same, outside_of
from lab import wait_for
from namespace import read_state
from wire import ETH_P_ARP


def address_number(text):
    return int.from_bytes(socket.inet_aton(text), "big")


def process_time(probe):
    """Seconds."""
    with open(f"/proc/{probe.process.pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def test_the_wan_address_changes(place):
    before = read_state(place.R)
    probe = place.start()
    assert outside_of(place) == [ROUTER_WAN]
    first = probe.links()
    place.R.ip("address add 198.51.100.77/24 dev wan0")
    wait_for(lambda: outside_of(place) == [ROUTER_WAN, "198.51.100.77"], "rules for the second address")
    links = probe.links()
    assert links["addresses"] == [address_number(ROUTER_WAN), address_number("198.51.100.77")]
    assert links["generation"] > first["generation"]
    place.R.set_sysctl("net/ipv4/conf/wan0/promote_secondaries", 1)
    place.R.ip(f"address delete {ROUTER_WAN}/24 dev wan0")
    wait_for(lambda: outside_of(place) == ["198.51.100.77"], "rules of the first address gone")
    assert probe.links()["addresses"] == [address_number("198.51.100.77")]
    place.R.run("ip", "-4", "address", "flush", "dev", "wan0")
    wait_for(lambda: outside_of(place) == [], "no rules without an address")
    assert probe.links()["addresses"] == []
    place.R.ip(f"address add {ROUTER_WAN}/24 dev wan0", "route add default via 198.51.100.1")
    wait_for(lambda: outside_of(place) == [ROUTER_WAN], "rules are back")
    assert probe.stop() == 0
    place.R.set_sysctl("net/ipv4/conf/wan0/promote_secondaries", 0)
    assert_same(before, place)


def test_an_address_that_overlaps_the_lan_later_is_not_used(place):
    probe = place.start()
    place.R.ip("address add 10.77.0.129/25 dev wan0")
    wait_for(lambda: "overlap" in probe.log(), "a complaint")
    assert probe.links()["addresses"] == [address_number(ROUTER_WAN)]
    assert "10.77.0.129/25" in probe.log() and "10.77.0.0/24" in probe.log()
    assert probe.stop() == 0


def test_the_tun_follows_the_mtu_of_the_wan(place):
    probe = place.start()
    place.R.ip("link set wan0 mtu 1280")
    wait_for(lambda: place.R.ip_json("link", "show", "dev", "cv0")[0]["mtu"] == 1280, "MTU of the TUN")
    assert probe.links()["mtu"] == 1280
    place.R.ip("link set wan0 mtu 1500")
    wait_for(lambda: place.R.ip_json("link", "show", "dev", "cv0")[0]["mtu"] == 1500, "MTU of the TUN")
    assert probe.stop() == 0


def test_carrier(place):
    probe = place.start()
    place.X.ip("link set eth0 down")
    wait_for(lambda: not probe.links()["up"], "carrier lost")
    place.X.ip("link set eth0 up")
    wait_for(lambda: probe.links()["up"], "carrier back")
    assert probe.stop() == 0


def test_the_wan_is_deleted_and_made_again(place):
    probe = place.start()
    old = probe.links()["ifindex"]
    place.R.ip("link delete wan0")
    wait_for(lambda: probe.links()["ifindex"] == 0, "the WAN is gone")
    assert not probe.links()["up"] and probe.links()["addresses"] == []
    assert probe.ask("refresh") == "refreshed"
    assert "cannot" not in probe.log()
    assert place.R.ip_json("link", "show", "dev", "cv0")[0]["mtu"] == 1500
    assert probe.ask("hop 203.0.113.9").startswith("no-route")
    place.wire_wan()
    wait_for(lambda: probe.links()["addresses"] == [address_number(ROUTER_WAN)], "the new WAN")
    assert probe.links()["ifindex"] not in (0, old)
    assert outside_of(place) == [ROUTER_WAN]
    wait_for(lambda: probe.ask("hop 203.0.113.9").startswith("known"), "next hop on the new WAN")
    assert probe.stop() == 0


def test_networks_behind_the_lan_are_followed(place):
    place.R.ip(f"route add 10.88.0.0/16 via {HOST}")
    probe = place.start()

    def prefixes():
        return sorted(
            (socket.inet_ntoa(address.to_bytes(4, "big")), length) for address, length in probe.links()["prefixes"]
        )

    assert prefixes() == [("10.77.0.0", 24), ("10.88.0.0", 16)]
    place.R.ip(f"route add 10.99.0.0/24 via {HOST}", "route delete 10.88.0.0/16")
    wait_for(lambda: prefixes() == [("10.77.0.0", 24), ("10.99.0.0", 24)], "the new network")
    assert any(rule["priority"] == 108 and rule["dst"] == "10.99.0.0" for rule in place.R.ip_json("rule"))
    # a route that holds the WAN's own network is no network of the LAN
    place.R.ip(f"route add 198.51.0.0/16 via {HOST}")
    assert probe.ask("refresh") == "refreshed"
    assert prefixes() == [("10.77.0.0", 24), ("10.99.0.0", 24)]
    assert probe.stop() == 0


def test_a_flood_of_notifications_is_survived(place):
    """More than the socket's buffer holds while the probe is stopped: it looks at everything again."""
    probe = place.start()
    os.kill(probe.process.pid, 19)
    try:
        with open(place.folder / "flood", "w", encoding="ascii") as batch:
            for round_ in range(3):
                for number in range(4000):
                    verb = "delete" if round_ == 1 else "add"
                    batch.write(f"route {verb} 172.{16 + number // 256}.{number % 256}.0/24 dev wan0\n")
        place.R.run("ip", "-batch", str(place.folder / "flood"), timeout=60)
        place.R.ip("address add 198.51.100.77/24 dev wan0", "link set wan0 mtu 1300")
        with place.R.entered(), open("/proc/thread-self/net/netlink", encoding="ascii") as sockets:
            drops = [int(line.split()[8]) for line in sockets.read().splitlines()[1:]]
        assert any(drops), "some notifications must be lost, or this tests nothing"
    finally:
        os.kill(probe.process.pid, 18)
    wait_for(lambda: outside_of(place) == [ROUTER_WAN, "198.51.100.77"], "rules for the new address")
    assert probe.links()["mtu"] == 1300
    assert probe.stop() == 0


def test_a_large_table_that_changes_costs_little(place):
    """What has changed is in the notification: nothing is read for it, and nobody waits for the kernel."""
    place.R.ip(*(f"route add 172.{16 + number // 256}.{number % 256}.0/24 dev wan0" for number in range(4000)))
    place.R.ip(f"route add 203.0.113.0/24 via {UPSTREAM}")
    probe = place.start()
    mac = place.X.mac("eth0")
    wait_for(lambda: probe.ask("hop 203.0.113.9") == f"known {mac}", "the gateway")
    waits = probe.ask("waits")
    before = process_time(probe)
    for number in range(100):
        verb = "delete" if number % 2 else "add"
        place.R.ip(f"route {verb} unreachable 203.0.113.0/25")
        want = "known" if number % 2 else "no-route"
        wait_for(lambda: probe.ask("hop 203.0.113.9").startswith(want), f"change {number}")
    assert process_time(probe) - before < 0.1, "seconds for 100 changes"
    place.R.ip(f"route replace 203.0.113.0/24 via {UPSTREAM} metric 0 advmss 1000")
    place.R.ip("route replace unreachable 203.0.113.0/24")
    wait_for(lambda: probe.ask("hop 203.0.113.9").startswith("no-route"), "replaced")
    assert probe.ask("waits") == waits
    # routes go without a word when their device is down
    place.R.ip("link set wan0 down", "link set wan0 up", "route delete unreachable 203.0.113.0/24")
    wait_for(lambda: probe.links()["up"], "the carrier is back")
    wait_for(lambda: probe.ask("hop 172.16.1.1").startswith("no-route"), "read again")
    wait_for(lambda: probe.ask("hop 198.51.100.1").startswith("known"), "on the link")
    assert probe.stop() == 0


# --- next hops ----------------------------------------------------------------------------------------------------


def test_next_hops(place):
    mac = place.X.mac("eth0")
    probe = place.start()
    wait_for(lambda: probe.ask("hop 203.0.113.9") == f"known {mac}", "the gateway")
    wait_for(lambda: probe.ask("hop 198.51.100.1") == f"known {mac}", "on the link")
    assert probe.ask("hop 198.51.100.200").startswith("pending")
    wait_for(lambda: probe.ask("hop 198.51.100.200").startswith("silent"), "nobody answers")
    # that the kernel forgets it, as it does when its table is full, is no answer
    place.R.run("ip", "neighbour", "delete", "198.51.100.200", "dev", "wan0", check=False)
    for _ in range(10):
        assert probe.ask("hop 198.51.100.200").startswith("silent")
        time.sleep(0.02)
    wait_for(lambda: probe.ask("hop 198.51.100.255").startswith("silent"), "not to a broadcast address", 0.5)
    # a longer prefix wins, of equal ones the smaller metric; unreachable means no route
    place.X.ip("address add 198.51.100.9/24 dev eth0")
    place.R.ip(
        "route add 203.0.113.0/24 via 198.51.100.9 metric 10",
        "route add 203.0.113.0/24 via 198.51.100.201 metric 20",
        "route add unreachable 203.0.113.128/25",
        "neighbour replace 198.51.100.9 lladdr 02:00:00:00:00:09 dev wan0",
    )
    wait_for(lambda: probe.ask("hop 203.0.113.9") == "known 02:00:00:00:00:09", "the longer prefix")
    wait_for(lambda: probe.ask("hop 203.0.113.200").startswith("no-route"), "unreachable")
    place.R.ip("neighbour replace 198.51.100.9 lladdr 02:00:00:00:00:0a dev wan0")
    wait_for(lambda: probe.ask("hop 203.0.113.9") == "known 02:00:00:00:00:0a", "another MAC address")
    place.R.ip("route delete default", "route delete 203.0.113.0/24 metric 10")
    wait_for(lambda: probe.ask("hop 192.0.2.1").startswith("no-route"), "no default route any more")
    assert probe.stop() == 0


def test_one_that_somebody_deletes_is_waited_for(place):
    """The kernel says first that it has failed."""
    mac = place.X.mac("eth0")
    probe = place.start()
    wait_for(lambda: probe.ask("hop 198.51.100.1") == f"known {mac}", "on the link")
    place.R.ip("neighbour delete 198.51.100.1 dev wan0")

    def is_back():
        answer = probe.ask("hop 198.51.100.1")
        assert not answer.startswith("silent")
        return answer == f"known {mac}" and place.R.ip_json("neigh", "show", "198.51.100.1")

    wait_for(is_back, "asked for anew")
    assert probe.stop() == 0


def test_packets_wait_a_few_seconds_whatever_the_kernel_does(place):
    place.R.set_sysctl("net/ipv4/neigh/wan0/mcast_solicit", 60)
    probe = place.start()
    assert probe.ask("hop 198.51.100.200").startswith("pending")
    begin = time.monotonic()
    wait_for(lambda: probe.ask("hop 198.51.100.200").startswith("silent"), "given up")
    assert time.monotonic() - begin > 2.5
    # asked for all the time: an answer still counts
    place.X.ip("address add 198.51.100.200/24 dev eth0")
    mac = place.X.mac("eth0")
    wait_for(lambda: probe.ask("hop 198.51.100.200") == f"known {mac}", "answered late")
    assert probe.stop() == 0


def test_one_that_was_forgotten_long_ago_is_waited_for(place):
    """The kernel forgot it while there was no carrier and nobody wanted it: packets wait for it as for a new one."""
    place.X.ip("address add 198.51.100.200/24 dev eth0")
    mac = place.X.mac("eth0")
    probe = place.start()
    wait_for(lambda: probe.ask("hop 198.51.100.200") == f"known {mac}", "it answers")
    probe.ask("refresh")
    place.X.ip("link set eth0 down", "address delete 198.51.100.200/24 dev eth0")
    time.sleep(4.5)
    place.X.ip("link set eth0 up")
    wait_for(lambda: probe.links()["up"], "the carrier is back")
    assert probe.ask("hop 198.51.100.200").startswith("pending")
    place.X.ip("address add 198.51.100.200/24 dev eth0")
    wait_for(lambda: probe.ask("hop 198.51.100.200") == f"known {mac}", "it answers again")
    assert probe.stop() == 0


def test_without_an_address_nobody_is_asked_for(place):
    """The kernel would ask in the name of the LAN's address, and tell it to the WAN."""
    probe = place.start()
    mac = place.X.mac("eth0")
    wait_for(lambda: probe.ask("hop 203.0.113.9") == f"known {mac}", "the gateway")
    place.R.set_sysctl("net/ipv4/conf/wan0/promote_secondaries", 1)
    with place.capture_wan() as wan:
        place.R.ip(f"address delete {ROUTER_WAN}/24 dev wan0", f"route add {UPSTREAM} dev wan0 scope link")
        place.R.ip(f"route add default via {UPSTREAM}", "neighbour flush dev wan0")
        wan.frames(0.1)
        wait_for(lambda: probe.links()["addresses"] == [], "the address is gone")
        for command in ("hop 203.0.113.9", "refresh", "hop 203.0.113.10", "refresh"):
            assert probe.ask(command).split()[0] in ("refreshed", "no-route"), command
        asked = [frame for frame in wan.frames(0.3) if frame.type == ETH_P_ARP]
        assert not asked, f"asked as {[socket.inet_ntoa(frame.data[28:32]) for frame in asked]}"
    place.R.ip(f"address add {ROUTER_WAN}/24 dev wan0")
    wait_for(lambda: probe.ask("hop 203.0.113.9") == f"known {mac}", "the gateway again")
    assert probe.stop() == 0


def test_neighbours_in_use_are_kept(place):
    """The kernel forgets what nobody uses; the router's packets do not pass it, so it is told."""
    for name, value in (("gc_stale_time", 1), ("base_reachable_time_ms", 1000), ("delay_first_probe_time", 1)):
        place.R.set_sysctl(f"net/ipv4/neigh/wan0/{name}", value)
    probe = place.start()
    wait_for(lambda: probe.ask("hop 203.0.113.9").startswith("known"), "the gateway")
    states = set()

    def look():
        assert probe.ask("hop 203.0.113.9").startswith("known")
        probe.ask("refresh")
        states.update(place.R.ip_json("neigh", "show", "198.51.100.1", "dev", "wan0")[0]["state"])
        return {"STALE", "DELAY"} & states and "REACHABLE" in states and len(looks) > 60

    looks = []
    wait_for(lambda: looks.append(1) or look(), f"confirmed again, seen {states}", 60)
    assert "FAILED" not in states
    assert probe.stop() == 0


def test_a_scan_costs_little_and_makes_nobody_forgotten(place):
    """Addresses of the WAN's own network that nobody has, more than the kernel's table or ours has room for: few of
    them are asked for, and who has answered before stays known."""
    place.R.ip(f"address add {ROUTER_WAN}/16 dev wan0")
    place.X.ip(*(f"address add 198.51.101.{number}/16 dev eth0" for number in range(1, 21)))
    mac = place.X.mac("eth0")
    probe = place.start()
    known = ["203.0.113.9"] + [f"198.51.101.{number}" for number in range(1, 21)]
    for address in known:
        wait_for(lambda: probe.ask(f"hop {address}") == f"known {mac}", address)
    begin = time.monotonic()
    answers = [probe.ask(f"hop 198.51.{102 + number // 250}.{number % 250 + 1}").split()[0] for number in range(6000)]
    asked = len(answers) - answers.count("busy")
    assert set(answers) <= {"pending", "silent", "busy"}
    assert 100 <= asked <= 128 + 10 * (time.monotonic() - begin) + 10
    assert len(place.R.ip_json("neigh", "show", "dev", "wan0")) <= len(known) + asked
    for address in known:
        assert probe.ask(f"hop {address}") == f"known {mac}", address
    # a newcomer gets its turn
    wait_for(lambda: probe.ask("hop 198.51.102.1").split()[0] in ("pending", "silent"), "asked for")
    assert probe.stop() == 0
