#!/bin/sh
# Shows that the fuzz targets can see: each has a variant with a planted bug, which must be found within SECONDS (default 120).
# Usage: fuzz/planted.sh [SECONDS [NAME...]]
# shellcheck disable=SC2046,SC2086,SC2012  # lists of names without spaces are split on purpose
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-120}
[ $# -eq 0 ] || shift
build=${FUZZ_BUILD:-build/fuzz}
[ -f "$build/build.ninja" ] || CXX=clang++ cmake --preset fuzz -B "$build" >/dev/null
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.cpp | sed 's|fuzz/fuzz_\(.*\)\.cpp|\1|')
targets=
for name in "$@"; do targets="$targets fuzz_${name}_planted"; done
ninja -C "$build" $targets >"$build/fuzz-build.log" 2>&1 || { tail -40 "$build/fuzz-build.log"; exit 1; }
status=0
for name in "$@"; do
    work=$(mktemp -d)
    dict=
    [ ! -f "fuzz/corpus/$name.dict" ] || dict="-dict=fuzz/corpus/$name.dict"
    # The seeds themselves must not hold the bug, or nothing would be shown.
    if ! "$build/fuzz/fuzz_${name}_planted" -runs=0 "fuzz/corpus/$name" >"$work.log" 2>&1; then
        echo "$name: a seed holds the planted bug already"
        status=1
    elif "$build/fuzz/fuzz_${name}_planted" "$work" "fuzz/corpus/$name" $dict -max_total_time="$seconds" -timeout=20 \
        -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 -artifact_prefix="$work/" >"$work.log" 2>&1; then
        echo "$name: the planted bug was NOT found in $seconds seconds"
        status=1
    else
        echo "$name: planted bug found after $(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log") executions"
    fi
    rm -rf "$work" "$work.log"
done
exit $status
