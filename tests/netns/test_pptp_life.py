# SPDX-License-Identifier: BSD-2-Clause
"""The life of PPTP calls: how they end, what time does to them, restarts, the three modes, input that is no PPTP, and
what is told about all of it. docs/nat-behaviour.md section 10."""
import errno
import os
import signal
import struct
import time

import pytest

from lab import ROUTER_WAN, ROUTER_WAN_SECOND, linger_reset
from namespace import LIMIT
from pptp_peer import LENGTHS, Ends, carry, ended, live_tunnels, loses, message, outside_ids, tunnels
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw
from test_changes import set_addresses, wan_addresses

FORWARD = {"forward:vpn": {"service": "pptp", "to": "10.77.0.12"}}
# The log says the same thing at most ten times in ten seconds: tests that read it have a daemon of their own.
NEW_DAEMON = {"timeouts": {"gre": "170"}}

pytestmark = pytest.mark.culvert_only("test_pptp_kernel.py sets the two side by side")
forward = pytest.mark.config(FORWARD)


@pytest.fixture
def ends(lab):
    ends = Ends(lab)
    yield ends
    ends.close()


@pytest.fixture
def jump(jump, ends):
    yield jump
    # Before the guard goes: what is said to a connection that still lives then, the router's kernel would answer.
    ends.close()


# --- what is told ----------------------------------------------------------------------------------------------------


@pytest.mark.config(NEW_DAEMON)
def test_what_is_told_about_tunnels(lab, router, ends):
    """Up and down in the log, everything in between in the statistics."""
    mark = router.mark()
    server = ends.serve("W1")
    ends.connect("L2", server).dial(8800, 1)
    connection = ends.connect("L1", server)
    call = connection.dial(8800, 4242)
    outside = call.pac.peer_id
    said = f"PPTP 10.77.0.11 -> 203.0.113.10 by 198.51.100.2, Call ID inside 8800, outside {outside}, remote 4242"
    router.wait_for(f"tunnel up: {said}: connected", mark)
    call.pns.send(b"x" * 100)
    call.pac.take(1)
    for _ in range(2):
        call.pac.send(b"y" * 50)
    call.pns.take(2)
    want = ("10.77.0.11", "203.0.113.10", ROUTER_WAN, "8800", str(outside), "4242", "connected", None)
    # IP header, GRE header with sequence number (and acknowledgement number), payload.
    traffic = (str(20 + 12 + 100), "1", str(2 * (20 + 16 + 50)), "2", "")
    assert want + traffic in tunnels(router)
    counted = router.statistics().counter
    assert (counted["pptp_controls"], counted["pptp_calls"], counted["pptp_calls_opened"]) == (2, 2, 2)
    assert counted["pptp_patched"] == 2, "one request and one answer had to be changed"
    connection.hang_up(call)
    router.wait_for(f"tunnel down: {said}: ended, .*cleared by the client.*from LAN 132 bytes in 1 packet", mark)
    assert (*want[:6], "ended", "cleared by the client", *traffic) in tunnels(router)


@forward
def test_a_server_inside_is_told_as_the_server(lab, router, ends):
    guest = ends.connect("W1", ends.serve("L2"), ROUTER_WAN)
    guest.dial(8850, 8851)
    assert [tunnel[:7] for tunnel in live_tunnels(router)] == [
        ("203.0.113.10", "10.77.0.12", ROUTER_WAN, "8851", "8851", "8850", "connected")
    ]


def test_the_silent_side_is_named(lab, router, ends, jump):
    connection = ends.connect("L1", ends.serve("W1"))
    call = connection.dial(8860, 1)
    other = connection.dial(8861, 2)
    jump(11)
    carry(ends, [other])
    call.pns.send(b"anybody?")
    call.pac.take(1)
    silence = {tunnel[3]: tunnel[12] for tunnel in live_tunnels(router)}
    assert silence["8861"] == ""
    assert silence["8860"].startswith(
        "; NOTHING COMES FROM THE WAN: GRE may be blocked on that side. Hint gre_one_way: "
    ), silence


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "closed", "stopped"])
def test_end_of_the_control_connection_ends_its_calls(lab, router, ends, jump, how):
    """What is late passes for half a minute, then nothing does; another client's call goes on."""
    server = ends.serve("W1")
    other, connection = ends.connect("L2", server), ends.connect("L1", server)
    theirs, calls = other.dial(8900, 1), [connection.dial(8900, 2), connection.dial(8901, 3)]
    carry(ends, [theirs, *calls])
    mark = router.mark()
    if how == "stopped":
        connection.stop()
    elif how == "closed":
        connection.close()
    else:
        linger_reset(connection.pns.socket)
    for number in (8900, 8901):
        router.wait_for(rf"tunnel down: PPTP 10.77.0.11 .*inside {number},.*\(the control connection was {how}\)", mark)
    carry(ends, [theirs, *calls], 3)
    jump(25)
    carry(ends, [theirs, *calls], 3)
    jump(35)
    with router.dropping(lan={"gre_no_call": 4}, wan={"gre_no_call": 4}):
        for call in calls:
            assert loses(call.pns, call.pac) == 2 and loses(call.pac, call.pns) == 2
    carry(ends, [theirs], 3)


def test_a_request_without_an_answer(lab, router, ends, jump):
    """Ends after a minute; the same ID can be tried again on the same connection."""
    connection = ends.connect("L1", ends.serve("W1"))
    connection.pns.send(message("outgoing_call_request", call=8950))
    request = connection.pac.receive("outgoing_call_request")
    call = connection.tunnel(8950, request.call, 5, 5)
    connection.echo()  # so that the request is acknowledged, and not sent again in the future
    jump(55)
    assert loses(call.pac, call.pns) == 0
    jump(65)
    with router.dropping(wan={"gre_no_call": 2}):
        assert loses(call.pac, call.pns) == 2
    call.forget()
    carry(ends, [connection.dial(8950, 6)])


def test_a_silent_call_lives_as_long_as_its_control_connection(lab, router, ends, jump):
    """Echo requests keep calls that have no data; without either they end after [timeouts] gre_call."""
    connection = ends.connect("L1", ends.serve("W1"))
    calls = [connection.dial(8960 + number, number) for number in range(2)]
    for seconds in (550, 1100):
        jump(seconds)
        connection.echo()
    carry(ends, calls)
    jump(1750)
    with router.dropping(lan={"gre_no_call": 2}, wan={"gre_no_call": 2}):
        assert loses(calls[0].pns, calls[0].pac) == 2 and loses(calls[1].pac, calls[1].pns) == 2
    calls[0].forget()
    carry(ends, [connection.dial(8960, 7)])


def test_a_server_that_uses_its_ids_again(lab, router, ends, jump):
    """The new call's data is not taken for that of the ended call with the same ID of the server: it is counted where
    it belongs, and goes on when the old one is forgotten."""
    connection = ends.connect("L1", ends.serve("W1"))
    for number in range(3):
        call = connection.dial(8970 + number, 0)
        connection.hang_up(call)
        call.forget()
    call = connection.dial(8973, 0)
    carry(ends, [call])
    traffic = {tunnel[3]: (tunnel[9], tunnel[11]) for tunnel in tunnels(router)}
    assert traffic == {"8970": ("0", "0"), "8971": ("0", "0"), "8972": ("0", "0"), "8973": ("7", "7")}
    for seconds in (40, 200):
        jump(seconds)
        carry(ends, [call], 3)


@pytest.mark.parametrize("seconds", [0, 45])
def test_kill_and_restart_while_calls_are_up(lab, router, ends, jump, seconds):
    """Data goes on in both directions, connections take new calls, and what is old ends in order."""
    server = ends.serve("W1")
    connections = [ends.connect(host, server) for host in ("L1", "L2")]
    calls = [connection.dial(9000, number) for number, connection in enumerate(connections)]
    carry(ends, calls)
    seen = outside_ids(*calls)
    jump(seconds)
    carry(ends, calls)
    assert [int(tunnel[4]) for tunnel in sorted(live_tunnels(router))] == seen
    calls += [connection.dial(9001, 10 + number) for number, connection in enumerate(connections)]
    carry(ends, calls)
    for connection, call in zip(connections, calls):
        connection.hang_up(call)
    assert len(live_tunnels(router)) == 2
    carry(ends, calls[2:])


def test_kill_in_the_middle_of_a_request(lab, router, ends):
    """The Call ID had gone out translated, the rest of the request comes after the restart, then further calls."""
    server = ends.serve("W1")
    rival, connection = ends.connect("L2", server), ends.connect("L1", server)
    calls = [rival.dial(9030, 1)]
    request = message("outgoing_call_request", call=9030)
    connection.pns.send(request[:20])
    connection.echo_from_server()
    router.kill()
    router.start(router.config)
    connection.pns.send(request[20:])
    calls.append(connection.answer(9030, 2))
    calls += [rival.dial(9031, 3), connection.dial(9031, 4)]
    carry(ends, calls)


def test_data_is_the_first_to_come_after_a_restart(lab, router, ends):
    """From the server, before the client has said anything."""
    connection = ends.connect("L1", ends.serve("W1"))
    call = connection.dial(9050, 1)
    router.kill()
    router.start(router.config)
    call.pac.send(b"are you there?")
    assert call.pns.take(1) == [b"are you there?"]
    carry(ends, [call])


# --- modes -----------------------------------------------------------------------------------------------------------


def enhanced(call_id, payload=b"data"):
    return struct.pack("!HHHHI", 0x3001, 0x880B, len(payload), call_id, 0) + payload


@pytest.mark.config({"pptp": {"mode": "block"}, **FORWARD})
def test_mode_block(lab, router, ends):
    """The client hears at once that it is forbidden; a server inside cannot be reached; GRE of version 0 passes."""
    server, inside = ends.serve("W1"), ends.serve("L2")
    line = ends.line("L1")
    with router.dropping(lan={"pptp_blocked": 2}, wan={"pptp_blocked": 1}):
        with pytest.raises(OSError) as refused:
            ends.connect("L1", server)
        assert refused.value.errno == errno.EHOSTUNREACH
        line.socket.sendto(enhanced(1), (server.address, 0))
        server.line.socket.sendto(enhanced(1), (ROUTER_WAN, 0))
        assert not ends.strays()
    with pytest.raises(TimeoutError):
        lab.tcp_connect("W1", (ROUTER_WAN, 1723), timeout=0.2)
    assert router.statistics().drop["WAN"]["pptp_blocked"] >= 2
    line.socket.sendto(b"\0\0\x08\0" + b"plain", (server.address, 0))
    assert [stray[:2] for stray in ends.strays()] == [(server.address, ROUTER_WAN)]
    assert inside.line.strays == []


@pytest.mark.config(FORWARD)
def test_reload_to_block_ends_live_tunnels(lab, router, ends):
    """Outbound, inbound and hairpinned ones, at once and without a rest; the log says how many and which."""
    server, inside = ends.serve("W1"), ends.serve("L2")
    out, guest = ends.connect("L1", server), ends.connect("W1", inside, ROUTER_WAN)
    calls = [out.dial(9100, 1), out.dial(9101, 2), guest.dial(9102, 3)]
    carry(ends, calls)
    text = router.reload({"pptp": {"mode": "block"}, **FORWARD})
    for number, end in ((9100, "10.77.0.11"), (9101, "10.77.0.11"), (3, "203.0.113.10")):
        assert f"tunnel down: PPTP {end} " in text and f"Call ID inside {number}," in text, text
    assert text.count("ended by [pptp] mode = block") == 3
    assert "5 flows ended because of the change" in text, text
    assert "PPTP is blocked now; this ends 3 tunnels" in text, text
    before = router.statistics().drop
    for call in calls:
        assert loses(call.pns, call.pac) == 2 and loses(call.pac, call.pns) == 2
    after = router.statistics().drop
    assert all(after[side]["pptp_blocked"] >= before[side].get("pptp_blocked", 0) + 6 for side in ("LAN", "WAN"))
    router.reload(FORWARD)
    again = ends.connect("L1", server)
    carry(ends, [again.dial(9100, 9)])


def test_reload_that_changes_something_else_leaves_tunnels_alone(lab, router, ends):
    connection = ends.connect("L1", ends.serve("W1"))
    call = connection.dial(9150, 1)
    router.reload({"timeouts": {"gre": "60"}})
    carry(ends, [call, connection.dial(9151, 2, (13,), (15,))])
    router.reload({})


PLAIN = {"pptp": {"mode": "plain"}}


def speak_first(call):
    """Without help the client's data is what opens the way for the server's."""
    call.pns.send(b"hello")
    assert call.pac.take(1) == [b"hello"]


@pytest.mark.config(PLAIN)
def test_mode_plain(lab, router, ends):
    """One client of a server works by address alone, its Call ID unchanged; a second one of the same server gets its
    control connection but no data, and one of another server does."""
    server, other = ends.serve("W1"), ends.serve("W2")
    call = ends.connect("L1", server).dial(9200, 1)
    assert call.pac.peer_id == 9200
    speak_first(call)
    carry(ends, [call])
    second = ends.connect("L2", server).dial(9200, 2)
    with router.dropping(lan={"owner_taken": 2}):
        assert loses(second.pns, second.pac) == 2
    third = ends.connect("L2", other).dial(9200, 3)
    speak_first(third)
    carry(ends, [call, third])
    assert not tunnels(router)


def test_reload_to_plain_and_back(lab, router, ends):
    """Calls end, control connections stay as plain connections; a new connection after the way back is helped."""
    server = ends.serve("W1")
    connections = [ends.connect(host, server) for host in ("L1", "L2")]
    calls = [connection.dial(9250, number) for number, connection in enumerate(connections)]
    carry(ends, calls)
    router.reload(PLAIN)
    assert not live_tunnels(router)
    for connection in connections:
        connection.echo()
    router.reload({})
    again = [ends.connect(host, server) for host in ("L1", "L2")]
    carry(ends, [connection.dial(9251, 10 + number) for number, connection in enumerate(again)])


@pytest.mark.parametrize("mode", ["pass", "plain"])
def test_gre_of_version_0(lab, router, ends, mode):
    """Is not PPTP: one owner for each remote address, or for each key, beside a call to the same server."""
    if mode == "plain":
        router.reload(PLAIN)
    server = ends.serve("W1")
    lines = {host: ends.line(host) for host in ("L1", "L2")}
    keyed = {host: b"\x20\0\x08\0" + key + b"keyed" for host, key in (("L1", b"\0\1\0\2"), ("L2", b"\0\1\0\3"))}
    call = ends.connect("L1", server).dial(9300, 1)
    for host, line in lines.items():
        line.socket.sendto(keyed[host], (server.address, 0))
        server.line.pump(LIMIT)
        assert [body for _, body in server.line.strays] == [keyed[host]]
        server.line.strays.clear()
    for host, line in lines.items():
        server.line.socket.sendto(keyed[host], (ROUTER_WAN, 0))
        line.pump(0.3)
        assert line.strays == [(server.address, keyed[host])], "each key is its host's"
        line.strays.clear()
    assert not ends.strays()
    if mode == "pass":
        plain = b"\0\0\x08\0unkeyed"
        lines["L1"].socket.sendto(plain, (server.address, 0))
        server.line.pump(LIMIT)
        server.line.strays.clear()
        with router.dropping(lan={"owner_taken": 1}):
            lines["L2"].socket.sendto(plain, (server.address, 0))
            assert not ends.strays()
        server.line.socket.sendto(plain, (ROUTER_WAN, 0))
        assert ends.strays() == [("10.77.0.11", server.address, plain.hex())]
        carry(ends, [call])
    router.reload({})


# --- what is no PPTP -------------------------------------------------------------------------------------------------

REQUEST = message("outgoing_call_request", call=9999)
NO_PPTP = {
    "http": b"GET / HTTP/1.1\r\nHost: 198.51.100.2:1723\r\nConnection: close\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(505),
    "cookie": REQUEST[:4] + b"\x1a\x2b\x3c\x4e" + REQUEST[8:],
    "length_0": b"\0\0" + REQUEST[2:],
    "length_1": b"\0\1" + REQUEST[2:],
    "length_longer": b"\0\xa9" + REQUEST[2:],
    "length_65535": b"\xff\xff" + REQUEST[2:],
    "management_message": REQUEST[:2] + b"\0\2" + REQUEST[4:],
    "type_0": REQUEST[:8] + b"\0\0" + REQUEST[10:],
    "type_16": REQUEST[:8] + b"\0\x10" + REQUEST[10:],
    "second_message_broken": message("start_request") + b"\0\x10\0\1\0\0\0\0" + bytes(8),
    "zeroes": bytes(4000),
}


@pytest.mark.parametrize("side", ["LAN", "WAN"])
@pytest.mark.config({**NEW_DAEMON, **FORWARD})
def test_a_control_connection_that_is_none(lab, router, ends, side):
    """Passes as it is in both directions, is counted once and said; a client that is one works meanwhile."""
    server = ends.serve("W1" if side == "LAN" else "L2")
    to = None if side == "LAN" else ROUTER_WAN
    good = ends.connect("L2" if side == "LAN" else "W2", server, to)
    call = good.dial(9400, 1)
    before = router.statistics().counter.get("pptp_out_of_step", 0)
    mark = router.mark()
    for data in NO_PPTP.values():
        bad = ends.connect("L1" if side == "LAN" else "W1", server, to, start=False)
        bad.pns.send(data)
        got = b""
        while len(got) < len(data):
            got += bad.pac.socket.recv(65536)
        assert got == data
        bad.pac.send(REQUEST, data)
        got = b""
        while len(got) < len(REQUEST + data):
            got += bad.pns.socket.recv(65536)
        assert got == REQUEST + data
        bad.pns.abort()
        carry(ends, [call], 2)
    counted = router.statistics().counter
    assert counted["pptp_out_of_step"] == before + len(NO_PPTP)
    if side == "LAN":  # the other twelve are past what the log says in a row
        router.wait_for("pptp 10.77.0.11 -> 203.0.113.10 by 198.51.100.2: the control connection cannot be read", mark)
    good.hang_up(call)


def test_random_bytes_on_control_connections(lab, router, ends):
    """Spoilt messages from both ends, cut in two: no call comes of them that stays, and nobody else is disturbed."""
    server = ends.serve("W1")
    call = ends.connect("L2", server).dial(9450, 1)
    for number in range(10):
        bad = ends.connect("L1", server)
        for _ in range(20):
            data = bytearray(message(list(LENGTHS)[os.urandom(1)[0] % 15]))
            data[os.urandom(1)[0] % len(data)] ^= os.urandom(1)[0]
            bad.pns.send_cut(bytes(data), 1 + os.urandom(1)[0] % 15)
            bad.pac.send_cut(bytes(data), 1 + os.urandom(1)[0] % 15)
        bad.pns.abort()
        bad.pac.abort()
        if number % 3 == 2:
            carry(ends, [call], 2)
    assert [tunnel[3] for tunnel in live_tunnels(router)] == ["9450"]


def test_strange_messages_in_strange_order(lab, router, ends):
    """Answers nobody asked for, ends of calls that are none, from both ends: nothing is opened, nothing disturbed."""
    server = ends.serve("W1")
    connection = ends.connect("L1", server)
    call = connection.dial(9500, 77)
    for name in ("outgoing_call_reply", "incoming_call_reply"):
        connection.pac.send(message(name, call=4, peer=4321, result=1))
        connection.pns.receive(name)
    for name in ("call_clear_request", "call_disconnect_notify", "outgoing_call_request", "incoming_call_request"):
        connection.pac.send(message(name, call=4321))
        assert connection.pns.receive(name).call == 4321
    for name in ("call_clear_request", "call_disconnect_notify"):
        connection.pns.send(message(name, call=4321))
        assert connection.pac.receive(name).call == 4321
    for name in ("incoming_call_connected", "wan_error_notify", "set_link_info"):
        connection.pns.send(message(name, peer=4321))
        assert connection.pac.receive(name).peer == 4321
        connection.pac.send(message(name, peer=4321))
        assert connection.pns.receive(name).peer == 4321
    assert [tunnel[3] for tunnel in live_tunnels(router)] == ["9500"]
    carry(ends, [call])


MALFORMED = {
    "short": b"\x30\1\x88\x0b\0",
    "no_call_id": b"\x30\1\x88\x0b\0\0",
    "checksum": b"\xb0\1\x88\x0b" + bytes(12),
    "routing": b"\x70\1\x88\x0b" + bytes(12),
    "no_key": b"\x10\1\x88\x0b" + bytes(12),
    "strict_route": b"\x38\1\x88\x0b" + bytes(12),
    "recursion": b"\x31\1\x88\x0b" + bytes(12),
    "flags": b"\x30\x09\x88\x0b" + bytes(12),
    "version_2": b"\x30\2\x88\x0b" + bytes(12),
    "version_7": b"\x30\7\x88\x0b" + bytes(12),
}


@forward
def test_data_that_belongs_to_nobody(lab, router, ends):
    """Call IDs nobody gave, those of somebody else, and headers that are none, from both sides: each one is counted
    under its reason, nothing arrives anywhere, calls go on."""
    server = ends.serve("W1")
    call = ends.connect("L1", server).dial(9600, 9601)
    line, stranger = ends.line("L2"), ends.line("W2")
    unknown = [number for number in (0, 1, 9601, 9599, 65535)]
    with router.dropping(
        lan={"gre_no_call": 6, "gre_malformed": len(MALFORMED)},
        wan={"gre_no_call": 6, "gre_malformed": len(MALFORMED)},
    ):
        for number in unknown:
            server.line.socket.sendto(enhanced(number), (ROUTER_WAN, 0))
        stranger.socket.sendto(enhanced(9600), (ROUTER_WAN, 0))
        for number in (0, 1, 9600, 9602, 65535):
            ends.line("L1").socket.sendto(enhanced(number), (server.address, 0))
        line.socket.sendto(enhanced(9601), (server.address, 0))
        for body in MALFORMED.values():
            server.line.socket.sendto(body, (ROUTER_WAN, 0))
            ends.line("L1").socket.sendto(body, (server.address, 0))
        assert not ends.strays()
    carry(ends, [call])


def test_a_blind_attacker_on_the_wan(lab, router, ends):
    """Segments for a live control connection from somebody who does not see it: wrong ports or sequence numbers. They
    reach at most the client's kernel, which ignores them; no call is opened or ended."""
    server = ends.serve("W1", "203.0.113.11")
    connection = ends.connect("L1", server)
    call = connection.dial(9700, 1)
    port = connection.pns.socket.getsockname()[1]
    attacker = lab.raw("W2")
    notify = message("call_disconnect_notify", call=1, result=1)
    for sport, dport in ((1723, port), (1723, port ^ 1), (1722, port)):
        for flags in ("PA", "R", "RA", "FA", "S"):
            attacker.send(
                IP(src=server.address, dst=ROUTER_WAN)
                / TCP(sport=sport, dport=dport, flags=flags, seq=int.from_bytes(os.urandom(4), "big"), ack=1)
                / Raw(notify)
            )
    connection.echo()
    carry(ends, [call, connection.dial(9701, 2)])
    assert not ended(router, 9700) and len(live_tunnels(router)) == 2


def connect_from_1723(ends, server):
    """The client's own kernel does not give the port again before the last acknowledgement has come."""
    for _ in range(100 * LIMIT):
        try:
            return ends.connect("L1", server, port=1723)
        except OSError as busy:
            assert busy.errno == errno.EADDRNOTAVAIL, busy
            time.sleep(0.01)
    raise AssertionError("port 1723 of L1 stays busy")


def test_a_connection_from_the_port_of_the_last_one(lab, router, ends):
    """A client that always calls from one port is helped each time, also right after an end without a farewell."""
    server = ends.serve("W1")
    rival = ends.connect("L2", server).dial(9750, 1)
    for number, end in enumerate(("reset", "closed", "reset")):
        connection = connect_from_1723(ends, server)
        carry(ends, [rival, connection.dial(9750, 10 + number)])
        if end == "closed":
            connection.pac.close()
            assert connection.pns.socket.recv(1) == b""
            connection.pns.close()
        else:
            linger_reset(connection.pns.socket)
            with pytest.raises(ConnectionResetError):
                connection.pac.socket.recv(1)
    assert len(live_tunnels(router)) == 1


def test_a_flood_of_requests(lab, router, ends):
    """More calls than a connection may have: the one too many is dropped and counted, and comes through by TCP's
    repetition once there is room. Another client does not notice."""
    server = ends.serve("W1")
    call, flood = ends.connect("L2", server).dial(20000, 1), ends.connect("L1", server)
    seen = []
    for number in range(256):
        flood.pns.send(message("outgoing_call_request", call=20000 + number))
        seen.append(flood.pac.receive("outgoing_call_request").call)
    assert len({*seen, call.pac.peer_id}) == 257
    before = router.statistics().drop["LAN"].get("call_ids_exhausted", 0)
    flood.pns.send(message("outgoing_call_request", call=20256))
    flood.pac.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        flood.pac.receive("outgoing_call_request")
    assert router.statistics().drop["LAN"]["call_ids_exhausted"] > before
    carry(ends, [call])
    flood.pac.socket.settimeout(LIMIT)
    flood.pac.send(message("outgoing_call_reply", call=0, peer=seen[7], result=2))
    flood.pns.receive("outgoing_call_reply")
    flood.pac.send(message("outgoing_call_reply", call=500, peer=seen[8], result=1))
    answered = flood.hear_answer(20008, seen[8], 500)
    carry(ends, [call, flood.answer(20256, 501), answered])


@pytest.mark.config({"limits": {"tunnels": "1"}})
def test_more_connections_than_can_be_read(lab, router, ends):
    """The one too many passes as it is and is counted; it has its turn when another one has gone."""
    server = ends.serve("W1")
    first, second = ends.connect("L1", server), ends.connect("L2", server)
    call, unread = first.dial(9850, 1), second.dial(9851, 2)
    with router.dropping(lan={"gre_no_call": 2}, wan={"gre_no_call": 2}):
        assert loses(unread.pns, unread.pac) == 2 and loses(unread.pac, unread.pns) == 2
    assert router.statistics().counter["pptp_unread"] == 1
    carry(ends, [call])
    linger_reset(first.pns.socket)
    unread.forget()
    carry(ends, [ends.connect("L2", server).dial(9852, 3)])


def test_two_outside_addresses(lab, router, ends):
    """Each client has its own, so both keep their Call ID; when one address goes, its calls end and the others stay."""
    server = ends.serve("W1")
    with wan_addresses(lab, ROUTER_WAN, ROUTER_WAN_SECOND):
        connections = [ends.connect(host, server) for host in ("L1", "L2")]
        calls = [connection.dial(14000, number) for number, connection in enumerate(connections)]
        assert {connection.seen_from for connection in connections} == {ROUTER_WAN, ROUTER_WAN_SECOND}
        assert outside_ids(*calls) == [14000, 14000]
        carry(ends, calls)
        goes = [connection.seen_from for connection in connections].index(ROUTER_WAN_SECOND)
        set_addresses(lab, [ROUTER_WAN])
        assert list(ended(router, 14000).values()) == ["ended by the router"]
        carry(ends, [calls[1 - goes]])
        again = ends.connect(("L1", "L2")[goes], server)
        assert again.seen_from == ROUTER_WAN
        carry(ends, [calls[1 - goes], again.dial(14000, 9)])


def test_signals_under_load(lab, router, ends):
    """Reloads and statistics while calls run."""
    connection = ends.connect("L1", ends.serve("W1"))
    call = connection.dial(9900, 1)
    for number in range(8):
        router.process.send_signal(signal.SIGHUP if number % 2 else signal.SIGUSR1)
        carry(ends, [call], 4)
    carry(ends, [call, connection.dial(9901, 2)])
