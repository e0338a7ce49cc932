#!/usr/bin/env bash
# manpage.sh PROGRAM VERSION DATE: freehold(1) on standard output, made from the program's own help, so that it is as true.
set -euo pipefail
program=$1 version=$2 date=$3

# Backslashes, hyphens and lines that troff would obey.
quoted() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/" -e 's/[[:space:]]*$//'; }

printf '.\\" Made from freehold --help; change the help, not this page.\n'
printf '.TH FREEHOLD 1 "%s" "Freehold %s" "User Commands"\n' "$date" "$version"
printf '.SH NAME\nfreehold \\- use, study, modify and share open models on your own hardware\n'
printf '.SH SYNOPSIS\n.B freehold\n.I VERB\n.RI [ OPTION ...]\n'
printf '.SH DESCRIPTION\nRuns open\\-weight models on an ordinary machine: answers on the terminal, serves programs and people over HTTP, and\n'
printf 'keeps the record of who asked what. The service reads /etc/freehold/config.yaml.\n'
printf '.SH OVERVIEW\n.nf\n'
COLUMNS=96 "$program" --help | quoted
printf '.fi\n.SH VERBS\n'
"$program" --help | sed -n 's/^  \([a-z]\{2,\}\)  .*/\1/p' | while read -r verb; do
    "$program" "$verb" --help >/dev/null 2>&1 || continue
    printf '.SS freehold %s\n.nf\n' "$verb"
    COLUMNS=96 "$program" "$verb" --help | quoted
    printf '.fi\n'
done
printf '.SH FILES\n.TP\n.I /etc/freehold/config.yaml\nSettings of the server.\n.TP\n.I /var/lib/freehold\nThe service: models, keys, audit log.\n'
printf '.TP\n.I ~/.local/share/freehold\nEverybody else, unless FREEHOLD_HOME says another place.\n'
