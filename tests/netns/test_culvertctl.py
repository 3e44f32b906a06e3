# SPDX-License-Identifier: BSD-2-Clause
"""culvertctl as people and scripts run it: forms of output, abbreviations, exit codes, and answers that are not what
they should be."""
import contextlib
import ipaddress
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from control import ask, document, find_ctl, run_ctl, socket_of
from lab import ROUTER_WAN, UPSTREAM, wait_for
from namespace import LIMIT

pytestmark = [pytest.mark.culvert_only("the kernel has no control socket")]

VERSION = "0.1.0"
MANUAL = pathlib.Path(__file__).resolve().parents[2] / "man/culvertctl.8"


def is_plain(text):
    return all(letter == "\n" or " " <= letter <= "~" for letter in text)


@pytest.fixture
def flows(lab, router):
    lab.echo_once(lab.udp("L1"), lab.udp("W1"))
    lab.echo_once(lab.udp("L2"), lab.udp("W1"))


# --- forms -----------------------------------------------------------------------------------------------------------


def test_the_bare_command_is_one_screen(lab, router, flows):
    done = run_ctl(router)
    assert done.returncode == 0 and not done.stderr and is_plain(done.stdout)
    lines = done.stdout.splitlines()
    assert len(lines) <= 24 and all(len(line) <= 100 for line in lines), done.stdout
    assert lines[0].startswith(f"culvertd {VERSION}, process {router.process.pid}, up ")
    for part in ("LAN lan0: up, MTU 1500", "WAN wan0: up", "outside address 198.51.100.2", "ipsec    pass"):
        assert part in done.stdout, part
    traffic = r"^from LAN: \d+ packets, .*: \d+ forwarded, \d+ for the router, 0 held, \d+ dropped$"
    assert re.search(traffic, done.stdout, re.M)
    assert run_ctl(router, "status").stdout.splitlines()[2:5] == lines[2:5]


def test_many_addresses_leave_it_one_screen(lab, router):
    """And a long warning is wrapped, on a terminal."""
    more = [f"198.51.100.{number}/24 dev wan0" for number in range(140, 160)]
    lab.R.ip(*(f"address add {address}" for address in more))
    try:
        router.settle()
        text = run_ctl(router).stdout
        assert text.count("outside address 198.51.100.") == 4 and "\n  and 17 more; --json names them\n" in text, text
        assert len(text.splitlines()) <= 24
        assert len([row for row in document(router, "status") if row["kind"] == "address"]) == 1 + 21
    finally:
        lab.R.ip(*(f"address delete {address}" for address in more))
        router.settle()
    router.config_file.write_text("[nat]\nthis key is not there = 1\n")
    assert run_ctl(router, "reload").returncode == 2
    try:
        lines = on_terminal(router, COLUMNS="80", NO_COLOR="1").decode().splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("warning: the configuration file is"))
        assert lines[at + 1].startswith("         ") and max(map(len, lines)) <= 80, lines
    finally:
        router.configure(router.config)
        assert run_ctl(router, "reload").returncode == 0
    assert run_ctl(router).stdout.endswith("\nno warnings\n")


@pytest.mark.parametrize("verb", ["status", "mappings", "tunnels", "drops", "help"])
def test_every_list_in_every_form(lab, router, flows, verb):
    """The same rows, whatever the form."""
    rows = document(router, verb)
    lines = [json.loads(line) for line in run_ctl(router, "-J", verb).stdout.splitlines()]
    assert lines[0] == {"schema": f"culvert.{verb}/1"} and len(lines) == len(rows) + 1
    assert [list(row) for row in lines[1:]] == [list(row) for row in rows]
    names, count = None, 0
    for line in run_ctl(router, "-o", "tsv", verb).stdout.splitlines():
        if line.startswith("#"):
            names = line[1:].split("\t")
            continue
        assert names == list(rows[count]) and len(line.split("\t")) == len(names)
        count += 1
    assert count == len(rows)
    table = run_ctl(router, verb)
    assert table.returncode == 0 and table.stdout and is_plain(table.stdout)


def test_columns_are_aligned(lab, router, flows):
    lines = run_ctl(router, "mappings", "proto=udp").stdout.splitlines()
    assert lines[0].split() == [
        "INDEX", "PROTO", "INSIDE", "OUTSIDE", "REMOTE", "STATE", "OUT", "IN", "AGE", "IDLE", "EXPIRES",
    ]
    assert len(lines) == len(document(router, "mappings", "proto=udp")) + 1
    for line in lines[1:]:
        assert line.index("198.51.100.2:") == lines[0].index("OUTSIDE")
    assert run_ctl(router, "mappings", "host=10.77.0.99").stdout == "nothing to list\n"


def on_terminal(router, *words, **environment):
    """What culvertctl writes to a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [find_ctl(router), "--socket", str(socket_of(router)), *words],
        stdout=slave, stdin=subprocess.DEVNULL, env={**os.environ, **environment},
    ) as child:
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                text += data
        os.close(master)
        assert child.wait(LIMIT) == 0
    return text


def test_only_a_terminal_gets_colours(lab, router):
    def is_coloured(*words, **environment):
        return b"\x1b[" in on_terminal(router, *words, **environment)

    assert is_coloured()
    assert is_coloured(NO_COLOR="")
    assert not is_coloured(NO_COLOR="1")
    assert not is_coloured("--color", "never")
    assert not is_coloured("-j")
    assert "\x1b[" not in run_ctl(router).stdout
    assert "\x1b[" in run_ctl(router, "--color", "always").stdout


def test_a_narrow_terminal_is_spared_columns(lab, router, flows):
    def lines_on(columns):
        return on_terminal(router, "mappings", COLUMNS=columns, NO_COLOR="1").decode().splitlines()

    assert "EXPIRES" in lines_on("200")[0]
    *lines, note = lines_on("80")
    assert "EXPIRES" not in lines[0] and "OUTSIDE" in lines[0] and max(map(len, lines)) <= 80
    assert note.startswith("no room for: ") and note.endswith("EXPIRES (| less -S shows them)")
    wide = run_ctl(router, "mappings", env={**os.environ, "COLUMNS": "40"}).stdout
    assert "EXPIRES" in wide.splitlines()[0]  # what is no terminal has no width


def test_a_word_alone_is_understood(lab, router, flows):
    def indices(*words):
        return [row["index"] for row in document(router, "mappings", *words)]

    host = lab.address("L1")
    everything = document(router, "mappings")
    assert indices(host) == indices(f"host={host}") != []
    remote = everything[0]["external-dst-address"]
    assert indices(remote) == [row["index"] for row in everything if row["external-dst-address"] == remote]
    assert indices("UDP") == indices("proto=udp") != []
    index = everything[0]["index"]
    block = run_ctl(router, "mappings", str(index)).stdout
    assert block.startswith(f"mapping: {index}\nprotocol: udp\ninside: {everything[0]['internal-src-address']}:"), block
    assert run_ctl(router, "drops", "filtered").stdout == run_ctl(router, "drops", "--explain", "filtered").stdout
    assert document(router, "tunnels", "PPTP") == document(router, "tunnels", host) == []


def test_drops_are_explained(lab, router):
    done = run_ctl(router, "drops", "--explain", "filtered")
    assert done.returncode == 0 and "[nat] filtering = endpoint-independent" in done.stdout
    # and then the last packets it is about
    stranger = lab.udp("W1")
    with router.dropping(wan={"unsolicited": 7}):
        for number in range(7):
            stranger.sendto(b"x", (ROUTER_WAN, 7000 + number))
    explanation, *packets = document(router, "drops", "--explain", "unsolicited")
    assert explanation["kind"] == "explanation"
    assert [row["dst-port"] for row in packets] == [7006, 7005, 7004, 7003, 7002]
    assert {row["reason"] for row in packets} == {"unsolicited"}
    for words in (["--explain=filtered", "drops"], ["dr", "explain=filtered"]):
        assert run_ctl(router, *words).stdout == done.stdout


def test_keys_are_options(lab, router, flows):
    host = lab.address("L1")
    ports = [row["internal-src-port"] for row in document(router, "mappings", f"host={host}")]
    assert ports
    for words in (["mappings", "--host", host], [f"--host={host}", "mappings"]):
        assert [row["internal-src-port"] for row in document(router, *words)] == ports
    done = run_ctl(router, "explain", "--spi", "0xc0ffee01", "out", "esp", host, lab.address("W1"))
    assert done.returncode == 0 and "verdict" in done.stdout, done


def test_again_every_second(lab, router):
    with subprocess.Popen(
        [find_ctl(router), "--socket", str(socket_of(router)), "-j", "--watch", "tunnels"], stdout=subprocess.PIPE
    ) as child:
        begin = time.monotonic()
        for _ in range(3):
            assert json.loads(child.stdout.readline())["code"] == 0
        assert 1.8 < time.monotonic() - begin < LIMIT
        child.terminate()


def test_each_error_of_a_file_is_said_once(lab, router):
    """On the standard error; programs have them in the document, and the first one behind it as before."""
    path = router.config_file
    errors = [f"{path}:2: unknown key x in section [nat]", f"{path}:3: unknown key y in section [nat]"]
    path.write_text("[nat]\nx = 1\ny = 2\n")
    try:
        for verb, end in (("reload", "reload: the configuration has errors; nothing has changed"),
                          ("rehearse", f"{path}: 3 errors")):
            done = run_ctl(router, verb)
            said = done.stderr.splitlines()
            assert done.returncode == 2 and done.stdout == "" and len(said) == len(set(said)), done
            assert [line.split(";")[0] for line in said[:2]] == [f"culvertctl: {error}" for error in errors], said
            assert said[-1] == f"culvertctl: {end}", said
            done = run_ctl(router, "-j", verb)
            answer = json.loads(done.stdout)
            assert answer["rows"][0]["text"] == answer["error"] and done.stderr == f"culvertctl: {answer['error']}\n"
        path.unlink()
        assert run_ctl(router, "reload").stderr.count("cannot be opened") == 1
    finally:
        router.configure(router.config)
        assert run_ctl(router, "reload").returncode == 0


# The leaves of the list mapping-entry in the module ietf-nat of RFC 8512, section 3, but for those of the inside's
# destination.
RFC_8512 = {
    "index", "type", "transport-protocol", "internal-src-address", "internal-src-port", "external-src-address",
    "external-src-port", "external-dst-address", "external-dst-port", "lifetime"}
OWN = {"protocol-name", "state", "hairpin", "age", "idle", "packets-out", "bytes-out", "packets-in", "bytes-in"}


def test_members_are_those_of_rfc_8512(lab, router, flows):
    """Names and meanings, and what the manual says of the difference."""
    lab.L1.ping(lab.address("W1"), 1)
    rows = document(router, "mappings")
    assert {row["transport-protocol"] for row in rows} >= {1, 17}, rows
    for row in rows:
        assert set(row) == {"kind"} | RFC_8512 | OWN
        assert row["type"] in {"static", "dynamic-implicit", "dynamic-explicit"}
        assert 0 < row["lifetime"] < 1 << 32 and 0 <= row["index"] < 1 << 32
        assert 0 < row["internal-src-port"] < 1 << 16 and 0 < row["external-src-port"] < 1 << 16
        assert str(ipaddress.IPv4Address(row["internal-src-address"])) == row["internal-src-address"]
    manual = MANUAL.read_text().split("RFC 8512, if it has one:")[1].split(".Sh ")[0]
    words = set(re.findall(r"[a-z]+(?:-[a-z]+)*", manual))
    assert RFC_8512 | {"internal-dst-address", "internal-dst-port"} <= words
    assert {name for name in OWN if not name.startswith(("packets-", "bytes-"))} <= words


def test_metrics_without_a_listener(lab, router, flows):
    """The page as it is, and the same samples as rows."""
    page = run_ctl(router, "metrics")
    assert page.returncode == 0 and not page.stderr and is_plain(page.stdout)
    lines = page.stdout.splitlines()
    assert lines[:2] == [
        "# HELP culvert_build_info Always 1; the version that runs.", "# TYPE culvert_build_info gauge"]
    assert lines[2] == f'culvert_build_info{{version="{VERSION}"}} 1'
    for form in (r"culvert_flows [1-9]\d*", r"process_resident_memory_bytes [1-9]\d{6,}", r"process_open_fds \d\d",
                 r"process_max_fds \d{3,}", r'culvert_sent_bytes_total{side="wan"} [1-9]\d*'):
        assert any(re.fullmatch(form, line) for line in lines), form
    rows = document(router, "metrics")
    assert [row["name"] for row in rows] == [
        re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")]
    assert {row["type"] for row in rows} == {"gauge", "counter"} and all(row["help"] for row in rows)
    assert {row["labels"] for row in rows if row["name"] == "culvert_link_up"} == {'side="lan"', 'side="wan"'}
    assert run_ctl(router, "-o", "tsv", "metrics").stdout.startswith("#kind\tname\tlabels\tvalue\ttype\thelp\nsample\t")
    assert run_ctl(router, "metrics", "x").returncode == 1


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["x"], 1, "x is not a verb: status, "),
        (["tunels"], 1, "tunels is not a verb; did you mean tunnels?\n"),
        (["show", "tunels"], 1, "tunels is not a verb; did you mean tunnels?\n"),
        ([""], 1, "is not a verb"),
        (["\x1b[31m"], 1, r"\x1b[31m is not a verb"),
        (["mapp", "--host", "300.1.1.1"], 1, "--host: not an IPv4 address: 300.1.1.1"),
        (["mapp", "--limit", "x"], 1, "--limit takes a number of rows from 1 on, not x"),
        (["mapp", "--sort", "age", "--limit", "9999"], 1, "with --sort, --limit is at most 1000"),
        (["-q", "mappings"], 1, "--quiet goes with status"),
        (["mapp", "host=300.1.1.1"], 1, "host=: not an IPv4 address: 300.1.1.1"),
        (["mapp", "host=10.0.0.1 port=7"], 1, "printable ASCII"),
        (["mapp", ""], 1, "empty"),
        (["mapp", "x" * 2000], 1, "too long"),
        (["mapp", "x" * 1000], 1, "cannot understand"),
        (["mapp"] + ["port=1"] * 30, 1, "that many arguments"),
        (["--nonsense"], 1, "status has no option --nonsense; "),
        (["mappings", "--hots", "10.0.0.1"], 1, "mappings has no option --hots (did you mean --host?)"),
        (["mappings", "proto=tpc"], 1, "proto= takes tcp, udp, icmp, gre, esp, ah, l2tp or a number to 255, not tpc"),
        (["mappings", "300.1.1.1"], 1, "not an IPv4 address: 300.1.1.1"),
        (["mappings", "99999"], 7, "there is no mapping 99999"),
        (["tunnels", "300.1.1.1"], 1, "not an IPv4 address: 300.1.1.1"),
        (["tunnels", "pptp-4000"], 7, "there is no tunnel pptp-4000"),
        (["tunnels", "everything"], 1, "give a tunnel like pptp-17, an address, pptp, l2tp or ipsec, or a state"),
        (["tunnels", "state=up"], 1, "state= takes requested, negotiating, "),
        (["drops", "filterd"], 7, "did you mean filtered?"),
        (["-o", "xml"], 1, "table, json, lines or tsv"),
        (["--color", "blue"], 1, "always, never or auto"),
        (["-o"], 1, "missing after -o"),
        (["--watch", "forget", "10.0.0.1"], 1, "--watch goes with"),
        (["forget", "10.77.0.99"], 7, "no inside host 10.77.0.99"),
        (["drops", "--explain", "filterd"], 7, "did you mean filtered?"),
    ],
)
def test_mistakes(lab, router, words, code, said):
    done = run_ctl(router, *words)
    assert done.returncode == code and said in done.stderr and not done.stdout, done
    assert is_plain(done.stderr)
    if code == 7:
        parsed = json.loads(run_ctl(router, "-j", *words).stdout)
        assert parsed["schema"] == f"culvert.{words[0]}/1"
        assert parsed["rows"] == [] and parsed["code"] == code and said in parsed["error"]


def test_help_and_version_need_no_daemon(lab, router, tmp_path):
    nowhere = tmp_path / "nothing"
    for words in (["--help"], ["-h"], ["help"]):
        done = run_ctl(router, *words, path=nowhere)
        assert done.returncode == 0 and "usage: culvertctl" in done.stdout
        assert re.search(r"\n  mappings +every flow ", done.stdout) and max(map(len, done.stdout.splitlines())) < 80
    for words in (["help", "map"], ["map", "--help"]):
        begin = "  mappings [ADDRESS|TUNNEL|MAPPING|PROTOCOL] [host=ADDRESS]"
        assert run_ctl(router, *words, path=nowhere).stdout.startswith(begin)
    assert run_ctl(router, "help", "nothing", path=nowhere).returncode == 7
    for words in (["--version"], ["-V"], ["version"]):
        assert run_ctl(router, *words, path=nowhere).stdout == f"culvertctl {VERSION}\n"


def test_other_programs_words_for_it(lab, router, flows):
    assert run_ctl(router, "show").stdout.startswith("culvertd ")
    for words in (["show", "map"], ["--host", lab.address("L1"), "list", "mappings"]):
        assert run_ctl(router, *words).stdout.startswith("INDEX"), words


def test_a_health_probe_says_nothing_but_a_code(lab, router, tmp_path):
    """As keepalived and HEALTHCHECK want it: 0 if packets are forwarded, else another one and a sentence."""
    for words in (["status", "--quiet"], ["-q"], ["-jq"]):
        done = run_ctl(router, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
    assert run_ctl(router, "-q", path=tmp_path / "nothing").returncode == 6
    lab.X.ip("link set to_r down")
    try:
        wait_for(lambda: run_ctl(router, "-q").returncode == 4, "the probe sees that the WAN is down")
        done = run_ctl(router, "status", "-q")
        assert not done.stdout and "culvertctl: the WAN device wan0 is down or has no carrier\n" == done.stderr, done
    finally:
        lab.X.ip("link set to_r up")
    wait_for(lambda: run_ctl(router, "-q").returncode == 0, "the probe sees that the WAN is up")
    lab.introduce_raw_peers()
    lab.R.ip("route del default")
    try:
        wait_for(lambda: run_ctl(router, "-q").returncode == 4, "the probe sees that there is no default route")
        assert "no default route" in run_ctl(router, "-q").stderr
    finally:
        lab.R.ip(f"route replace default via {UPSTREAM}")
    wait_for(lambda: run_ctl(router, "-q").returncode == 0, "the probe sees the default route")


# --- what can go wrong -----------------------------------------------------------------------------------------------


def test_exit_codes_of_connections(lab, router, tmp_path):
    done = run_ctl(router, path=tmp_path / "nothing")
    assert done.returncode == 6 and "culvertd is not running" in done.stderr
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    assert run_ctl(router, path=tmp_path / "dead").returncode == 6
    assert run_ctl(router, path="/" + "x" * 200).returncode == 1
    done = run_ctl(router, user=12345, group=12345)
    assert done.returncode == 3 and "root" in done.stderr
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(
            [find_ctl(router), "--socket", str(socket_of(router))], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 5 and b"standard output" in done.stderr


@contextlib.contextmanager
def impostor(path, *pieces, keep=False):
    """Answers one connection with these bytes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def serve():
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    peer.recv(2000)
                    for piece in pieces:
                        peer.sendall(piece)
                        time.sleep(0.01)
                    if keep:
                        select.select([peer], [], [], 40)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join(60)


SCHEMA = b'{"schema":"culvert.mappings/1"}\n'
END = b'{"code":0}\n'


@pytest.mark.parametrize(
    "pieces, code, said",
    [
        ([], 6, "ended before its answer was complete"),
        ([SCHEMA], 6, "ended before"),
        ([SCHEMA, b'{"kind":"mapping"'], 6, "ended before"),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], 4, "cannot understand"),
        ([b'{"kind":"x","a":"\x1b[31m"}\n'], 4, "cannot understand"),
        ([b'{"kind":"x","a":{}}\n'], 4, "cannot understand"),
        ([b"x" * 100000], 4, "too long"),
        ([b"{" + b'"a":"' + b"x" * 30000 + b'"}\n'], 4, "too long"),
        ([b'{"code":7,"error":"\\u001b[31mred"}\n'], 7, r"\x1b[31mred"),
        ([SCHEMA, b'{"kind":"mapping","protocol-name":"\\u001b]0;x\\u0007"}\n', END], 0, r"\x1b]0;x\x07"),
        ([SCHEMA, b'{"kind":"\\u001bnew","a\\u0009":"\\u009b\\u0000"}\n', END], 4, "cannot understand"),
        ([SCHEMA, b'{"kind":"\\u001bnew","a\\u0009":"\\u009b"}\n', END], 0, r"\x9b"),
        ([SCHEMA, b'{"no kind":1}\n', b"{}\n", END], 0, ""),
        *(
            ([SCHEMA, b'{"code":' + code + b',"error":"why"}\n'], 4, "no exit code")
            for code in (b"9", b"256", b"4294967296", b"99999999999999999999", b"-1", b"1e0", b'"0"', b"null", b"true")
        ),
        ([SCHEMA, b'{"code":3}\n'], 4, "without a reason"),
    ],
)
def test_hostile_answers(lab, router, tmp_path, pieces, code, said):
    path = tmp_path / "impostor"
    for form in ("table", "tsv", "json", "lines"):
        with impostor(path, *pieces):
            done = run_ctl(router, "-o", form, "mappings", path=path)
        path.unlink()
        assert done.returncode == code, (form, done)
        text = done.stdout + done.stderr
        assert is_plain(text.replace("\t", "")), text
        if form in ("table", "tsv") or code:
            assert said in text, (form, text)
        if form == "json":
            assert json.loads(done.stdout)["code"] == code
        if form == "tsv":
            assert not re.search("[^\x20-\x7e\t\n]", done.stdout)


def test_who_never_answers(lab, router, tmp_path):
    path = tmp_path / "impostor"
    begin = time.monotonic()
    with impostor(path, SCHEMA, keep=True):
        done = run_ctl(router, "mappings", path=path)
        assert done.returncode == 8 and "does not answer" in done.stderr
        assert 9 < time.monotonic() - begin < 9 + LIMIT


def test_who_was_stopped_goes_on(lab, router, tmp_path):
    """Ctrl-Z in the middle of an answer, and fg."""

    def is_in(state):
        return pathlib.Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").split()[2] == state

    path = tmp_path / "impostor"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        command = [find_ctl(router), "--socket", str(path), "mappings"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            peer, _ = listener.accept()
            with peer:
                peer.recv(2000)
                peer.sendall(SCHEMA)
                for number, state in ((0, "S"), (signal.SIGSTOP, "T"), (signal.SIGCONT, "S")):
                    child.send_signal(number)
                    wait_for(lambda state=state: is_in(state), f"culvertctl is in state {state}")
                peer.sendall(END)
                said = child.communicate(timeout=LIMIT)[0]
    assert child.returncode == 0, said


@pytest.mark.parametrize("kind", ["daemon", "interface", "address", "traffic", "service", "warning", "new"])
def test_the_screen_shows_no_control_characters(lab, router, tmp_path, kind):
    members = ("version", "side", "name", "state", "address", "service", "mode", "text", "process", "mtu")
    row = {"kind": kind, **{name: "\x1b[2J\x9b\a" for name in members}}
    path = tmp_path / "impostor"
    with impostor(path, SCHEMA, json.dumps(row).encode().replace(b": ", b":").replace(b", ", b",") + b"\n", END):
        done = run_ctl(router, path=path, encoding="latin-1")
    assert done.returncode == 0 and is_plain(done.stdout + done.stderr), done


LOOKING = b'{"kind":"looking","packets":9,"packets-per-second":9,"snap-bytes":64}\n'
SEEN = b'{"kind":"seen","side":"lan","event":"came","time":1,"bytes":20,"data":"45","comment":"\\u001b[2J\\u0007"}\n'


def test_comments_of_a_file_show_no_control_characters(lab, router, tmp_path):
    path, file = tmp_path / "impostor", tmp_path / "file"
    with impostor(path, SCHEMA, LOOKING, SEEN, END):
        done = run_ctl(router, "capture", "-w", str(file), path=path)
    assert done.returncode == 0, done
    data = file.read_bytes()
    assert rb"\x1b[2J\x07" in data and b"\x1b" not in data


@pytest.mark.parametrize("words", [["mappings"], ["trace"], ["watch"], ["capture", "-w", "-"]], ids=" ".join)
def test_answers_do_not_go_back_as_requests(lab, router, tmp_path, words):
    """Without a standard output the socket must not take its place."""
    path, heard = tmp_path / "impostor", []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        command = [find_ctl(router), "--socket", str(path), *words]
        with subprocess.Popen(["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE) as started:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(LIMIT)
                assert peer.recv(2000).startswith(words[0].encode())
                with contextlib.suppress(BrokenPipeError):
                    peer.sendall(SCHEMA + LOOKING + SEEN + END)
                with contextlib.suppress(ConnectionResetError):
                    while data := peer.recv(2000):
                        heard.append(data)
            said = started.communicate(timeout=LIMIT)[1]
    assert not heard and started.returncode == 5 and b"standard output" in said, (heard, started.returncode, said)


@pytest.mark.parametrize("words", [["mappings"], ["trace"], ["-j", "mappings"], ["-J", "mappings"]], ids=" ".join)
def test_a_full_disk_ends_an_endless_answer(lab, router, tmp_path, words):
    path = tmp_path / "impostor"
    with impostor(path, SCHEMA, *[LOOKING * 1000] * 10, keep=True), open("/dev/full", "wb") as full:
        begin = time.monotonic()
        done = subprocess.run([find_ctl(router), "--socket", str(path), *words], stdout=full, stderr=subprocess.PIPE,
                              timeout=60, check=False)
    assert done.returncode == 5 and done.stderr.count(b"standard output") == 1, done
    assert time.monotonic() - begin < 9  # it did not wait until it gives up the daemon


def test_completion_asks_the_router(lab, router):
    """Names of what is there now, by the files that are installed."""
    lab.echo_once(lab.udp("L1"), lab.udp("W1"))
    (row,) = [row for row in ask(router, f"mappings host={lab.address('L1')}") if row["protocol-name"] == "udp"][:1]
    files = pathlib.Path(__file__).resolve().parent.parent.parent / "etc" / "completion"
    script = ('compopt() { :; }; . "$0"; COMP_LINE="culvertctl $2"; COMP_POINT=${#COMP_LINE}; _culvertctl "$1"; '
              'printf "%s\\n" "${COMPREPLY[@]}"')

    def complete(*words):
        command = ["bash", "-c", script, str(files / "culvertctl"), find_ctl(router), " ".join(words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and not done.stderr, done
        return done.stdout.split()

    at = ["--socket", str(socket_of(router))]
    assert lab.address("L1") in complete(*at, "forget", "")
    assert str(row["index"]) in complete(*at, "forget", str(row["index"])[:1])
    assert lab.address("L1") in complete(*at, "mappings", "host=10.")
    assert complete("--socket", "/nowhere", "forget", "") == []
