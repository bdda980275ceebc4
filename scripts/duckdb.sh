#!/usr/bin/env bash
# Holds `rewindow run` against DuckDB, somebody else's engine, where a query maps onto batch SQL: tumbling and hopping
# windows, aggregates, joins in time, joins with a table, LAG; on the events of examples/ and on random ones.
#
#   scripts/duckdb.sh [ROUNDS [SEED]]      ROUNDS of random events, 20 unless said; SEED 1 unless said
#
# Needs Python 3 with venv. The package `duckdb` comes from the package index into target/duckdb-venv; where that is
# out of reach the script says SKIPPED and ends with 0. Ends with 1 at the first difference, which it prints.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
venv=$CARGO_TARGET_DIR/duckdb-venv

skip() {
    echo "==> SKIPPED: nothing was compared with DuckDB: $1"
    exit 0
}
command -v python3 >/dev/null || skip "there is no python3 here"
if ! "$venv/bin/python" -c 'import duckdb' 2>/dev/null; then
    python3 -m venv "$venv" 2>/dev/null || skip "python3 has no venv"
    timeout 120 "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 duckdb >/dev/null 2>&1 ||
        skip "pip cannot install the package duckdb"
fi
cargo build --quiet --bin rewindow
exec "$venv/bin/python" scripts/duckdb/compare.py "$CARGO_TARGET_DIR/debug/rewindow" "${1:-20}" "${2:-1}"
