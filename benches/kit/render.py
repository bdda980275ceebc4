"""results.json as Markdown on stdout: rates and ratios, state, spread."""
import json, os

RESULTS = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "results.json")))
CELL = {(r["wl"], r["ds"], r["peer"]): r for r in RESULTS["results"]}
FAILED = {(w, d, p): reason for w, d, p, reason in RESULTS["failed"]}
ORDER = ["limit", "rewindow", "timely", "duckdb", "polars", "datafusion"]
PEERS = [peer for peer in ORDER if any(r["peer"] == peer for r in RESULTS["results"])]
ROWS = list(dict.fromkeys((r["wl"], r["ds"]) for r in RESULTS["results"]))


def rate(x):
    return f"{x / 1e6:.0f}" if x >= 1e8 else f"{x / 1e6:.1f}" if x >= 1e6 else f"{x / 1e6:.2g}"


def table(cell):
    print("| | " + " | ".join(PEERS) + " |\n|-|" + "-|" * len(PEERS))
    for row in ROWS:
        print(f"| {row[0]} {row[1]} | " + " | ".join(cell(row, peer) for peer in PEERS) + " |")


def speed(row, peer):
    run = CELL.get((*row, peer))
    if run is None:
        return "failed" if (*row, peer) in FAILED else "—"
    if peer == "limit" or (*row, "limit") not in CELL:
        return rate(run["eps"])
    ratio = run["eps"] / CELL[(*row, "limit")]["eps"]
    return f"{rate(run['eps'])} (" + (f"{ratio:.2f}" if ratio >= 0.01 else f"{ratio:.1g}") + ")"


print(f"Median of {RESULTS['rounds']} alternated rounds: million events per CPU second (ratio to the limit).\n")
table(speed)
print("\nGrowth of peak RSS during the run, MB (input not counted):\n")
table(lambda row, peer: f"{CELL[(*row, peer)]['state_mb']:.0f}" if (*row, peer) in CELL else "—")
spread = [f"{peer} {max((r['hi'] - r['lo']) / r['eps'] for r in RESULTS['results'] if r['peer'] == peer):.0%}" for peer in PEERS]
print("\nSpread (lowest to highest of the rounds, relative to the median), worst per peer:", ", ".join(spread))
for key, reason in FAILED.items():
    print("-", *key, reason)
