# SPDX-License-Identifier: BSD-2-Clause
"""The same endpoints through the kernel's NAT with its PPTP helper and through culvertd, side by side: what one
control connection may look like. culvertd must pass all of it; what the kernel does is printed beside it, and judged
only where the comparison would be worthless otherwise: a plain call must work."""
import pytest

from namespace import LIMIT
from pptp_peer import Ends, loses, message
from reference import Kernel

COUNT = 5
HELPER = """
table ip helper {
    ct helper pptp { type "pptp" protocol tcp; }
    chain prerouting { type filter hook prerouting priority -50; tcp dport 1723 ct helper set "pptp"; }
}
"""

pytestmark = pytest.mark.culvert_only("it starts both by itself")


@pytest.fixture
def ends(lab):
    ends = Ends(lab)
    yield ends
    ends.close()


class Helped(Kernel):
    """nft masquerade with the PPTP helper."""

    def start(self, sections=None):
        self.forwarding = self.space.read_sysctl("net/ipv4/ip_forward")
        super().start(sections)
        self.space.run("nft", "-f", "-", input=HELPER)

    def close(self):
        super().close()
        self.space.set_sysctl("net/ipv4/ip_forward", self.forwarding)


def data(tunnels, patience):
    """How much of the data arrived, in words."""
    ways = [pair for tunnel in tunnels for pair in ((tunnel.pns, tunnel.pac), (tunnel.pac, tunnel.pns))]
    got = [COUNT - loses(one, two, COUNT, patience) for one, two in ways]
    if min(got) == COUNT:
        return "works"
    names = [f"call {number} {way}" for number in range(1, len(tunnels) + 1) for way in ("up", "down")]
    parts = [f"{name} {count}" for name, count in zip(names, got) if count != COUNT]
    return f"data lost: {', '.join(parts)} of {COUNT}"


def one_call(connection, number):
    return [connection.dial(number, number + 1)]


def two_calls(connection, number):
    return [connection.dial(number, number + 1), connection.dial(number + 2, number + 3)]


def cut_request(connection, number):
    return [connection.dial(number, number + 1, cuts=(13,))]


def cut_header(connection, number):
    return [connection.dial(number, number + 1, cuts=(6,))]


def cut_answer(connection, number):
    return [connection.dial(number, number + 1, reply_cuts=(15,))]


def two_messages(connection, number):
    connection.pns.send(message("echo_request", identifier=1), message("outgoing_call_request", call=number))
    connection.pac.receive("echo_request")
    connection.pac.send(message("echo_reply", identifier=1, result=1))
    connection.pns.receive("echo_reply")
    return [connection.answer(number, number + 1)]


def two_answers(connection, number):
    connection.pns.send(message("echo_request", identifier=1))
    connection.pac.receive("echo_request")
    connection.pns.send(message("outgoing_call_request", call=number))
    seen = connection.pac.receive("outgoing_call_request").call
    connection.pac.send(
        message("echo_reply", identifier=1, result=1),
        message("outgoing_call_reply", call=number + 1, peer=seen, result=1),
    )
    connection.pns.receive("echo_reply")
    return [connection.hear_answer(number, seen, number + 1)]


CASES = {
    "one call": one_call,
    "a second call on one control connection": two_calls,
    "a call request cut in the Call ID": cut_request,
    "a call request cut in its header": cut_header,
    "a call reply cut in the peer's Call ID": cut_answer,
    "two messages in one segment, the second a request": two_messages,
    "two messages in one segment, the second a reply": two_answers,
}


def outcome(ends, server, case, number, patience):
    """One client with a case, beside another one whose call has the same Call ID and must not suffer. patience: seconds
    in which something comes, or does not."""
    other = ends.connect("L2", server)
    beside = [other.dial(number, number + 10)]
    connection = ends.connect("L1", server)
    connection.pns.socket.settimeout(patience)
    connection.pac.socket.settimeout(patience)
    try:
        tunnels = case(connection, number)
    except TimeoutError:
        return "the control connection stands still"
    except AssertionError as wrong:
        return f"wrong message: {str(wrong).splitlines()[0]}"
    result = data(tunnels, patience)
    if (beside := data(beside, patience)) != "works":
        result += f"; beside it {beside}"
    for part in (other, connection):
        part.pns.abort()
        part.pac.abort()
    return result


def outcomes(ends, server, first, must_work):
    """What becomes of each case, in words; those that must work are given the time."""
    return {
        name: outcome(ends, server, case, first + 20 * at, LIMIT if name in must_work else 0.5)
        for at, (name, case) in enumerate(CASES.items())
    }


def test_culvert_beside_the_kernels_helper(lab, router, ends, capsys):
    server = ends.serve("W1")
    ours = outcomes(ends, server, 1000, CASES)
    assert not lab.guard.leaks()
    # From here on the router's kernel may answer for connections that nobody translates any more, and is not judged.
    router.allow = lambda ip: True
    router.stop()
    kernel = Helped(lab)
    kernel.start()
    try:
        theirs = outcomes(ends, server, 2000, ["one call"])
    finally:
        kernel.close()
    with capsys.disabled():
        print(f"\n{'':50} {'culvert':8} kernel with its helper")
        for name in CASES:
            print(f"{name:50} {ours[name]:8} {theirs[name]}")
    assert set(ours.values()) == {"works"}, ours
    assert theirs["one call"] == "works", "the kernel's helper was not at work, so nothing was compared"
