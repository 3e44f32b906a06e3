# SPDX-License-Identifier: BSD-2-Clause
"""culvertctl forget in the midst of tunnels: the others to the same server go on, what the server still sends to the
one that was forgotten gets to nobody else, and its client may come back. Hosts and mappings: test_control.py."""
import pytest

import esp_peer
import ike_peer
import l2tp_peer
import pptp_peer
from control import Control, ask

END = "ended by the router"
pytestmark = pytest.mark.culvert_only("it has no such tunnels")


@pytest.fixture
def router(router):
    """A router that knows nothing of any server yet."""
    router.start_anew()
    return router


def live(router, client, server):
    """The one tunnel there is between the two."""
    (row,) = [row for row in ask(router, f"tunnels host={client} remote={server}") if row["end"] is None]
    return row


def flows(router, client, server):
    return ask(router, f"mappings host={client} remote={server}")


def forget(router, client, server, count=1):
    """That many flows end, the list says why, and nothing else changes."""
    with Control(router) as control:
        def others(verb):
            return [row["index" if verb == "mappings" else "id"] for row in control.ask(verb)
                    if row["internal-src-address"] != client]

        name = live(router, client, server)["id"]
        before = others("mappings"), others("tunnels")
        assert len(flows(router, client, server)) == count
        (row,) = control.ask(f"forget {name}")
        assert (row["id"], row["internal-src-address"], row["flows"]) == (name, client, count)
        assert not flows(router, client, server)
        (row,) = [row for row in control.ask(f"tunnels host={client}") if row["id"] == name]
        assert (row["state"], row["end"]) == ("ended", END)
        assert (others("mappings"), others("tunnels")) == before
        assert control.refused(f"forget {name}") == (7, f"the tunnel {name} has ended: {END}")


def forget_flow(router, client, server, protocol):
    """One flow of a tunnel, by its index."""
    (row,) = [row for row in flows(router, client, server) if row["protocol-name"] == protocol]
    (gone,) = ask(router, f"forget {row['index']}")
    assert (gone["index"], gone["id"], gone["flows"]) == (row["index"], None, 1)
    router.wait_for(rf"mapping {row['index']} was forgotten by request")
    return row


# --- IPsec -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(lab):
    """Two clients of one server by ESP, both up."""
    field = esp_peer.Field(lab)
    pairs = [field.pair(client, "W1") for client in ("L1", "L2")]
    esp_peer.start_at_once(field, pairs)
    yield field, *pairs
    field.close()


def test_esp_of_two_clients(lab, router, pairs):
    """Stragglers must not be taken for a new tunnel of the only client that is left."""
    field, first, second = pairs
    client, server = first.client.line.address, first.server.line.address
    forget(router, client, server)
    with router.dropping(lan={}, wan={"no_owner": 6}):
        for _ in range(6):
            first.server.send()
            esp_peer.carry(field, [second], 1)
    assert len(flows(router, second.client.line.address, server)) == 1
    # The client knows nothing of all this and sends on.
    first.forgive()
    with router.dropping(lan={}, wan={"no_owner": 0, "esp_ambiguous": 0}):
        esp_peer.carry(field, [first, second], 5)
    assert live(router, client, server)["state"] == "connected"


def test_esp_afresh(lab, router, pairs):
    """With new keys, while the server still sends by the old ones, too."""
    field, first, second = pairs
    forget(router, first.client.line.address, first.server.line.address)
    fresh = field.pair("L1", "W1")
    esp_peer.carry(field, [fresh], 1)
    first.forgive()
    first.server.answers = False
    first.server.send()
    assert field.run(lambda: first.client.received), f"{first}, strays {field.strays()}"
    esp_peer.carry(field, [fresh, second])


def test_ike_on_a_shared_port(lab, router):
    """The one that owns port 500, then the one that shares it; ESP of both goes with its IKE."""
    server = ike_peer.Responder(lab.raw("W1"))
    there = server.peer.address
    clients = [ike_peer.Initiator(lab.raw(host), there) for host in ("L1", "L2")]
    for client in clients:
        ike_peer.ask(client, server, ike_peer.SA_INIT, ike_peer.SHARE)
    for gone, other in (clients, clients[::-1]):
        forget(router, gone.name, there)
        ike_peer.ask(other, server, ike_peer.INFORMATIONAL)
        server.ask(gone.initiator, gone.name)
        gone.peer.expect_nothing(want=ike_peer.is_ike)
        other.peer.forget()
        gone.start()
        assert ike_peer.ask(gone, server, ike_peer.SA_INIT) == 1
        for client in (gone, other):
            ike_peer.ask(client, server, ike_peer.INFORMATIONAL)
            expected = server.ask(client.initiator, client.name)
            ike_peer.expect_request(client, expected)
        assert live(router, gone.name, there)["state"] == "negotiating"
    assert set(server.ports[-4:]) == {ike_peer.PORT}


# --- L2TP ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def make_l2tp(lab):
    def make(own, **marks):
        server = l2tp_peer.Server(lab.raw("W1"), **marks)
        clients = [l2tp_peer.Client(lab.raw(host), server.peer.address, one) for host, one in zip(("L1", "L2"), own)]
        for client in clients:
            l2tp_peer.dial(client, server, 4)
        l2tp_peer.carry(server, clients, 2)
        return server, clients

    return make


def late(server, client):
    """The server has not heard of the end."""
    server.speak(client, l2tp_peer.Message(server.id_of(client), payload=b"late"))


def test_l2tp_of_two_clients(lab, router, make_l2tp):
    """Each has a port of its own. Both may come back: port 1701 has rested for its owner only."""
    server, clients = make_l2tp([5, 6])
    there = server.peer.address
    for gone, other in (clients, clients[::-1]):
        port = server.seen[gone.tunnel][2]
        forget(router, gone.name, there)
        with router.dropping(lan={}, wan={"unsolicited": 1}):
            late(server, gone)
        gone.peer.expect_nothing(0.05)
        l2tp_peer.carry(server, [other], 2)
        assert l2tp_peer.dial(gone, server) == 1
        assert (server.ports[-1] == l2tp_peer.PORT) == (port == l2tp_peer.PORT)
        l2tp_peer.carry(server, clients, 2)
        assert live(router, gone.name, there)["state"] == "connected"


def test_l2tp_through_the_shared_port(lab, router, make_l2tp):
    """Without the owner of port 1701 its stragglers are nobody's; it comes back beside the other one."""
    server, (first, second) = make_l2tp([1, 1], strict=True)
    there = server.peer.address
    forget(router, first.name, there)
    with router.dropping(lan={}, wan={"l2tp_no_tunnel": 1}):
        late(server, first)
    for client in (first, second):
        client.peer.expect_nothing(0.05)
    l2tp_peer.carry(server, [second], 2)
    assert l2tp_peer.dial(first, server, 4) == 1
    l2tp_peer.carry(server, [first, second], 2)
    forget(router, second.name, there)
    l2tp_peer.carry(server, [first], 2)
    assert l2tp_peer.dial(second, server, 4) == 1
    l2tp_peer.carry(server, [first, second], 2)
    assert set(server.ports[-8:]) == {l2tp_peer.PORT}


def test_the_flow_of_an_l2tp_tunnel(lab, router, make_l2tp):
    """The tunnel ends with it for the router. Client and server know nothing of that, and the client's next data opens
    the same way again."""
    server, (first, second) = make_l2tp([5, 6])
    there = server.peer.address
    name = live(router, first.name, there)["id"]
    before = forget_flow(router, first.name, there, "udp")
    with router.dropping(lan={}, wan={"unsolicited": 1}):
        late(server, first)
    (row,) = [row for row in ask(router, "tunnels") if row["id"] == name]
    assert (row["state"], row["end"]) == ("ended", END)
    l2tp_peer.carry(server, [first, second], 2)
    (after,) = flows(router, first.name, there)
    assert after["external-src-port"] == before["external-src-port"] and after["packets-out"] == 2
    assert live(router, second.name, there)["state"] == "connected"


# --- PPTP ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(lab):
    """Two clients of one server: (ends, [(connection, call), ...])."""
    ends = pptp_peer.Ends(lab)
    server = ends.serve("W1")
    connections = [ends.connect(host, server) for host in ("L1", "L2")]
    calls = [connection.dial(7000, number) for number, connection in enumerate(connections)]
    pptp_peer.carry(ends, calls, 2)
    yield ends, list(zip(connections, calls))
    ends.close()


def test_the_data_of_a_pptp_call(lab, router, calls):
    """Its call is over, its control connection is not: the client dials again on it."""
    ends, ((connection, call), (_, other)) = calls
    client, server = lab.address("L1"), lab.address("W1")
    forget_flow(router, client, server, "gre")
    assert pptp_peer.ended(router, 7000) == {client: END}
    with router.dropping(lan={"gre_no_call": 2}, wan={"gre_no_call": 2}):
        assert pptp_peer.loses(call.pac, call.pns) == pptp_peer.loses(call.pns, call.pac) == 2
    connection.echo()
    again = connection.dial(7001, 5)
    pptp_peer.carry(ends, [again, other], 2)
    assert [row["protocol-name"] for row in flows(router, client, server)] == ["tcp", "gre"]


def test_the_control_connection_of_a_pptp_call(lab, router, calls):
    """The call is over, but its data drains, as after any end; what the client sends next opens the connection again,
    and it is read again."""
    ends, ((connection, call), (_, other)) = calls
    client, server = lab.address("L1"), lab.address("W1")
    before = forget_flow(router, client, server, "tcp")
    assert pptp_peer.ended(router, 7000) == {client: END}
    pptp_peer.carry(ends, [call, other], 2)
    connection.echo()
    again = connection.dial(7001, 5)
    pptp_peer.carry(ends, [again, other], 2)
    (after,) = [row for row in flows(router, client, server) if row["protocol-name"] == "tcp"]
    assert after["external-src-port"] == before["external-src-port"]
    assert live(router, client, server)["internal-id"] == "7001"
