#!/usr/bin/env bash
# Fuzzes one target for some seconds, starting from its committed corpus, new inputs kept apart.
#
#   scripts/fuzz.sh TARGET SECONDS     recovery | checkpoint_bytes | query_text | case_file
#   scripts/fuzz.sh --merge TARGET     add to fuzz/corpus/TARGET what reaches something new, smallest first
#   scripts/fuzz.sh --all SECONDS      every target in turn
#
# Needs: rustup toolchain install nightly; cargo install --locked cargo-fuzz (about a minute).
# FUZZ_TOOLCHAIN names another toolchain. No sanitizer: the project has no unsafe code.
set -euo pipefail
cd "$(dirname "$0")/.."
toolchain=${FUZZ_TOOLCHAIN:-nightly}
targets="recovery checkpoint_bytes query_text case_file"
found=fuzz/target/found

fuzz() {
    mkdir -p "$found/$1" "fuzz/corpus/$1"
    cargo "+$toolchain" fuzz run --sanitizer none "$1" "$found/$1" "fuzz/corpus/$1" -- \
        -max_total_time="$2" -max_len=4096 -timeout=10 -rss_limit_mb=4096 -print_final_stats=1
}

case "${1:-}" in
--merge)
    mkdir -p "$found/$2" "fuzz/corpus/$2"
    cargo "+$toolchain" fuzz run --sanitizer none "$2" "fuzz/corpus/$2" "$found/$2" -- -merge=1 -max_len=4096
    ;;
--all)
    for target in $targets; do fuzz "$target" "$2"; done
    ;;
recovery | checkpoint_bytes | query_text | case_file) fuzz "$1" "${2:-60}" ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
