#!/bin/sh
# Runs every fuzz target (or those named) for SECONDS each; prints executions and coverage; fails on a finding.
# Usage: fuzz/run.sh SECONDS [NAME...]     e.g. fuzz/run.sh 600 gguf safetensors
# Environment: FUZZ_BUILD (build folder, default build/fuzz), FUZZ_JOBS (targets at once, default 1). Findings are kept in
# fuzz/findings/NAME/.
# shellcheck disable=SC2046,SC2086,SC2012  # lists of names without spaces are split on purpose
set -eu
cd "$(dirname "$0")/.."
seconds=${1:?"usage: fuzz/run.sh SECONDS [NAME...]"}
shift
build=${FUZZ_BUILD:-build/fuzz}
if ! command -v clang++ >/dev/null 2>&1; then
    echo "fuzz/run.sh needs clang++ (apt-get install clang); with gcc the targets only replay files." >&2
    exit 2
fi
[ -f "$build/build.ninja" ] || CXX=clang++ cmake --preset fuzz -B "$build" >/dev/null
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.cpp | sed 's|fuzz/fuzz_\(.*\)\.cpp|\1|')
targets=
for name in "$@"; do targets="$targets fuzz_$name"; done
ninja -C "$build" $targets >"$build/fuzz-build.log" 2>&1 || { tail -40 "$build/fuzz-build.log"; exit 1; }

# Seeds beside fuzz/corpus/NAME: files that the tests have anyway.
seeds_of() {
    case $1 in
        gguf) echo tests/corrupt/files/gguf tests/golden/formats ;;
        safetensors) echo tests/corrupt/files/safetensors tests/golden/formats/hf_single ;;
    esac
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# run_one NAME: one target, its line in $results/NAME; a file NAME.found where there is a finding.
run_one() {
    name=$1 findings=fuzz/findings/$1 work=$results/$1.corpus log=$results/$1.log
    mkdir -p "$findings" "$work"
    dict=
    [ ! -f "fuzz/corpus/$name.dict" ] || dict="-dict=fuzz/corpus/$name.dict"
    seeds=
    for folder in "fuzz/corpus/$name" $(seeds_of "$name"); do
        [ ! -d "$folder" ] || seeds="$seeds $folder"
    done
    if "$build/fuzz/fuzz_$name" "$work" $seeds $dict -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
        -print_final_stats=1 -verbosity=1 -artifact_prefix="$findings/" >"$log" 2>&1; then
        result="no finding"
    else
        result="FINDING, see $findings"
        tail -30 "$log" >"$results/$name.found"
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o 'cov: [0-9]* ft: [0-9]* corp: [0-9]*' "$log" | tail -1)
    printf '%-12s %12s executions  %-34s %s\n' "$name" "${executions:-?}" "${coverage:-no coverage shown}" "$result" >"$results/$name"
}

status=0
while [ $# -gt 0 ]; do
    batch=
    while [ $# -gt 0 ] && [ "$(echo $batch | wc -w)" -lt "${FUZZ_JOBS:-1}" ]; do
        batch="$batch $1"
        run_one "$1" &
        shift
    done
    wait
    for name in $batch; do
        cat "$results/$name"
        [ ! -f "$results/$name.found" ] || { cat "$results/$name.found"; status=1; }
    done
done
exit $status
