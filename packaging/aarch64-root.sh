#!/usr/bin/env bash
# Unpacks the arm64 libraries that Freehold links into a folder (default build/aarch64-root), for the cross compiler.
# apt resolves and verifies them with lists and a state of its own: the system's packages and architectures stay as they are.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=packaging/lib.sh
. packaging/lib.sh

folder=$PWD/${1:-build/aarch64-root}
mapfile -t wanted < <(packages_of aarch64)
stamp=$folder/unpacked
if [ "$(cat "$stamp" 2>/dev/null)" = "${wanted[*]}" ]; then
    note "The arm64 libraries are in $folder."
    exit 0
fi
command -v apt-get >/dev/null || die "The arm64 libraries come from Debian, and there is no apt-get here." \
    "Install the packages of the group aarch64 in packaging/debian-packages.txt for your system, and set FREEHOLD_AARCH64_ROOT to the folder that holds their usr/."

state=$folder/apt
rm -rf "$folder"
mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
: >"$state/status"
options=(-q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Install-Recommends=false
    -o "Dir::State=$state" -o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache"
    -o Debug::NoLocking=1 -o APT::Sandbox::User=)
note "Fetching the arm64 libraries: ${wanted[*]}"
# Sources of other vendors may have nothing for arm64; what is missing shows in the next step.
apt-get "${options[@]}" update >"$state/log" 2>&1 || note "apt-get update did not succeed for every source."
apt-get "${options[@]}" install --yes --download-only "${wanted[@]}" >>"$state/log" 2>&1 || {
    tail -20 "$state/log" >&2
    die "The arm64 libraries could not be fetched." "The whole log is $state/log."
}
for package in "$state"/cache/archives/*.deb; do
    # The cross compiler brings these itself.
    case "${package##*/}" in libc6* | libstdc++* | libgcc-* | gcc-* | linux-libc-dev* | libc-dev-bin* | libc-bin*) continue ;; esac
    dpkg-deb -x "$package" "$folder"
done
rm -rf "$state/cache" "$state/lists"
printf '%s' "${wanted[*]}" >"$stamp"
note "The arm64 libraries are in $folder."
