# SPDX-License-Identifier: BSD-2-Clause
"""Those who ask culvertd for metrics: a browser of few words, and a real Prometheus with its tools, which are unpacked
beside the machine and never installed."""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vpn"))

import software  # noqa: E402
from namespace import LIMIT  # noqa: E402

CONTRIB = HERE.parent.parent / "contrib"
SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="[^"\\]*",?)*)\})? (\S+)')


def connect(lab, listen, timeout=LIMIT):
    if listen.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(listen.removeprefix("unix:"))
        return sock
    host, port = listen.split(":")
    sock = lab.R.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect((host, int(port)))
    return sock


def read_all(sock):
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def ask(lab, listen, request=b"GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n"):
    """(status, head, body) of the one answer that a connection gives."""
    with connect(lab, listen) as sock:
        sock.sendall(request)
        answer = read_all(sock)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body.decode()


def samples(body):
    """{(name, ((label, value), ...)): value}; every line of the text is understood, and no sample is there twice."""
    found = {}
    for line in body.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        key = (match[1], tuple(re.findall(r'(\w+)="([^"]*)"', match[2] or "")))
        assert key not in found, line
        found[key] = float(match[3])
    return found


class Prometheus:
    """The real one, in the router's own namespace."""

    PORT = 19090

    def __init__(self, lab, root, folder, target):
        self.lab, self.folder = lab, folder
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [str(CONTRIB / "prometheus" / "alerts.yml")],
            "scrape_configs": [{"job_name": "culvert", "static_configs": [{"targets": [target]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML, too
        self.log = open(folder / "prometheus.log", "wb")
        self.process = lab.R.start(
            root / "usr/bin/prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.PORT}",
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )

    def api(self, path):
        request = f"GET /api/v1/{path} HTTP/1.0\r\nHost: p\r\n\r\n".encode()
        status, _, body = ask(self.lab, f"127.0.0.1:{self.PORT}", request)
        answer = json.loads(body)
        assert status == 200 and answer["status"] == "success", body
        return answer["data"]

    def wait(self, path, enough, timeout=60):
        """Asks until the answer is enough."""
        end, answer = time.monotonic() + timeout, None
        while time.monotonic() < end:
            assert self.process.poll() is None, (self.folder / "prometheus.log").read_text()
            try:
                answer = self.api(path)
            except (OSError, ValueError, IndexError, AssertionError) as problem:
                answer = repr(problem)
            else:
                if enough(answer):
                    return answer
            time.sleep(0.2)
        raise AssertionError(f"{path}: {answer}\n{(self.folder / 'prometheus.log').read_text()[-2000:]}")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LIMIT)
        self.log.close()


def find_prometheus():
    """The folder that Prometheus is unpacked in; software.Missing if it cannot be had."""
    for name in ("prometheus", "promtool"):
        if not os.access(f"/usr/bin/{name}", os.X_OK):
            return software.prepare("prometheus")
    return pathlib.Path("/")
