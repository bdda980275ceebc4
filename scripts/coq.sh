#!/usr/bin/env bash
# Checks the machine-checked theorems of proofs/coq: every lemma again, and that no headline theorem rests on
# an axiom. About three seconds. Needs Coq 8.16: apt-get install --no-install-recommends coq libcoq-stdlib
#
#   scripts/coq.sh            build into target/coq and list what each headline theorem assumes
#   scripts/coq.sh --coqchk   besides, let the independent checker go over the compiled files (half a minute)
set -euo pipefail
cd "$(dirname "$0")/.."
out="${CARGO_TARGET_DIR:-$PWD/target}/coq"
rm -rf "$out" && mkdir -p "$out"
cp proofs/coq/*.v proofs/coq/_CoqProject "$out"
cd "$out"
coq_makefile -f _CoqProject -o Makefile >/dev/null
make --quiet -j1

# The floating-point counterexamples of Aggregate.v use Coq's built-in binary64, which it lists as axioms.
cat >Assumptions.v <<'COQ'
From Proofs Require Import ExactlyOnce Lookback Rebuild Aggregate Merge.
Print Assumptions safety.
Print Assumptions completion.
Print Assumptions progress.
Print Assumptions lost.
Print Assumptions replay_exact.
Print Assumptions span_seq.
Print Assumptions span_join.
Print Assumptions retention.
Print Assumptions names_rebuilt.
Print Assumptions number_lost.
Print Assumptions panes.
COQ
assumptions=$(coqc -R . Proofs Assumptions.v)
if grep -qv 'Closed under the global context' <<<"$assumptions"; then
    echo "a headline theorem rests on an axiom:" >&2
    echo "$assumptions" >&2
    exit 1
fi
echo "$(cat ./*.v | grep -cE '^ *(Theorem|Lemma|Corollary|Example) ') statements proved, $(grep -c Closed <<<"$assumptions") headline theorems without axioms"
if [ "${1:-}" = --coqchk ]; then
    coqchk -silent -R . Proofs Proofs.ExactlyOnce Proofs.Lookback Proofs.Rebuild Proofs.Merge
fi
