# SPDX-License-Identifier: BSD-2-Clause
"""L2TP without IPsec in guests: xl2tpd at both ends, with the kernel's L2TP below pppd. Both sides use port 1701.

only_1701() and answers_to_1701() are what some servers are like: they know one port only."""
import re

import calls

CALL_LOG = "/run/ppp-l2tp.log"
CONFIG = "/etc/xl2tpd/xl2tpd.conf"
STRICT = "ip daddr {server} udp dport 1701 udp sport != 1701 counter drop"
# Whoever sent the packet, program or kernel, knows nothing of it. It may have no checksum, and nft takes that for one.
ANSWERS = "ip saddr {server} udp sport 1701 udp dport != 1701 counter udp dport set 1701 udp checksum set 0"


class Rule:
    """A rule of the packet filter in front of the servers, for one of them; count is for how many packets it was, once
    it is gone."""

    def __init__(self, room, server, rule):
        self.space, self.rule = room.lab.X, rule.format(server=server.guest.address)
        self.count = None

    def __enter__(self):
        chain = f"type filter hook forward priority 0; {self.rule};"
        self.space.run("nft", "-f", "-", input=f"table ip strict {{ chain forward {{ {chain} }}; }}")
        return self

    def __exit__(self, *_):
        text = self.space.run("nft", "list", "table", "ip", "strict").stdout
        self.count = int(re.search(r"counter packets (\d+)", text)[1])
        self.space.run("nft", "delete", "table", "ip", "strict")


def only_1701(room, server):
    """The server never hears of what comes from another port."""
    return Rule(room, server, STRICT)


def answers_to_1701(room, server):
    """The server sends everything to port 1701, wherever it came from."""
    return Rule(room, server, ANSWERS)


def start_xl2tpd(guest, random=None, port=1701):
    """random: what it reads from /dev/urandom each time: its Tunnel IDs come from there."""
    program = f"xl2tpd -c {CONFIG} -p /run/xl2tpd.pid -C /run/xl2tpd/l2tp-control"
    if random:
        guest.write("/run/random", random)
        program = f"unshare -m sh -c 'mount --bind /run/random /dev/urandom; exec {program}'"
    guest.run(program)
    guest.wait_until(f"ss -Hlun sport = :{port} | grep -q . && test -p /run/xl2tpd/l2tp-control")


class Server(calls.Server):
    """in_program: data goes through xl2tpd itself, not through the kernel. A kernel looks for a tunnel by addresses and
    ports, so it cannot have two of them from one port of one address."""

    port = "sport = :1701"

    def __init__(self, guest, network, in_program=False):
        super().__init__(guest, network)
        self.in_program = in_program

    def start_daemon(self):
        guest = self.guest
        guest.write("/etc/ppp/room-lns", f"name room\nrequire-mschap-v2\nlogfile /run/ppp-lns.log\n{calls.COMMON}")
        guest.write(
            CONFIG,
            f"[global]\naccess control = no\nforce userspace = {'yes' if self.in_program else 'no'}\n"
            f"[lns default]\nip range = {'-'.join(self.pool)}\n"
            f"local ip = {self.inside}\n"
            "name = room\npppoptfile = /etc/ppp/room-lns\n",
        )
        start_xl2tpd(guest)

    def stop(self):
        stop_xl2tpd(self.guest)


def stop_xl2tpd(guest):
    guest.run("test -f /run/xl2tpd.pid && kill $(cat /run/xl2tpd.pid); while pidof -q xl2tpd pppd; do sleep 0.1; done")


class Client(calls.Client):
    def __init__(self, guest, server, address=None, port=1701):
        super().__init__(guest, server, address)
        self.port = port

    def begin_dial(self, random=None):
        """Starts xl2tpd and dials. Two clients with the same random text have the same Tunnel ID."""
        guest = self.guest
        guest.write("/etc/ppp/chap-secrets", calls.SECRETS)
        guest.write(
            "/etc/ppp/room-lac",
            f"name {self.name}\nremotename room\nnoauth\nnoipdefault\nnodefaultroute\nlinkname l2tp\n"
            f"logfile {CALL_LOG}\n{calls.COMMON}",
        )
        guest.write(
            CONFIG,
            f"[global]\naccess control = no\nport = {self.port}\n[lac room]\nlns = {self.address}\n"
            "pppoptfile = /etc/ppp/room-lac\n",
        )
        guest.run(f"rm -f {CALL_LOG}")
        start_xl2tpd(guest, random, self.port)
        return guest.begin(
            "xl2tpd-control -c /run/xl2tpd/l2tp-control connect-lac room &&"
            f" until grep -qs 'local  IP address' {CALL_LOG}; do pidof -q xl2tpd || exit 1; sleep 0.1; done",
            timeout=120,
        )

    def begin_hang_up(self):
        # pppd first: without a session it would ask its peer in vain, and for six seconds, to agree.
        return self.guest.begin(
            "pidof -q xl2tpd || exit 0; test -f /run/ppp-l2tp.pid && kill $(head -n 1 /run/ppp-l2tp.pid);"
            " while pidof -q pppd; do sleep 0.1; done; kill $(cat /run/xl2tpd.pid);"
            " while pidof -q xl2tpd; do sleep 0.1; done"
        )
