#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The VPN room to walk about in: boots it and runs what is typed, a line each: the name of a guest (C1 C2 C3 S1 S2) or
of a namespace (R X B) and a command. docs/vpn-room.md says more.

  CULVERTD=build/culvertd tests/vpn/shell.py [CONFIG.ini]
"""
import configparser
import pathlib
import sys

from conftest import Room, guest_software, sweep_leftovers
from pptp import Client, Server


def run(room, place, line):
    if place in room.guests:
        done = room.guests[place].try_run(line, timeout=120)
        code, output = done.code, done.output
    elif place in room.lab.spaces:
        done = room.lab.spaces[place].run("sh", "-c", line, check=False, timeout=120)
        code, output = done.returncode, done.stdout + done.stderr
    else:
        return f"there is no {place or 'empty name'}: {' '.join([*room.guests, *room.lab.spaces])}\n"
    return output + (f"exit {code}\n" if code else "")


def sections_of(path):
    config = configparser.ConfigParser()
    config.read_string(pathlib.Path(path).read_text(encoding="utf-8"))
    return {name: dict(config[name]) for name in config.sections()}


def main():
    sweep_leftovers()
    room = Room()
    try:
        room.build(guest_software())
        room.router.start(sections_of(sys.argv[1]) if len(sys.argv) > 1 else {})
        server = Server(room.S1, "10.99.1").start()
        for guest in (room.C1, room.C2, room.C3):
            Client(guest, server).write_files()
        print(f"pptpd answers on S1, {room.S1.address}; `C1 pppd call room` dials, `C1 pkill pppd` hangs up")
        for line in iter(lambda: sys.stdin.readline() if not print("> ", end="", flush=True) else "", ""):
            if line.strip():
                place, _, command = line.strip().partition(" ")
                print(run(room, place, command), end="")
    finally:
        room.close()


if __name__ == "__main__":
    main()
