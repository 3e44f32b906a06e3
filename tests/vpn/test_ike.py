# SPDX-License-Identifier: BSD-2-Clause
"""IPsec through culvertd with strongSwan at both ends: IKE on ports 500 and 4500, ESP in UDP. All ends are
boxes: up to five clients on the LAN, the server on W1, and W2 as a client from outside."""
import contextlib
import re
import time

import pytest

from calls import all_hung_up, dial_all, use_all
from conftest import BoxRoom
from ike import Client, Server, make_certificates, start_charon, wait_for_charon
from lab import ROUTER_WAN
from wires import watch

SOME = 1 << 20
LAN_SERVER = {"forward:vpn": {"service": "ipsec", "to": "10.77.0.15"}}
ONLY_500 = """
    table ip only500 {
        chain input {
            type filter hook input priority 0;
            udp dport 500 udp sport != 500 counter drop
        }
    }
"""


@pytest.fixture(scope="module")
def room():
    """Overrides the room of guests."""
    room = BoxRoom("strongswan")
    try:
        room.build(["L3", "L4", "L5"])
        for box in room.boxes.values():
            start_charon(box)
        for box in room.boxes.values():
            wait_for_charon(box)
        yield room
    finally:
        room.close()


@pytest.fixture(scope="module")
def server(room):
    return Server(room.W1, "10.96.1").start()


@pytest.fixture
def make_clients(room, router, server):
    """make_clients("ikev2", 3): L1, L2 and L3, clients of W1. No connection is left behind."""
    made = []

    def make(kind, count):
        made.extend(Client(room.boxes[f"L{number}"], server, kind=kind) for number in range(1, count + 1))
        return made

    yield make
    for finish in [client.begin_hang_up() for client in made]:
        finish()
    server.wait_for_sessions(0)


@pytest.fixture
def fresh(room, router):
    """The router has forgotten who had which port."""
    if router.kind == "culvert":
        router.stop()
        router.start(router.config)
    else:
        room.lab.R.run("conntrack", "-F")


def outside_ports(wan, there, port):
    """The ports from which a server's port was called."""
    return {own for source, own, to, its in wan.udp if (source, to, its) == (ROUTER_WAN, there, port)}


def inside_ports(lan, there, port):
    return {(source, own) for source, own, to, its in lan.udp if (to, its) == (there, port)}


@contextlib.contextmanager
def pinging(clients):
    """Fifty pings in a second through each connection, of which none may get lost between others."""
    for client in clients:
        client.guest.start("pings", "ping", "-n", "-i", "0.02", client.server.inside)
    try:
        yield
    finally:
        for client in clients:
            client.guest.run("p=$(cat /run/pings.pid); kill -INT $p; while kill -0 $p; do sleep .02; done 2>/dev/null")
    for client in clients:
        answered = set(map(int, re.findall(r"icmp_seq=(\d+) ", client.guest.path("/run/pings.log").read_text("utf-8"))))
        lost = set(range(1, max(answered, default=0))) - answered
        assert len(answered) > 20 and not lost, f"{client.name}: {len(answered)} pings answered, lost {sorted(lost)}"


def rekey_all(clients, begin):
    """Every connection gets new keys, of its child SA and of its IKE SA."""
    before = [client.keys() for client in clients]
    for client, finish in [(client, begin(client)) for client in clients]:
        done = finish()
        assert done.code == 0, f"{client.name}: {done.output}\n{client.guest.syslog_tail()}"
    for client, old in zip(clients, before):
        client.wait_for_new_keys(old)


def test_five_clients_of_one_server_through_rekeys(room, router, server, make_clients):
    clients = make_clients("ikev2", 5)
    with watch(room) as (lan, wan):
        dial_all(clients)
        use_all(clients, SOME)
        with pinging(clients):
            rekey_all(clients, Client.begin_rekey)
            rekey_all(clients, server.begin_rekey)
        transfers = [client.begin_transfer(2 * SOME) for client in clients]
        rekey_all(clients, Client.begin_rekey)
        for finish in transfers:
            finish()
        use_all(clients, SOME)
        lan.read(), wan.read()
    assert server.sessions() == 5
    if router.kind == "culvert":
        said = rf"tunnel: IPsec (\S+) -> {server.guest.address} .*IKEv2.* ESP in UDP: connected"
        assert set(re.findall(said, router.statistics().text)) == {client.guest.address for client in clients}
    for port in (500, 4500):
        assert inside_ports(lan, server.guest.address, port) == {(client.guest.address, port) for client in clients}
        own = outside_ports(wan, server.guest.address, port)
        assert len(own) == 5 and port in own, own


def test_a_lone_client_keeps_its_ports(room, router, fresh, server, make_clients):
    (client,) = make_clients("ikev2", 1)
    with watch(room) as (lan, wan):
        client.dial()
        client.ping_full()
        client.transfer(SOME)
        lan.read(), wan.read()
    assert [outside_ports(wan, server.guest.address, port) for port in (500, 4500)] == [{500}, {4500}]


def test_two_clients_of_ikev1_main_mode(room, router, server, make_clients):
    clients = make_clients("ikev1", 2)
    dial_all(clients)
    use_all(clients, SOME)
    rekey_all(clients, Client.begin_rekey)
    use_all(clients, SOME)


def test_authentication_in_fragments(room, router, server, make_clients):
    """The certificates make IKE_AUTH larger than a packet, and IKE's own fragmentation is off."""
    make_certificates([room.L1, room.L2, room.W1])
    server.kinds += ("certificates",)
    server.start_daemon()
    clients = make_clients("certificates", 2)
    with watch(room) as (lan, wan):
        dial_all(clients)
        lan.read(), wan.read()
    there = server.guest.address
    for wire, sender in ((wan, ROUTER_WAN), (wan, there), (lan, there)):
        assert wire.fragments[sender] >= 6, wire.fragments  # two messages, of three fragments at least
    use_all(clients, SOME)


@pytest.mark.config(LAN_SERVER)
def test_a_server_on_the_lan_while_others_call_out(room, router, server, make_clients):
    """W2 calls the server on L5 behind the router, while L1 and L2 are clients of W1."""
    inner = Server(room.L5, "10.96.5").start()
    incoming = Client(room.W2, inner, ROUTER_WAN)
    clients = [*make_clients("ikev2", 2), incoming]
    with all_hung_up(inner, [incoming]), watch(room) as (lan, wan):
        dial_all(clients)
        use_all(clients, SOME)
        rekey_all([incoming], Client.begin_rekey)
        rekey_all([incoming], inner.begin_rekey)
        use_all(clients, SOME)
        lan.read(), wan.read()
        assert inner.sessions() == 1 and server.sessions() == 2
    for port in (500, 4500):
        assert inside_ports(lan, inner.guest.address, port) == {(room.W2.address, port)}
    inner.stop()


@pytest.mark.culvert_only("its rules have no hairpin")
@pytest.mark.config(LAN_SERVER)
def test_a_server_on_the_lan_called_from_the_lan(room, router, make_clients):
    """L1 and L2 call L5 by the router's outside address, and W2 does, too."""
    inner = Server(room.L5, "10.96.5").start()
    clients = [Client(box, inner, ROUTER_WAN) for box in (room.L1, room.L2, room.W2)]
    with all_hung_up(inner, clients):
        dial_all(clients)
        use_all(clients, SOME)
        rekey_all(clients, Client.begin_rekey)
        rekey_all(clients, inner.begin_rekey)
        use_all(clients, SOME)
    inner.stop()


def test_connections_outlive_the_daemon(room, router, server, make_clients):
    """The router is killed and comes back: nobody has to dial again, and keys change as before."""
    clients = make_clients("ikev2", 3)
    dial_all(clients)
    before = [client.keys() for client in clients]
    router.kill()
    router.start(router.config)
    use_all(clients, SOME)
    assert [client.keys() for client in clients] == before
    rekey_all(clients, server.begin_rekey)
    rekey_all(clients, Client.begin_rekey)
    use_all(clients, SOME)


@pytest.fixture
def only_500(server):
    """The server hears IKE only from port 500."""
    server.guest.namespace.run("nft", "-f", "-", input=ONLY_500)
    yield server
    server.guest.namespace.run("nft", "delete", "table", "ip", "only500")


def refused(server):
    """How many packets the server did not hear."""
    text = server.guest.namespace.run("nft", "list", "table", "ip", "only500").stdout
    return int(text.split("counter packets ")[1].split()[0])


def test_a_lone_client_of_a_server_that_hears_only_port_500(room, router, fresh, only_500, make_clients):
    (client,) = make_clients("ikev2", 1)
    client.dial()
    client.transfer(SOME)
    assert refused(only_500) == 0


@pytest.mark.culvert_only("it gives the second client another port, and that client gets no answer")
@pytest.mark.parametrize("kind", ["ikev2", "ikev1"])
def test_two_clients_of_a_server_that_hears_only_port_500(room, router, fresh, only_500, make_clients, kind):
    clients = make_clients(kind, 2)
    dial_all(clients)
    assert refused(only_500) >= 3
    use_all(clients, SOME)
    rekey_all(clients, Client.begin_rekey)
    use_all(clients, SOME)


@pytest.mark.culvert_only("it has no such mode")
@pytest.mark.config({"ipsec": {"mode": "block"}})
def test_a_blocked_client_is_counted(room, router, server, make_clients):
    (client,) = make_clients("ikev2", 1)
    before, begin = router.statistics().drop["LAN"].get("ipsec_blocked", 0), time.monotonic()
    done = client.begin_dial(timeout=5)()
    assert done.code != 0 and server.sessions() == 0, done.output
    assert time.monotonic() - begin < 45  # nothing holds it up
    assert router.statistics().drop["LAN"].get("ipsec_blocked", 0) >= before + 3
    client.guest.run("ping", "-c", "1", "-W", "15", server.guest.address)


@pytest.mark.config({"ipsec": {"mode": "block", "ike": "pass", "natt": "pass"}})
def test_esp_in_udp_while_esp_itself_is_blocked(room, router, server, make_clients):
    clients = make_clients("ikev2", 2)
    dial_all(clients)
    use_all(clients, SOME)


@pytest.mark.config({"ipsec": {"mode": "plain"}})
def test_five_clients_while_ipsec_gets_no_help(room, router, server, make_clients):
    clients = make_clients("ikev2", 5)
    dial_all(clients)
    use_all(clients, SOME)
    rekey_all(clients, Client.begin_rekey)
    use_all(clients, SOME)
    assert server.sessions() == 5
