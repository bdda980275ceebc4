"""Compares every row count and checksum in results.json with the limit's on the same number of events.
   Exit code 1 if one differs. KIT_DATA, KIT_BIN as for run.py."""
import json, os, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA, BIN = os.path.abspath(os.environ["KIT_DATA"]), os.path.abspath(os.environ["KIT_BIN"])
known, differ, compared = {}, 0, 0
for run in json.load(open(HERE + "/results.json"))["results"]:
    if run["peer"] == "limit":
        continue
    events = run["n"] // 2 if run["wl"] == "w4" else run["n"]
    key = (run["wl"], run["ds"], events)
    if key not in known:
        done = subprocess.run([BIN + "/limit", *key[:2], DATA, str(events)], capture_output=True, text=True)
        limit = json.loads(done.stdout)
        known[key] = (limit["rows"], limit["chk"], limit["n"])
    compared += 1
    if (run["rows"], run["chk"], run["n"]) != known[key]:
        differ += 1
        print(run["wl"], run["ds"], run["peer"], "n", run["n"], "rows", run["rows"], "against", known[key][0])
print(f"{compared} results compared with the limit, {differ} differ")
sys.exit(differ > 0)
