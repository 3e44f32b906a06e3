# SPDX-License-Identifier: BSD-2-Clause
"""What is the same for all VPN protocols that carry PPP: a server with an inside, and calls to it that are used."""
import contextlib
import json
import pathlib
import re
import time

HERE = pathlib.Path(__file__).resolve().parent
SECRETS = "* * open-sesame *\n"
PORT = 9000
ENOUGH = 1 << 20
# MS-CHAP v2 or nothing. MTU and MRU are pppd's own.
COMMON = "refuse-pap\nrefuse-chap\nrefuse-mschap\nrefuse-eap\nnobsdcomp\nnodeflate\nnovj\nnoipv6\ndebug\n"


class Server:
    """A VPN server in a guest; its inside is a network of which it has the address .1, where transfer.py answers.
    Subclasses start and stop the daemon."""

    port = None  # where calls come in, as ss(8) filters it, if there is a daemon for them

    def __init__(self, guest, network):
        self.guest = guest
        self.inside = f"{network}.1"
        self.pool = f"{network}.100", f"{network}.199"

    def start(self):
        guest = self.guest
        guest.write("/etc/ppp/chap-secrets", SECRETS)
        self.start_daemon()
        if self.port:
            guest.wait_until(f"ss -Hltun {self.port} | grep -q .")
        if guest.try_run(f"ss -Hltn sport = :{PORT} | grep -q .").code != 0:
            guest.run(f"setsid {HERE}/transfer.py serve {PORT} >/run/transfer.log 2>&1 &")
            guest.wait_until(f"ss -Hltn sport = :{PORT} | grep -q .")
        return self

    def sessions(self):
        """How many calls are up, by their interfaces."""
        return int(self.guest.run("ip -br address | grep -c 'ppp.*peer' || true"))

    def wait_for_sessions(self, count, timeout=60):
        end = time.monotonic() + timeout
        while (now := self.sessions()) != count:
            if time.monotonic() > end:
                raise AssertionError(
                    f"{self.guest.name} has {now} calls instead of {count}\n{self.guest.syslog_tail()}"
                )
            time.sleep(0.1)


class Client:
    """One call of a guest to a server at an address. Subclasses know how to dial and to hang up: begin_dial() and
    begin_hang_up() do not wait, the function they return does."""

    device = r"ppp\d+"

    def __init__(self, guest, server, address=None):
        self.guest, self.server = guest, server
        self.address = address or server.guest.address
        self.name = guest.name.lower()

    def dial(self, *options):
        return self.check(self.begin_dial(*options)())

    def check(self, done):
        if done.code != 0:
            raise AssertionError(
                f"{self.name} got no call to {self.address}: exit {done.code}\n{done.output}\n"
                f"{self.guest.syslog_tail()}\n{self.server.guest.syslog_tail()}"
            )
        return self

    def hang_up(self):
        done = self.begin_hang_up()()
        assert done.code == 0, f"{self.name} could not hang up: {done.output}\n{self.guest.syslog_tail()}"

    def link(self):
        """Device, MTU and own address of the call."""
        text = self.guest.run(f"ip -o route get {self.server.inside}; ip -o link")
        found = re.search(rf"dev ({self.device}) .*src (\S+)", text)
        assert found, f"{self.server.inside} is not reached through the tunnel: {text}"
        return found[1], int(re.search(rf"{found[1]}: .*mtu (\d+)", text)[1]), found[2]

    def begin_ping(self, size=56, count=5, fragments="do"):
        """count pings of which none may get lost, and none be fragmented within the tunnel unless fragments is
        "dont"."""
        self.link()
        words = ["ping", "-q", "-M", fragments, "-s", size, "-c", count, "-i", "0.2", "-W", "15", self.server.inside]
        finish = self.guest.begin(*words)

        def wait():
            whole = f"{count} packets transmitted, {count} received"
            output = finish().output
            # pppd and xl2tpd hand packets to one another by a pseudo terminal, which loses some on a busy machine; what
            # the router loses is counted there.
            for _ in range(3):
                if whole in output:
                    break
                output = self.guest.try_run(*words).output
            assert whole in output, f"{self.name}: {output}"

        return wait

    def ping(self):
        self.begin_ping()()

    def ping_full(self):
        """Pings that fill the tunnel's MTU."""
        self.begin_ping(self.link()[1] - 28)()

    def ping_fragments(self):
        """Pings that fit the link, but not with the tunnel around them: the tunnel's own packets are fragments."""
        self.begin_ping(1472, fragments="dont")()

    def begin_transfer(self, count, timeout=300):
        """count bytes each way, both at one time, through the tunnel; every byte is checked."""
        device, _, own = self.link()
        command = [HERE / "transfer.py", "ask", self.server.inside, PORT, count, self.name]
        finish = self.guest.begin(*command, timeout=timeout)

        def wait():
            done = finish()
            if done.code != 0:
                raise AssertionError(
                    f"transfer of {self.name} through {device}: exit {done.code}\n{done.output}\n"
                    f"{self.guest.syslog_tail()}"
                )
            result = json.loads(done.output)
            assert result["bytes"] == count and result["local"] == own, result
            return result

        return wait

    def transfer(self, count):
        return self.begin_transfer(count)()


def dial_all(clients, *options):
    """All at one time."""
    for client, finish in [(client, client.begin_dial(*options)) for client in clients]:
        client.check(finish())


def use_all(clients, count=ENOUGH):
    """Pings, then count bytes each way, in all calls at one time."""
    for finish in [client.begin_ping() for client in clients]:
        finish()
    for finish in [client.begin_transfer(count) for client in clients]:
        finish()


@contextlib.contextmanager
def all_hung_up(server, clients):
    """Afterwards no call is left at the server."""
    try:
        yield
    finally:
        for finish in [client.begin_hang_up() for client in clients]:
            finish()
    server.wait_for_sessions(0)
