#!/usr/bin/env bash
# Runs a small part of the tests under Miri. The project has no unsafe code, so what this looks for is in the
# few dependencies that have some, met through the calls this project makes of them: the checkpoint codec, values,
# columns, and the pool's threads (Miri finds data races). A few minutes; Miri is some hundred times slower.
#
# Needs: rustup toolchain install nightly && rustup component add miri rust-src --toolchain nightly
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/miri"
export MIRIFLAGS="${MIRIFLAGS:--Zmiri-disable-isolation}"
cargo +nightly miri setup
cargo +nightly miri test -p rewindow-query --lib -- value:: time::
cargo +nightly miri test -p rewindow-engine --lib -- codec:: column:: exact::
# The order in which threads run is drawn from the seed.
for seed in 1 2 3; do
    MIRIFLAGS="$MIRIFLAGS -Zmiri-seed=$seed" cargo +nightly miri test -p rewindow --lib -- pool::tests::a_panicking
done
