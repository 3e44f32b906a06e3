# SPDX-License-Identifier: BSD-2-Clause
"""PPTP (RFC 2637) through the router: calls of every kind and shape, between both ends as real TCP and GRE sockets.
docs/nat-behaviour.md section 10."""
import contextlib
import socket
import time

import pytest

from lab import ROUTER_LAN, ROUTER_WAN, THIRD, UPSTREAM, linger_reset, wait_for
from namespace import LIMIT
from pptp_peer import IP_MTU_DISCOVER, Ends, carry, ended, live_tunnels, message, outside_ids
from scapy.layers.inet import IP
from test_icmp import IP_RECVERR, offender
from test_mtu import SMALL_HOP, SMALL_LAN, SMALL_WAN

FORWARD = {"forward:vpn": {"service": "pptp", "to": "10.77.0.12"}}
IP_PMTUDISC_DO = 2
pytestmark = [
    pytest.mark.culvert_only("test_pptp_kernel.py sets the two side by side"),
    pytest.mark.usefixtures("third_client"),
]
forward = pytest.mark.config(FORWARD)


@pytest.fixture
def ends(lab):
    ends = Ends(lab)
    yield ends
    ends.close()


# --- calls out -------------------------------------------------------------------------------------------------------


def test_three_clients_with_one_call_id(lab, router, ends):
    """One server, three clients, one Call ID: three IDs outside, and each packet at its own client only."""
    server = ends.serve("W1")
    places = (("L1", None), ("L2", None), ("L2", THIRD))
    connections = [ends.connect(host, server, address=address) for host, address in places]
    calls = [connection.dial(7000, 100 + number) for number, connection in enumerate(connections)]
    assert outside_ids(*calls)[0] == 7000 and len(set(outside_ids(*calls))) == 3
    assert {connection.seen_from for connection in connections} == {ROUTER_WAN}
    carry(ends, calls, 30)
    for connection, call in zip(connections, calls):
        connection.set_link_info(call)
        connection.echo()
        connection.hang_up(call)
    carry(ends, calls, 3)  # what is late still passes


def test_a_hundred_clients_with_one_call_id(lab, router, ends):
    server = ends.serve("W1")
    addresses = [f"10.77.0.{number}" for number in range(120, 220)]
    lab.L2.ip(*(f"address add {address}/32 dev eth0" for address in addresses))
    try:
        calls = [
            ends.connect("L2", server, address=address).dial(12000, number) for number, address in enumerate(addresses)
        ]
        assert len(set(outside_ids(*calls))) == 100
        carry(ends, calls, 3, 100)
        assert len(live_tunnels(router)) == 100
    finally:
        ends.close()
        lab.L2.ip(*(f"address delete {address}/32 dev eth0" for address in addresses))


def test_one_call_id_to_two_servers_keeps_its_number(lab, router, ends):
    """Even two servers that give the same ID of their own, 0."""
    calls = [ends.connect(host, ends.serve(remote)).dial(13000, 0) for host, remote in (("L1", "W1"), ("L2", "W2"))]
    assert outside_ids(*calls) == [13000, 13000]
    carry(ends, calls)


def test_call_id_0(lab, router, ends):
    """Legal on receipt from both ends (RFC 2637 has no reserved value), and never taken for somebody else's."""
    server = ends.serve("W1")
    calls = [ends.connect(host, server).dial(0, 10 + number) for number, host in enumerate(("L1", "L2"))]
    assert len(set(outside_ids(*calls))) == 2 and 0 not in outside_ids(*calls)[1:]
    carry(ends, calls)


def test_several_calls_on_one_connection(lab, router, ends):
    server = ends.serve("W1")
    one, two = ends.connect("L1", server), ends.connect("L2", server)
    calls = []
    for number in range(6):
        calls += [one.dial(7200 + number, 64 * number), two.dial(7200 + number, 64 * number + 1)]
    assert len(set(outside_ids(*calls))) == 12
    carry(ends, calls)
    one.hang_up(calls[0])
    carry(ends, calls[1:])


def test_hang_up_of_one_beside_others(lab, router, ends):
    """By client and by server, in the RFC's way and in that of servers that echo the client's ID."""
    server = ends.serve("W1")
    connections = [ends.connect(host, server) for host in ("L1", "L2")]
    # The servers' IDs are the clients' outside ones in another order: what is whose must not be mixed up.
    calls = [connection.dial(7300, 7301 - number) for number, connection in enumerate(connections)]
    more = [connection.dial(7302 + number, 7310 + number) for number, connection in enumerate(connections)]
    connections[0].hang_up(calls[0])
    assert ended(router, 7300) == {"10.77.0.11": "cleared by the client"}
    connections[1].hang_up(calls[1], echo=True)
    assert ended(router, 7300) == {"10.77.0.11": "cleared by the client", "10.77.0.12": "cleared by the client"}
    carry(ends, more)
    connections[0].notify(more[0])
    assert ended(router, 7302) == {"10.77.0.11": "disconnected"}
    connections[1].notify(more[1], echo=True)
    assert ended(router, 7303) == {"10.77.0.12": "disconnected"}
    assert not live_tunnels(router)


def test_redial_with_the_same_id(lab, router, ends):
    """The same outside ID again, by hanging up, by a new connection, and after a reset; beside a rival with that ID."""
    server = ends.serve("W1")
    rival = ends.connect("L2", server).dial(7400, 1)
    connection = ends.connect("L1", server)
    seen = []
    for number in range(3):
        call = connection.dial(7400, 10 + number)
        seen += outside_ids(call)
        carry(ends, [call, rival])
        connection.hang_up(call)
        call.forget()
    linger_reset(connection.pns.socket)
    for number in range(2):
        connection = ends.connect("L1", server)
        call = connection.dial(7400, 20 + number)
        seen += outside_ids(call)
        carry(ends, [call, rival])
        connection.stop()
        connection.close()
        call.forget()
    assert len(set(seen)) == 1 and seen[0] != rival.pac.peer_id


def test_refused_call_beside_one_that_is_not(lab, router, ends):
    connection = ends.connect("L1", ends.serve("W1"))
    connection.pns.send(message("outgoing_call_request", call=7500))
    request = connection.pac.receive("outgoing_call_request")
    connection.pac.send(message("outgoing_call_reply", call=0, peer=request.call, result=4))
    assert connection.pns.receive("outgoing_call_reply").peer == 7500
    carry(ends, [connection.dial(7501, 9)])
    assert ended(router, 7500) == {"10.77.0.11": "refused by the other end"}


def test_data_that_overtakes_the_answer(lab, router, ends):
    """The server may send as soon as it has answered, and its data may be faster than its reply."""
    connection = ends.connect("L1", ends.serve("W1"))
    connection.pns.send(message("outgoing_call_request", call=7600))
    request = connection.pac.receive("outgoing_call_request")
    call = connection.tunnel(7600, request.call, 60, 60)
    call.pac.send(b"early")
    assert call.pns.take(1) == [b"early"]
    connection.pac.send(message("outgoing_call_reply", call=60, peer=request.call, result=1))
    assert connection.pns.receive("outgoing_call_reply").peer == 7600
    carry(ends, [call])


# --- the shape of the stream -----------------------------------------------------------------------------------------

CUTS = ((1,), (11,), (12,), (13,), (14,), (15,), (16,), (17,), (11, 13, 15, 17), tuple(range(1, 32)))


def test_messages_cut_anywhere(lab, router, ends):
    """Request and answer cut at every byte that matters, next to a rival that has the number already."""
    server = ends.serve("W1")
    rival = ends.connect("L2", server)
    connection = ends.connect("L1", server)
    calls = []
    with lab.capture_lan() as capture:
        for number, cuts in enumerate(CUTS):
            theirs = rival.dial(7700 + number, 1000 + number)
            calls += [theirs, connection.dial(7700 + number, 2000 + number, cuts, cuts)]
            assert calls[-1].pac.peer_id != 7700 + number
        sizes = {len(packet["TCP"].payload) for packet in capture.packets() if "TCP" in packet}
    assert {13, 155} <= sizes, f"the messages were not sent in pieces: {sorted(sizes)}"
    carry(ends, calls, 3)
    for call in calls[1::2]:
        connection.hang_up(call)


def test_several_messages_in_one_segment(lab, router, ends):
    """Start and call request together, twenty requests at once (more than a segment holds), all answers at once."""
    server = ends.serve("W1")
    rivals = ends.connect("L2", server)
    theirs = [rivals.dial(7800 + number, number) for number in range(20)]
    connection = ends.connect("L1", server, start=False)
    connection.pns.send(message("start_request"), message("outgoing_call_request", call=7799))
    connection.pac.receive("start_request")
    first = connection.pac.receive("outgoing_call_request").call
    connection.pac.send(message("start_reply", result=1), message("outgoing_call_reply", call=99, peer=first, result=1))
    connection.pns.receive("start_reply")
    calls = [connection.hear_answer(7799, first, 99)]
    connection.pns.send(*(message("outgoing_call_request", call=7800 + number) for number in range(20)))
    seen = [connection.pac.receive("outgoing_call_request").call for number in range(20)]
    answers = [message("outgoing_call_reply", call=100 + at, peer=peer, result=1) for at, peer in enumerate(seen)]
    connection.pac.send(*answers)
    calls += [connection.hear_answer(7800 + number, peer, 100 + number) for number, peer in enumerate(seen)]
    assert len(set(outside_ids(*calls, *theirs))) == 41
    carry(ends, calls + theirs, 3)


@contextlib.contextmanager
def losing(lab, host, device, match):
    """What comes in by a device and matches is lost meanwhile; something must be."""
    space = lab.spaces[host]
    hook = f"type filter hook ingress device {device} priority 0;"
    space.run("nft", f"add table netdev loss; add chain netdev loss c {{ {hook} }}")
    space.run("nft", f"add rule netdev loss c {match} counter drop")
    try:
        yield
        assert " packets 0 " not in space.run("nft", "list", "table", "netdev", "loss").stdout, "nothing was lost"
    finally:
        space.run("nft", "delete", "table", "netdev", "loss")


def test_requests_lost_behind_the_router(lab, router, ends):
    """What was translated and lost comes again, in other pieces: with the same IDs."""
    server = ends.serve("W1")
    rival, connection = ends.connect("L2", server), ends.connect("L1", server)
    theirs = [rival.dial(7900 + number, number) for number in range(3)]
    with losing(lab, "X", "to_r", "tcp dport 1723 tcp flags & psh == psh"):
        for number in range(3):
            connection.pns.send_cut(message("outgoing_call_request", call=7900 + number), 13, 100)
        time.sleep(0.05)
        assert len(live_tunnels(router)) == 6
    calls = [connection.answer(7900 + number, 50 + number) for number in range(3)]
    assert len(live_tunnels(router)) == 6, "the repetition opened calls of its own"
    carry(ends, theirs + calls)


def test_answers_lost_behind_the_router(lab, router, ends):
    """The same for what comes from outside."""
    server = ends.serve("W1")
    rival, connection = ends.connect("L2", server), ends.connect("L1", server)
    theirs = rival.dial(7950, 1)
    with losing(lab, "L1", "eth0", "tcp sport 1723 tcp flags & psh == psh"):
        connection.pns.send(message("outgoing_call_request", call=7950))
        request = connection.pac.receive("outgoing_call_request")
        connection.pac.send_cut(message("outgoing_call_reply", call=5, peer=request.call, result=1), 15)
        time.sleep(0.05)
    carry(ends, [theirs, connection.hear_answer(7950, request.call, 5)])


def test_request_lost_before_the_router(lab, router, ends):
    """What follows the gap waits at the router, and nothing leaves it unread."""
    server = ends.serve("W1")
    rival, connection = ends.connect("L2", server), ends.connect("L1", server)
    theirs = [rival.dial(8000 + number, number) for number in range(2)]
    first, second = (message("outgoing_call_request", call=8000 + number) for number in range(2))
    with lab.capture_lan() as capture:
        # The Call ID stands 12 bytes behind the TCP header, which has 32 bytes with its timestamps.
        with losing(lab, "B", "to_l1", "tcp dport 1723 @th,352,16 8000"):
            connection.pns.send(first)
            connection.pns.send(second)
            wait_for(lambda: router.statistics().side["LAN"]["held"] >= 1, "the second request waits at the router")
        calls = [connection.answer(8000 + number, 50 + number) for number in range(2)]
        segments = [packet["TCP"] for packet in capture.packets() if "TCP" in packet]
    order = [segment.seq for segment in segments if len(segment.payload) >= len(first)]
    assert order[0] > min(order), f"nothing came early: {order}"
    assert not set(outside_ids(*calls)) & set(outside_ids(*theirs))
    carry(ends, theirs + calls)
    assert router.statistics().side["LAN"]["held"] == 0


# --- calls in, and servers inside ------------------------------------------------------------------------------------


def test_incoming_call(lab, router, ends):
    """The server calls its clients, who answer with one and the same ID, in whole messages and in pieces."""
    server = ends.serve("W1")
    connections = [ends.connect(host, server) for host in ("L1", "L2")]
    calls = [each.call_in(300 + number, 8100) for number, each in enumerate(connections)]
    calls += [each.call_in(310 + number, 8101, (13, 15, 17)) for number, each in enumerate(connections)]
    assert len(set(outside_ids(*calls))) == 4
    calls += [each.dial(8102, 320 + number) for number, each in enumerate(connections)]
    carry(ends, calls)
    for connection, call in zip(connections, calls):
        connection.set_link_info(call)
        connection.hang_up(call)
    carry(ends, calls[2:])


@forward
def test_server_inside_while_clients_call_out(lab, router, ends):
    """Two clients from outside with one ID and a server that gives both the same; beside them two inside clients of
    an outside server, one of them on the very host that is the server, with the same numbers again."""
    inside, outside = ends.serve("L2"), ends.serve("W1", "203.0.113.11")
    guests = [ends.connect(host, inside, ROUTER_WAN) for host in ("W1", "W2")]
    assert [guest.seen_from for guest in guests] == ["203.0.113.10", "192.0.2.10"]
    calls = [guest.dial(8200, 8201) for guest in guests]
    out = [ends.connect("L1", outside), ends.connect("L2", outside, address=THIRD)]
    calls += [connection.dial(8201, 8200 + number) for number, connection in enumerate(out)]
    calls += [guest.dial(8202, 8203, (13,), (13, 15)) for guest in guests]
    calls += [guest.call_in(8204, 8205) for guest in guests]
    calls += [guest.call_in(8206, 8207, (13, 15)) for guest in guests]
    carry(ends, calls)
    assert {tunnel[:2] for tunnel in live_tunnels(router)} == {
        ("203.0.113.10", "10.77.0.12"),
        ("192.0.2.10", "10.77.0.12"),
        ("10.77.0.11", "203.0.113.11"),
        (THIRD, "203.0.113.11"),
    }
    for guest, call in zip(guests, calls):
        guest.set_link_info(call)
        guest.hang_up(call)
        guest.hang_up(calls[4 + guests.index(guest)], echo=True)
        guest.stop()
    carry(ends, calls[2:4])


@forward
def test_two_clients_behind_another_nat_call_the_server_inside(lab, router, ends):
    """They look like one: two control connections of one address, told apart by the IDs of their calls."""
    inside = ends.serve("L2")
    guests = [ends.connect("W1", inside, ROUTER_WAN) for _ in range(2)]
    calls = [guest.dial(8300 + number, 8301 + number) for number, guest in enumerate(guests)]
    carry(ends, calls)
    guests[0].hang_up(calls[0])
    carry(ends, calls[1:])


@forward
def test_hairpinned_call(lab, router, ends):
    """L1 calls the server on L2 by the outside address, while the outside does, too."""
    inside = ends.serve("L2")
    connection, guest = ends.connect("L1", inside, ROUTER_WAN), ends.connect("W1", inside, ROUTER_WAN)
    assert connection.seen_from == ROUTER_WAN
    calls = [connection.dial(8400, 8401), guest.dial(8400, 8402), connection.dial(8403, 8404, (13,), (13, 15))]
    calls.append(connection.call_in(8405, 8406, (13, 15)))
    before = router.statistics().counter.get("hairpinned", 0)
    carry(ends, calls)
    assert router.statistics().counter["hairpinned"] >= before + 6 * 2 * 3
    connection.set_link_info(calls[0])
    connection.hang_up(calls[0])
    connection.hang_up(calls[2], echo=True)
    carry(ends, [calls[1], calls[3]])


@forward
def test_hairpinned_call_keeps_the_numbers_apart(lab, router, ends):
    """Caller and server chose the same ID, and so did an inside client of an outside server."""
    inside, outside = ends.serve("L2"), ends.serve("W1")
    calls = [
        ends.connect("L2", outside, address=THIRD).dial(8450, 8450),
        ends.connect("L1", inside, ROUTER_WAN).dial(8450, 8450),
    ]
    carry(ends, calls)


# --- size and errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1470, 1500, 4000])
def test_fragmented_data(lab, router, ends, size):
    """Full-size packets of a call are larger than the link: fragments of GRE pass both ways, of two clients at once."""
    server = ends.serve("W1")
    calls = [ends.connect(host, server).dial(8500, 1 + number) for number, host in enumerate(("L1", "L2"))]
    with lab.capture_wan() as capture:
        carry(ends, calls, 4, size)
        fragments = [packet for packet in capture.packets() if packet.proto == 47 and packet.frag]
    assert {packet.src for packet in fragments} == {ROUTER_WAN, server.address}


def refused_df(line, remote, packet):
    """Sends a packet of a call with DF; the offender, type and code of the error it got, and the path MTU learned."""
    line.socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    line.socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    line.socket.sendto(packet, (remote, 0))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            return offender(line.socket)
        time.sleep(0.005)
    return None


def learned_mtu(space, remote):
    return space.ip_json("route", "get", remote)[0].get("metrics", [{}])[0].get("mtu")


def test_data_with_df_behind_a_small_hop(lab, router, ends):
    """X's "fragmentation needed" quotes the call's outside packet; the client of that call hears it, and only it."""
    server = ends.serve("W1")
    calls = [ends.connect(host, server).dial(8600, 1 + number) for number, host in enumerate(("L1", "L2"))]
    with lab.mtu(*SMALL_HOP):
        router.settle()
        call = calls[1].pns
        assert refused_df(call.line, call.remote, call.packet(b"x" * 1400)) == (UPSTREAM, 3, 4)
        assert learned_mtu(lab.L2, server.address) == 1280 and learned_mtu(lab.L1, server.address) is None
        carry(ends, calls, 3, 1200)


def test_data_with_df_and_a_small_wan(lab, router, ends):
    """The router tells the client itself."""
    server = ends.serve("W1")
    calls = [ends.connect(host, server).dial(8610, 1 + number) for number, host in enumerate(("L1", "L2"))]
    with lab.mtu(*SMALL_WAN):
        router.settle()
        call = calls[1].pns
        assert refused_df(call.line, call.remote, call.packet(b"x" * 1390)) == (ROUTER_LAN, 3, 4)
        assert learned_mtu(lab.L2, server.address) == 1400 and learned_mtu(lab.L1, server.address) is None
        carry(ends, calls, 3, 1300)
    router.settle()


@pytest.mark.parametrize("links", [SMALL_WAN, SMALL_LAN], ids=["wan", "lan"])
def test_data_without_df_over_a_small_link(lab, router, ends, links):
    """Is fragmented on the way, in both directions."""
    server = ends.serve("W1")
    calls = [ends.connect(host, server).dial(8620, 1 + number) for number, host in enumerate(("L2", "L1"))]
    with lab.mtu(*links):
        router.settle()
        carry(ends, calls, 4, 1420)


def test_data_with_df_to_a_small_lan(lab, router, ends):
    """The router itself tells the server, and quotes what the server sent: its own Call ID for the client."""
    server = ends.serve("W1")
    calls = [ends.connect(host, server).dial(8650, 1 + number) for number, host in enumerate(("L2", "L1"))]
    with lab.mtu(*SMALL_LAN), lab.capture_wan() as capture:
        router.settle()
        call = calls[1].pac
        assert refused_df(call.line, call.remote, call.packet(b"x" * 1380)) == (ROUTER_WAN, 3, 4)
        quote = next(bytes(packet["ICMP"].payload) for packet in capture.packets() if packet.proto == 1)
        assert IP(quote).dst == ROUTER_WAN and int.from_bytes(quote[26:28], "big") == call.peer_id != 8650


def test_a_client_that_does_not_listen_any_more(lab, router, ends):
    """Its kernel's "protocol unreachable" would end the calls of all others at the server, whose raw sockets hear what
    is said of an address: it stays here, and is counted."""
    server = ends.serve("W1")
    calls = [ends.connect(host, server).dial(8700, 1 + number) for number, host in enumerate(("L2", "L1"))]
    calls[1].pns.line.close()
    with lab.capture_wan() as capture, router.dropping(lan={"icmp_other_calls": 1}):
        calls[1].pac.send(b"anybody?")
        assert not [packet for packet in capture.packets(0.3) if packet.proto == 1]
