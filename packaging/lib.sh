# What ./run and ./test share: plain messages, and the Debian packages from packaging/debian-packages.txt.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() {
    printf '\nfreehold: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '  hint: %s\n' "$hint" >&2; done
    exit 1
}

# packages_of GROUP...: the names in these groups.
packages_of() {
    local group
    for group in "$@"; do
        awk -v g="$group" '$1 == g { print $2 }' packaging/debian-packages.txt
    done
}

# is_there ENTRY: the package of an entry is installed, or the command behind its colon is there already.
is_there() {
    case "$1" in
        *:*) command -v "${1#*:}" >/dev/null || is_installed "${1%%:*}" ;;
        *) is_installed "$1" ;;
    esac
}

is_installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# install_packages GROUP...: installs what is missing with apt-get, as root or through sudo.
install_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        note "This is not a Debian system: the packages are not checked. packaging/debian-packages.txt lists what is needed."
        return 0
    fi
    local missing=() package
    while read -r package; do
        is_there "$package" || missing+=("${package%%:*}")
    done < <(packages_of "$@")
    if [ "${#missing[@]}" -eq 0 ]; then
        note "Every Debian package that is needed is installed."
        return 0
    fi
    note "Missing packages: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "Installing packages needs root, and there is no sudo." "As root: apt-get install ${missing[*]}"
        as_root=(sudo)
        if [ -t 0 ]; then
            local answer
            read -r -p "   Install them with sudo apt-get? [Y/n] " answer
            case "$answer" in
                [nN]*) die "The packages were not installed." "Install them yourself: sudo apt-get install ${missing[*]}" ;;
            esac
        else
            as_root=(sudo -n)
        fi
    fi
    # A list of packages that is out of date names files that are gone, so it is renewed once before anything is fetched.
    "${as_root[@]}" apt-get update -q || note "apt-get update failed; trying with the lists that are here."
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; then
        local absent=()
        for package in "${missing[@]}"; do
            is_installed "$package" || absent+=("$package")
        done
        die "These packages could not be installed: ${absent[*]}" \
            "Without a network: copy their .deb files here and install them with dpkg -i, then run this again." \
            "Behind a proxy: set Acquire::http::Proxy in /etc/apt/apt.conf.d, or export http_proxy." \
            "On another release than Debian 12 a package may have another name; packaging/debian-packages.txt says what each is for."
    fi
}

# ccache and precompiled headers agree only with these settings.
export CCACHE_SLOPPINESS="${CCACHE_SLOPPINESS:-pch_defines,time_macros}"
