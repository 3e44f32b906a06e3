#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Another reader of JSON understands the rows that test_json prints, for each byte a string can hold."""
import json
import os
import subprocess

program = os.path.join(os.environ["top_builddir"], "tests/unit/test_json")
output = subprocess.run([program, "--all-bytes"], stdout=subprocess.PIPE, check=True, timeout=20).stdout
lines = output.decode("ascii").splitlines()
assert len(lines) == 255, len(lines)
for number, line in enumerate(lines, 1):
    row = json.loads(line)
    text = f"<{chr(number)}>"
    assert row["byte"] == number and row["text"] == text, line
    assert row.get("cut", False) != ("after" in row), line
    assert all(32 <= ord(letter) < 127 for letter in line), line
print("1..1\nok 1 - 255 rows")
