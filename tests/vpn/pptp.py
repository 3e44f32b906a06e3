# SPDX-License-Identifier: BSD-2-Clause
"""pptpd and pptp-linux with pppd in guests, and PPTP as it looks on a wire."""
import json
import pathlib
import re
import struct

from wire import ETH_P_IP, Capture, assemble

HERE = pathlib.Path(__file__).resolve().parent
SECRET = "* * open-sesame *\n"
PORT = 9000
CALL_LOG = "/run/ppp-call.log"

# What both ends of pppd say: MS-CHAP v2 and MPPE with 128 bits or nothing. MTU and MRU are pppd's own.
COMMON = (
    "refuse-pap\nrefuse-chap\nrefuse-mschap\nrefuse-eap\nrequire-mppe-128\nnobsdcomp\nnodeflate\nnovj\nnoipv6\ndebug\n"
)


class Server:
    """pptpd in a guest; its inside is 10.99.NUMBER.1, where transfer.py answers."""

    def __init__(self, guest, number):
        self.guest = guest
        self.inside = f"10.99.{number}.1"
        self.pool = f"10.99.{number}.100-199"

    def start(self):
        guest = self.guest
        guest.write("/etc/ppp/chap-secrets", SECRET)
        guest.write("/etc/ppp/room-server", f"name room\nrequire-mschap-v2\nlogfile /run/ppp-server.log\n{COMMON}")
        guest.write("/etc/pptpd.conf", f"option /etc/ppp/room-server\nlocalip {self.inside}\nremoteip {self.pool}\n")
        guest.run("pptpd -c /etc/pptpd.conf -p /run/pptpd.pid")
        guest.run(f"setsid {HERE}/transfer.py serve {PORT} >/run/transfer.log 2>&1 & echo $! > /run/transfer.pid")
        for port in (1723, PORT):
            guest.wait_until(f"ss -Hltn sport = :{port} | grep -q .")
        return self

    def stop(self):
        self.guest.run(
            "kill $(cat /run/pptpd.pid /run/transfer.pid); pkill pptpctrl; pkill pppd;"
            " while pidof -q pptpd pptpctrl pppd; do sleep 0.1; done"
        )

    def sessions(self):
        """How many calls are up, by their interfaces."""
        return int(self.guest.run("ip -br address | grep -c 'ppp.*peer' || true"))


class Client:
    """One call of a guest to a server at an address."""

    def __init__(self, guest, server, address=None):
        self.guest, self.server = guest, server
        self.address = address or server.guest.address
        self.name = guest.name.lower()

    def write_files(self, call_id=None):
        """Whatever `pppd call room` needs."""
        guest = self.guest
        program = f"pptp {self.address} --nolaunchpppd --nohostroute"
        if call_id is not None:
            # pptp takes its Call ID from /dev/random; here it is a file with what leads to this one.
            guest.write("/run/random", chr(call_id))
            program = f"unshare -m sh -c 'mount --bind /run/random /dev/random; exec {program}'"
        guest.write("/etc/ppp/chap-secrets", SECRET)
        guest.write("/run/dial", f"#!/bin/sh\nexec {program}\n")
        guest.write(
            "/etc/ppp/peers/room",
            f'pty "sh /run/dial"\nname {self.name}\nremotename room\nnoauth\nnoipdefault\nnodefaultroute\n'
            f"linkname room\nmaxfail 1\nupdetach\nlogfile {CALL_LOG}\n{COMMON}",
        )

    def begin_dial(self, call_id=None, timeout=60):
        """Dials without waiting; the function that comes back waits for (code, output) of pppd."""
        self.write_files(call_id)
        return self.guest.begin(f"rm -f {CALL_LOG}; exec pppd call room", timeout=timeout)

    def dial(self, call_id=None, timeout=60):
        return self.check(self.begin_dial(call_id, timeout)())

    def check(self, done):
        if done.code != 0:
            raise AssertionError(
                f"{self.name} got no call to {self.address}: pppd exit {done.code}\n{done.output}\n"
                f"{self.guest.syslog_tail()}\n{self.server.guest.syslog_tail()}"
            )
        log = self.guest.run(f"cat {CALL_LOG}")
        assert "MPPE 128-bit" in log and "CHAP authentication succeeded" in log, log
        return self

    def begin_hang_up(self):
        # Once it has said goodbye and pptp is gone, pppd would stay for five seconds more.
        return self.guest.begin(
            "test -f /run/ppp-room.pid || exit 0; read pid < /run/ppp-room.pid; kill $pid;"
            f" until grep -q 'Connection terminated' {CALL_LOG} && ! pgrep 'pptpgw|pptpcm'; do sleep 0.05; done;"
            " kill -KILL $pid; rm -f /run/ppp-room.pid",
            timeout=30,
        )

    def hang_up(self):
        done = self.begin_hang_up()()
        assert done.code == 0, f"{self.name} could not hang up: {done.output}"

    def link(self):
        """Device, MTU and own address of the call."""
        text = self.guest.run(f"ip -o route get {self.server.inside}; ip -o link show type ppp")
        found = re.search(r"dev (ppp\d+).* src (\S+)", text)
        assert found, f"{self.server.inside} is not reached through the tunnel: {text}"
        return found[1], int(re.search(r"mtu (\d+)", text)[1]), found[2]

    def ping(self, size=56, count=5):
        """count pings of which none may get lost; full-size ones may not be fragmented within the tunnel."""
        self.guest.run("ping", "-q", "-M", "do", "-s", size, "-c", count, "-i", "0.2", "-W", "5", self.server.inside)

    def begin_transfer(self, count, timeout=120):
        command = [HERE / "transfer.py", "ask", self.server.inside, PORT, count, self.name]
        finish = self.guest.begin(*command, timeout=timeout)

        def wait():
            done = finish()
            assert (
                done.code == 0
            ), f"transfer of {self.name}: exit {done.code}\n{done.output}\n{self.guest.syslog_tail()}"
            result = json.loads(done.output)
            assert result["bytes"] == count and result["local"].startswith("10.99.")
            return result

        return wait

    def transfer(self, count):
        return self.begin_transfer(count)()


# --- on the wire -----------------------------------------------------------------------------------------------------

FILTER = assemble(
    [
        (None, "ldh", 12),
        (None, "jeq", ETH_P_IP, None, "reject"),
        (None, "ldb", 23),
        (None, "jeq", 47, "accept"),
        (None, "jeq", 6, "accept", "reject"),
    ],
    256,
)


class Watch:
    """The control messages and GRE packets of one wire. read() takes in what has come since."""

    def __init__(self, namespace, device):
        self.capture = Capture(namespace, device, FILTER, 256 << 20)
        self.requests, self.replies, self.gre, self.fragments = [], [], {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.capture.close()

    def read(self, settle=0.2):
        for frame in self.capture.frames(settle):
            packet = frame.data[14:]
            source, destination = (".".join(map(str, packet[at : at + 4])) for at in (12, 16))
            header, offset = (packet[0] & 15) * 4, struct.unpack("!H", packet[6:8])[0]
            if packet[9] == 47:
                if offset & 0x3FFF:
                    self.fragments[source] = self.fragments.get(source, 0) + 1
                if not offset & 0x1FFF:
                    key = source, destination, struct.unpack("!H", packet[header + 6 : header + 8])[0]
                    self.gre[key] = self.gre.get(key, 0) + 1
            elif not offset & 0x1FFF:
                self._read_control(source, destination, packet[header:])
        assert self.capture.lost == 0, f"the capture lost {self.capture.lost} frames"
        return self

    def _read_control(self, source, destination, segment):
        """Call IDs of requests (2.7) and replies (2.8 of RFC 2637): who asks, who is asked, both Call IDs."""
        if 1723 not in struct.unpack("!HH", segment[:4]):
            return
        message = segment[(segment[12] >> 4) * 4 :]
        if message[4:8] != b"\x1a\x2b\x3c\x4d":
            return
        kind, own, peer = struct.unpack("!H2xHH", message[8:16])
        if kind == 7 and (source, destination, own) not in self.requests:
            self.requests.append((source, destination, own))
        if kind == 8 and (destination, source, peer, own) not in self.replies:
            self.replies.append((destination, source, peer, own))
