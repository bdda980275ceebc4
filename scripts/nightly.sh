#!/usr/bin/env bash
# The same suites with larger budgets, then the tools that are too slow for every change. About two hours on two
# cores; the seed is new each night and printed by whatever fails. Same code as .ci/run: only budgets differ.
#
#   scripts/nightly.sh            everything for which the tools are here; what is missing is named
#
# Needs, each optional: nightly Rust with miri and rust-src, cargo-fuzz, cargo-mutants, cargo-llvm-cov, cargo-deny, Coq.
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
failed=()

step() {
    local name=$1
    shift
    echo "==> $name: $*"
    "$@" || failed+=("$name")
}
have() {
    command -v "$1" >/dev/null || {
        echo "==> left out, not here: $1"
        return 1
    }
}

step ci .ci/run
export REWINDOW_CASES="${REWINDOW_CASES:-200000}" REWINDOW_SEED="${REWINDOW_SEED:-random}"
export REWINDOW_DETERMINISM=all PROPTEST_CASES="${PROPTEST_CASES:-100000}"
export REWINDOW_EXHAUSTIVE="${REWINDOW_EXHAUSTIVE:-2,2}"
step suites cargo test --release --workspace
step planted cargo test --release --workspace --features plant
have cargo-fuzz && step fuzz scripts/fuzz.sh --all "${FUZZ_SECONDS:-600}"
cargo +nightly miri --version >/dev/null 2>&1 && step miri scripts/miri.sh
have cargo-llvm-cov && step coverage scripts/coverage.sh
have cargo-mutants && step mutants scripts/mutants.sh HEAD~10
have cargo-deny && step deny cargo deny check bans licenses sources
have coqc && step theorems scripts/coq.sh --coqchk

if [ ${#failed[@]} -gt 0 ]; then
    echo "==> broken: ${failed[*]}"
    exit 1
fi
echo "==> all held"
