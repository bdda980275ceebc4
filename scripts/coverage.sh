#!/usr/bin/env bash
# Which lines and regions do the tests reach? Prints a table by file and writes an HTML report.
#
#   scripts/coverage.sh           the tests
#   scripts/coverage.sh 90        besides, fails if fewer than 90 % of lines are reached
#
# Needs: rustup component add llvm-tools && cargo install --locked cargo-llvm-cov (about two minutes).
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
cargo llvm-cov --workspace --no-report
cargo llvm-cov report --html --output-dir "$CARGO_TARGET_DIR/coverage"
cargo llvm-cov report --ignore-filename-regex 'main\.rs' ${1:+--fail-under-lines "$1"}
