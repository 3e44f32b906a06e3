# SPDX-License-Identifier: BSD-2-Clause
"""PPTP in guests: pptpd, and pptp-linux under pppd."""
import calls

CALL_LOG = "/run/ppp-pptp.log"
COMMON = f"{calls.COMMON}require-mppe-128\n"


class Server(calls.Server):
    port = "sport = :1723"

    def start_daemon(self):
        guest, (first, last) = self.guest, self.pool
        guest.write("/etc/ppp/room-pptpd", f"name room\nrequire-mschap-v2\nlogfile /run/ppp-pptpd.log\n{COMMON}")
        addresses = f"localip {self.inside}\nremoteip {first}-{last.rsplit('.')[-1]}\n"
        guest.write("/etc/pptpd.conf", f"option /etc/ppp/room-pptpd\n{addresses}")
        guest.run("pptpd -c /etc/pptpd.conf -p /run/pptpd.pid")

    def stop(self):
        self.guest.run(
            "kill $(cat /run/pptpd.pid); pkill pptpctrl; pkill pppd;"
            " while pidof -q pptpd pptpctrl pppd; do sleep 0.1; done",
            timeout=90,
        )


class Client(calls.Client):
    def write_files(self, call_id=None):
        """Whatever `pppd call room` needs."""
        guest = self.guest
        program = f"pptp {self.address} --nolaunchpppd --nohostroute"
        if call_id is not None:
            # pptp takes its Call ID from /dev/random; here it is a file with what leads to this one.
            guest.write("/run/random", chr(call_id))
            program = f"unshare -m sh -c 'mount --bind /run/random /dev/random; exec {program}'"
        guest.write("/etc/ppp/chap-secrets", calls.SECRETS)
        guest.write("/run/dial", f"#!/bin/sh\nexec {program}\n")
        guest.write(
            "/etc/ppp/peers/room",
            f'pty "sh /run/dial"\nname {self.name}\nremotename room\nnoauth\nnoipdefault\nnodefaultroute\n'
            f"linkname pptp\nmaxfail 1\nupdetach\nlogfile {CALL_LOG}\n{COMMON}",
        )

    def begin_dial(self, call_id=None):
        self.write_files(call_id)
        return self.guest.begin(f"rm -f {CALL_LOG}; exec pppd call room", timeout=120)

    def check(self, done):
        super().check(done)
        log = self.guest.run(f"cat {CALL_LOG}")
        assert "MPPE 128-bit" in log and "CHAP authentication succeeded" in log, log
        return self

    def begin_hang_up(self):
        # Once it has said goodbye and pptp is gone, pppd would stay for five seconds more.
        return self.guest.begin(
            "test -f /run/ppp-pptp.pid || exit 0; read pid < /run/ppp-pptp.pid; kill $pid;"
            f" until grep -q 'Connection terminated' {CALL_LOG} && ! pgrep 'pptpgw|pptpcm'; do sleep 0.05; done;"
            " kill -KILL $pid; rm -f /run/ppp-pptp.pid"
        )
