#!/usr/bin/env bash
# llama-bench of ik_llama.cpp with the -d of llama.cpp's: "-n N -d D" becomes "-gp D,N", which it has.
# First argument: the program; the rest as for llama-bench.
set -euo pipefail
program=$1
shift
n=0 d=0 p=0 rest=()
while [ $# -gt 0 ]; do
    case $1 in
        -n) n=$2; shift ;;
        -d) d=$2; shift ;;
        -p) p=$2; shift ;;
        *) rest+=("$1") ;;
    esac
    shift
done
if [ "$d" = 0 ]; then exec "$program" "${rest[@]}" -p "$p" -n "$n"; fi
exec "$program" "${rest[@]}" -p 0 -n 0 -gp "$d,$n"
