# What scripts/postgres.sh and scripts/redis.sh share: servers for tests out of Debian 13's packages, in a private folder
# that leaves the machine as it was. The packages bring their own libc, so an older Debian can run them: the loader and
# the library path of each program are rewritten to that folder. AIRFIELD_SERVERS names another folder than .servers/.
#
# The script that sources this sets
#   me, title   its own name, and that of what it installs
#   otherwise   what to do on a system that is not Debian
#   package     the Debian package to install, and
#   product     the folder it goes to
#   programs    those of its programs that are run, with their place in that folder
#   ending      the signal that ends the server at once
# and defines
#   needed      reads the names of packages and writes those that are worth unpacking
#   prepare     what is done once, after they are unpacked
#   launch      makes this shell the server, through become, with its files in $dir
#   ready       succeeds as soon as the server answers
#   address     writes where that is
# shellcheck shell=sh disable=SC2154 # they are set by the script that sources this
set -eu

release=trixie
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)

die() {
    echo "$me: $*" >&2
    exit 1
}

# become CMD... makes this shell CMD, as nobody where we are root, which no server has to be and PostgreSQL refuses to
# be, in a folder that everyone can enter. It ends with the shell that began it, even where that is killed.
become() {
    cd /
    [ "$(id -u)" -eq 0 ] || exec setpriv --pdeathsig "$ending" -- "$@"
    exec setpriv --pdeathsig "$ending" --reuid nobody --regid nogroup --clear-groups -- "$@"
}

unprivileged() {
    (become "$@")
}

# missing COMMAND PACKAGE installs what the machine itself lacks.
missing() {
    [ -e "$1" ] || command -v "$1" >/dev/null 2>&1 && return
    [ "$(id -u)" -eq 0 ] || die "the package $2 is needed: sudo apt-get install $2"
    export DEBIAN_FRONTEND=noninteractive
    for wait in 1 3 9; do
        apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$2" >&2 && return
        sleep "$wait"
        apt-get -q -o Acquire::Retries=3 update >&2 || true
    done
    die "the package $2 could not be installed"
}

# private CMD... is apt-get with this release's lists and nothing known of this machine but where its mirror is.
private() {
    apt-get -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/none" \
        -o Dir::Etc::preferences="$apt/none/none" -o Dir::Etc::preferencesparts="$apt/none" \
        -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
        -o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::http::Timeout=30 \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
        -o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=false "$@"
}

prepare_apt() {
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
        awk -F'|' -v release="$codename" '$2 == release && $3 == "main" { print $1; exit }')
    [ -n "$mirror" ] || die "apt has no source for Debian $codename main to take the mirror from"
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/none"
    : >"$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$apt/sources.list"
}

unpack() {
    echo "$me: installing $title into $prefix" >&2
    apt=$servers/apt.$$
    trap 'rm -rf "$apt" "$prefix.new"' EXIT
    prepare_apt
    private update >&2
    names=$(private install -y --print-uris "$package" | awk "/^'/ { sub(/_.*/, \"\", \$2); print \$2 }" | needed)
    # shellcheck disable=SC2086 # one name a word
    (cd "$apt" && private download $names >&2)
    rm -rf "$prefix" "$prefix.new"
    mkdir -p "$prefix.new"
    for deb in "$apt"/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -C "$prefix.new" -xf - --keep-directory-symlink \
            --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' --exclude='*/bitcode*'
    done
    mv "$prefix.new" "$prefix"
    relocate
    chmod -R a+rX "$prefix"
    prepare
    echo "$prefix" >"$prefix/ready"
}

# relocate points the programs at their own loader and libraries.
relocate() {
    libraries=$(dirname "$(find "$prefix/usr/lib" -name 'libc.so.6' | head -n 1)")
    loader=$(find "$prefix/usr/lib" -name 'ld-linux*.so.*' -type f | head -n 1)
    [ -n "$loader" ] || loader=$(find "$prefix" -name 'ld-linux*.so.*' | head -n 1)
    for program in $programs; do
        patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries:$prefix/usr/lib" "$prefix/$program"
    done
}

installed() {
    [ "$(cat "$prefix/ready" 2>/dev/null)" = "$prefix" ]
}

install() {
    ! installed || return 0
    (. /etc/os-release 2>/dev/null && [ "$ID" = debian ]) || die "only Debian can install $title here; $otherwise"
    mkdir -p "$servers"
    (
        flock -w 600 9 || die "another install holds $servers/lock"
        ! installed || exit 0
        for command in tar dpkg-deb awk setpriv; do
            command -v "$command" >/dev/null || die "the command $command is needed"
        done
        missing patchelf patchelf
        missing /usr/share/zoneinfo/UTC tzdata
        unpack
    ) 9>"$servers/lock"
}

# place is where servers keep their files: in memory where there is room, which makes databases ten times as fast.
place() {
    room=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ -w /dev/shm ] && [ "${room:-0}" -gt 2000000 ]; then echo /dev/shm; else echo /tmp; fi
}

# start sets $dir and $server. Nothing is made durable: a test's data is worth nothing after the test.
start() {
    installed || die "$title is not installed: scripts/$me install"
    dir=$(mktemp -d "$(place)/airfield-$product.XXXXXX")
    trap stop EXIT
    trap 'exit 130' INT TERM HUP
    chmod 755 "$dir"
    [ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$dir"
    launch >"$dir/log" 2>&1 </dev/null &
    server=$!
    for _ in $(seq 200); do
        ! ready || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    cat "$dir/log" >&2
    die "the server did not start"
}

# stop ends the server at once.
stop() {
    if [ -n "${server:-}" ]; then
        kill -"$ending" "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$dir"
}

# serve starts a server, prints its address and ends it when standard input closes.
serve() {
    start
    trap '' PIPE # if who asked is gone, let the write fail, and clean up
    address
    cat >/dev/null
}

servers=${AIRFIELD_SERVERS:-}
if [ -z "$servers" ]; then
    servers=$root/.servers
    # Where a folder above is closed to others, the user that the server runs as could not reach its programs.
    unprivileged test -x "$root" || servers=/var/cache/airfield-servers
fi
prefix=$servers/$product
