# SPDX-License-Identifier: BSD-2-Clause
"""L2TP without IPsec in guests: xl2tpd at both ends, with the kernel's L2TP below pppd. Both sides use port 1701."""
import calls

CALL_LOG = "/run/ppp-l2tp.log"
CONFIG = "/etc/xl2tpd/xl2tpd.conf"


def start_xl2tpd(guest):
    guest.run(f"xl2tpd -c {CONFIG} -p /run/xl2tpd.pid -C /run/xl2tpd/l2tp-control")
    guest.wait_until("ss -Hlun sport = :1701 | grep -q . && test -p /run/xl2tpd/l2tp-control")


class Server(calls.Server):
    port = "sport = :1701"

    def start_daemon(self):
        guest = self.guest
        guest.write("/etc/ppp/room-lns", f"name room\nrequire-mschap-v2\nlogfile /run/ppp-lns.log\n{calls.COMMON}")
        guest.write(
            CONFIG,
            f"[global]\naccess control = no\n[lns default]\nip range = {'-'.join(self.pool)}\n"
            f"local ip = {self.inside}\n"
            "name = room\npppoptfile = /etc/ppp/room-lns\n",
        )
        start_xl2tpd(guest)

    def stop(self):
        stop_xl2tpd(self.guest)


def stop_xl2tpd(guest):
    guest.run("test -f /run/xl2tpd.pid && kill $(cat /run/xl2tpd.pid); while pidof -q xl2tpd pppd; do sleep 0.1; done")


class Client(calls.Client):
    def begin_dial(self):
        """Starts xl2tpd and dials."""
        guest = self.guest
        guest.write("/etc/ppp/chap-secrets", calls.SECRETS)
        guest.write(
            "/etc/ppp/room-lac",
            f"name {self.name}\nremotename room\nnoauth\nnoipdefault\nnodefaultroute\nlinkname l2tp\n"
            f"logfile {CALL_LOG}\n{calls.COMMON}",
        )
        guest.write(
            CONFIG, f"[global]\naccess control = no\n[lac room]\nlns = {self.address}\npppoptfile = /etc/ppp/room-lac\n"
        )
        guest.run(f"rm -f {CALL_LOG}")
        start_xl2tpd(guest)
        return guest.begin(
            "xl2tpd-control -c /run/xl2tpd/l2tp-control connect-lac room &&"
            f" until grep -q 'local  IP address' {CALL_LOG}; do pidof -q xl2tpd || exit 1; sleep 0.1; done",
            timeout=60,
        )

    def begin_hang_up(self):
        # pppd first: without a session it would ask its peer in vain, and for six seconds, to agree.
        return self.guest.begin(
            "pidof -q xl2tpd || exit 0; test -f /run/ppp-l2tp.pid && kill $(head -n 1 /run/ppp-l2tp.pid);"
            " while pidof -q pppd; do sleep 0.1; done; kill $(cat /run/xl2tpd.pid);"
            " while pidof -q xl2tpd; do sleep 0.1; done"
        )
