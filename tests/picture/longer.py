#!/usr/bin/env python3
"""Makes a long plan of a short one: `longer.py PLAN TIMES > OUT` lets everything in it happen so many
times, one after the other. `synod-sim replay SEED --save PLAN` writes a plan."""

import json
import re
import sys

NANOS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000}


def nanos(text: str) -> int:
    return sum(int(n) * NANOS[unit] for n, unit in re.findall(r"(\d+)([a-z]+)", text))


def main() -> None:
    path, times = sys.argv[1], int(sys.argv[2])
    entries = [json.loads(line) for line in open(path, encoding="utf-8")]
    until = next(nanos(entry["settings"]["until"]) for entry in entries if "settings" in entry)
    tag = 0
    for turn in range(times):
        for entry in entries:
            entry = json.loads(json.dumps(entry))
            if "fault" in entry:
                entry["fault"]["at"] = f"{nanos(entry['fault']['at']) + turn * until}ns"
            elif "request" in entry:
                tag += 1
                propose = entry["request"]["ask"].get("propose")
                if propose:
                    propose[0]["tag"] = tag  # no two commands are the same
            elif turn > 0:
                continue
            elif "settings" in entry:
                entry["settings"]["until"] = f"{until * times}ns"
            print(json.dumps(entry))


main()
