#!/usr/bin/env bash
# Which checks are missing? Changes one piece of the code at a time and looks whether a test notices. A mutant that
# survives is a test to write, or code to remove.
#
#   scripts/mutants.sh            what differs from main (or the last commit, on main itself)
#   scripts/mutants.sh REVISION   what differs from there
#   scripts/mutants.sh --all I/N  everything, shard I of N: hours; for a weekly run
#
# Needs: cargo install --locked cargo-mutants (about four minutes). Results: target/mutants.out.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
common=(--output "$CARGO_TARGET_DIR" --minimum-test-timeout 60 --jobs 1 --test-workspace true)
if [ "${1:-}" = --all ]; then
    exec cargo mutants "${common[@]}" --workspace --shard "$2"
fi
base=${1:-main}
if [ "$(git rev-parse "$base")" = "$(git rev-parse HEAD)" ]; then base=HEAD~1; fi
diff=$(mktemp)
trap 'rm -f "$diff"' EXIT
git diff "$base"...HEAD -- '*.rs' >"$diff"
cargo mutants "${common[@]}" --in-diff "$diff"
