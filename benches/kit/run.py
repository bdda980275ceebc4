"""Alternated runs of the peers on every workload: medians and ratios to the limit.

   KIT_DATA=<folder of gen> KIT_BIN=<cargo target folder>/release python3 run.py [--rounds 3]
       [--peers limit,timely,rewindow] [--cap 2000000] [w1 w3 …]

Each run is a fresh process; the order of the peers is reversed from round to round. A slow peer gets the first
events of the same data (CAPS), never other events. Writes results.json beside itself; check.py compares every
checksum with the limit's on the same events, render.py prints the tables. Python peers run under KIT_PY."""
import argparse, collections, json, os, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA, BIN = os.path.abspath(os.environ["KIT_DATA"]), os.path.abspath(os.environ["KIT_BIN"])
PY = os.environ.get("KIT_PY", sys.executable)
M = 1_000_000
BATCH = {"duckdb": None, "polars": None, "datafusion": None}
FAST = {"limit": None, "rewindow": None, "timely": None, **BATCH}
# workload, data set -> peer: cap on the number of events (None: all). A peer that is not listed cannot answer.
CAPS = {
    ("w1", "k1k"): {**FAST, "w1h": None},
    ("w1", "k1m"): {**FAST, "w1h": None},
    ("w2", "k1k"): {**FAST, "rewindow": 4 * M},
    ("w2", "k100k"): {"limit": None, "rewindow": 1 * M, "timely": None, "duckdb": 1 * M, "polars": 1 * M, "datafusion": 1 * M},
    ("w3", "w1e2"): {**FAST, "w3m": None},
    ("w3", "w1e4"): {**FAST, "w3m": None, "duckdb": 1 * M},
    ("w3", "w1e6"): {"limit": None, "rewindow": None, "w3m": None, "timely": None, "polars": None, "datafusion": None},
    ("w3", "k1k"): {**FAST, "duckdb": 2 * M, "datafusion": 2 * M},
    ("w3", "k1m"): {**FAST, "timely": 5 * M, "duckdb": 2 * M, "polars": 3 * M, "datafusion": 2 * M},
    ("w3s", "w1e2"): {"limit": None, "rewindow": None},
    ("w3s", "w1e4"): {"limit": None, "rewindow": None},
    ("w3s", "w1e6"): {"limit": None, "rewindow": None},
    ("w3s", "k1k"): {"limit": None, "rewindow": None},
    ("w3s", "k1m"): {"limit": None, "rewindow": None},
    ("w4", "j500k"): FAST,
    ("w4", "j50k"): FAST,
    ("w5", "k1k"): {"limit": None, "rewindow": None, "timely": None, "duckdb": 4 * M, "polars": 4 * M, "datafusion": 2 * M},
    ("w5", "k1m"): {"limit": None, "rewindow": None, "timely": None, "duckdb": 4 * M, "polars": 4 * M, "datafusion": 2 * M},
    ("w6a", "k1k_ooo"): {"limit": None, "rewindow": None, "timely": None, **BATCH},
    ("w6a", "k1m_ooo"): {"limit": None, "rewindow": None, "timely": None, "duckdb": None, "polars": None},
    ("w6b", "k1k_ooo"): {"limit": None, "rewindow": None, "timely": None},
    ("w7", "k100k"): {"limit": None, "rewindow": None, "timely": None},
    ("w7", "k1m"): {"limit": None, "rewindow": None, "timely": None},
}


def run_one(peer, workload, data, events):
    """One process; its JSON line as a dict, or {"error": …}."""
    if peer in ("limit", "w1h", "w3m"):
        command = [BIN + "/limit", workload if peer == "limit" else peer]
    elif peer in ("timely", "rewindow"):
        command = [f"{BIN}/peer_{peer}", workload]
    else:
        command = [PY, f"{HERE}/peer_{peer}.py", workload]
    command += [data, DATA] + ([str(events)] if events else [])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=HERE)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else {"error": (done.stderr.strip().splitlines() or ["no output"])[-1][:120]}
    except subprocess.TimeoutExpired:
        return {"error": "more than 120 s"}
    except FileNotFoundError as missing:
        return {"error": f"not built: {missing.filename}"}


def smaller(cap, limit):
    return limit if cap is None else cap if limit is None else min(cap, limit)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="limit,w1h,w3m,timely,rewindow")
    parser.add_argument("--cap", type=int, help="no peer gets more events than this (a join: on each side)")
    parser.add_argument("workloads", nargs="*")
    asked = parser.parse_args()
    peers_asked = asked.peers.split(",")
    results, dead = collections.defaultdict(list), {}
    for round_ in range(asked.rounds):
        for (workload, data), caps in CAPS.items():
            if asked.workloads and workload not in asked.workloads:
                continue
            order = [peer for peer in caps if peer in peers_asked]
            for peer in order if round_ % 2 == 0 else order[::-1]:
                if (workload, data, peer) in dead:
                    continue
                result = run_one(peer, workload, data, smaller(caps[peer], asked.cap))
                if "error" in result:
                    dead[workload, data, peer] = result["error"]
                    results.pop((workload, data, peer), None)
                else:
                    results[workload, data, peer].append(result)
    out = []
    for (workload, data, peer), runs in results.items():
        rates = [run["eps"] for run in runs]
        out.append(dict(wl=workload, ds=data, peer=peer, runs=len(runs), n=runs[0]["n"], eps=statistics.median(rates),
                        lo=min(rates), hi=max(rates), rows=runs[-1]["rows"], chk=runs[-1]["chk"],
                        state_mb=round(statistics.median(run["rss_mb"] - run["rss_in_mb"] for run in runs), 1)))
    failed = [[*key, reason] for key, reason in dead.items()]
    with open(HERE + "/results.json", "w") as file:
        json.dump(dict(rounds=asked.rounds, results=out, failed=failed), file, indent=0)
    limits = {(o["wl"], o["ds"]): o["eps"] for o in out if o["peer"] == "limit"}
    for o in out:
        ratio = o["eps"] / limits.get((o["wl"], o["ds"]), float("nan"))
        print(f"{o['wl']:5}{o['ds']:9}{o['peer']:11}{o['eps'] / 1e6:10.3f} M/s  {ratio:8.4f} of the limit  n={o['n']} rows={o['rows']}")
    for entry in failed:
        print(*entry)


main()
