# SPDX-License-Identifier: BSD-2-Clause
"""L2TP/IPsec in guests: xl2tpd through transport mode of strongSwan, IKEv1 with a shared secret, ESP in UDP because
both ends see the NAT. The guests' kernels do ESP and L2TP.

Behind the ESP all clients of a NAT have one address, so a server knows two of them only by their L2TP ports.
"""
import l2tp
from esp import stop_pluto

DAEMON = """
    charon {
        load = random nonce aes sha1 sha2 hmac kdf gmp vici kernel-netlink socket-default
        retransmit_timeout = 0.5
        retransmit_base = 1.2
        filelog {
            room {
                path = /run/charon.log
                default = 1
                flush_line = yes
            }
        }
    }
"""
CONNECTION = """connections {{
    l2tp {{
        version = 1
        proposals = aes128-sha256-modp2048
        rekey_time = 24h
        remote_addrs = {remote}
        local {{
            auth = psk
            id = {own}
        }}
        remote {{
            auth = psk
            id = {peer}
        }}
        children {{
            l2tp {{
                mode = transport
                local_ts = {here}
                remote_ts = {there}
                esp_proposals = aes128-sha256
                rekey_time = 12h
            }}
        }}
    }}
}}
secrets {{
    ike-room {{
        secret = open-sesame
    }}
}}
"""


def start_charon(guest, **names):
    """With this one connection."""
    stop_pluto(guest)
    guest.write("/etc/strongswan.conf", DAEMON)
    guest.write("/etc/swanctl/conf.d/room.conf", CONNECTION.format(**names))
    guest.run("setsid /usr/lib/ipsec/charon >/run/charon.out 2>&1 </dev/null & true")
    guest.run("until test -S /run/charon.vici; do sleep 0.05; done; swanctl --load-all --noprompt")


def stop_charon(guest):
    guest.run("pidof -q charon || exit 0; kill $(pidof charon); while pidof -q charon; do sleep 0.05; done")


class Server(l2tp.Server):
    """Of its clients each must have another port."""

    def start_daemon(self):
        super().start_daemon()
        start_charon(self.guest, remote="%any", own="room", peer="%any", here="dynamic[udp/1701]", there="dynamic[udp]")

    def stop(self):
        super().stop()
        stop_charon(self.guest)


class Client(l2tp.Client):
    def begin_dial(self):
        start_charon(
            self.guest,
            remote=self.address,
            own=self.name,
            peer="room",
            here=f"dynamic[udp/{self.port}]",
            there="dynamic[udp/1701]",
        )
        self.guest.run("swanctl --initiate --child l2tp --timeout 60", timeout=70)
        return super().begin_dial()

    def begin_hang_up(self):
        finish = super().begin_hang_up()

        def wait():
            done = finish()
            stop_charon(self.guest)
            return done

        return wait
