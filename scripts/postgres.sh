#!/bin/sh
# PostgreSQL 17 with pgvector for tests, in a private folder that leaves the machine as it was.
#
#   scripts/postgres.sh install      unpack it under .servers/ (does nothing when it is there)
#   scripts/postgres.sh run CMD...   start one, run CMD with AIRFIELD_TEST_POSTGRES set to its address, end it
#   scripts/postgres.sh serve        start one, print its address, end it when standard input closes
#
# The packages are Debian 13's, with their own libc, so an older Debian can run them: the loader and the library
# path of each program are rewritten to this folder. AIRFIELD_SERVERS names another folder than .servers/.
# On a system that is not Debian, start a PostgreSQL yourself and set AIRFIELD_TEST_POSTGRES.
set -eu

release=trixie
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)

die() {
    echo "postgres.sh: $*" >&2
    exit 1
}

# become CMD... makes this shell CMD, as nobody where we are root, which PostgreSQL refuses, in a folder that everyone
# can enter. It ends with the shell that began it, even where that is killed.
become() {
    cd /
    [ "$(id -u)" -eq 0 ] || exec setpriv --pdeathsig QUIT -- "$@"
    exec setpriv --pdeathsig QUIT --reuid nobody --regid nogroup --clear-groups -- "$@"
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

# needed reads package names and keeps the server and its libraries: no shell tools, no Perl, no compiler for queries.
needed() {
    grep -E '^(postgresql-17|postgresql-17-pgvector|zlib1g|lib[a-z].*)$' |
        grep -Ev '^lib(llvm|z3|perl|.*-perl$|c-bin|c-l10n|db5|pam-modules|semanage|sepol|proc2|debconf|ncurses|text-|io-|ipc-|json-)'
}

unpack() {
    echo "postgres.sh: installing PostgreSQL 17 and pgvector into $prefix" >&2
    apt=$servers/apt.$$
    trap 'rm -rf "$apt" "$prefix.new"' EXIT
    prepare_apt
    private update >&2
    names=$(private install -y --print-uris postgresql-17-pgvector | awk "/^'/ { sub(/_.*/, \"\", \$2); print \$2 }" | needed)
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
    cluster
    echo "$prefix" >"$prefix/ready"
}

# relocate points the programs at their own loader and libraries.
relocate() {
    libraries=$(dirname "$(find "$prefix/usr/lib" -name 'libc.so.6' | head -n 1)")
    loader=$(find "$prefix/usr/lib" -name 'ld-linux*.so.*' -type f | head -n 1)
    [ -n "$loader" ] || loader=$(find "$prefix" -name 'ld-linux*.so.*' | head -n 1)
    for program in postgres initdb; do
        patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries:$prefix/usr/lib" "$bin/$program"
    done
}

# cluster keeps a fresh cluster as an archive, so that a test server starts without initdb.
cluster() {
    work=$(mktemp -d)
    [ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$work"
    unprivileged "$bin/initdb" -D "$work/pg" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null ||
        die "initdb failed"
    tar -C "$work" -cf "$prefix/cluster.tar" pg
    rm -rf "$work"
    chmod a+r "$prefix/cluster.tar"
}

install() {
    [ "$(cat "$prefix/ready" 2>/dev/null)" != "$prefix" ] || return 0
    (. /etc/os-release 2>/dev/null && [ "$ID" = debian ]) ||
        die "only Debian can install this PostgreSQL; start one with pgvector yourself and set AIRFIELD_TEST_POSTGRES=postgres://…"
    mkdir -p "$servers"
    (
        flock -w 600 9 || die "another install holds $servers/lock"
        [ "$(cat "$prefix/ready" 2>/dev/null)" != "$prefix" ] || exit 0
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

# start sets $dir, $server and $url. Nothing is made durable: a test's data is worth nothing after the test.
start() {
    [ "$(cat "$prefix/ready" 2>/dev/null)" = "$prefix" ] || die "PostgreSQL is not installed: scripts/postgres.sh install"
    dir=$(mktemp -d "$(place)/airfield-postgres.XXXXXX")
    trap stop EXIT
    trap 'exit 130' INT TERM HUP
    chmod 755 "$dir"
    [ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$dir"
    unprivileged tar -C "$dir" --no-same-owner -xf "$prefix/cluster.tar"
    become "$bin/postgres" -D "$dir/pg" -c listen_addresses= -c unix_socket_directories="$dir" \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300 -c shared_buffers=64MB \
        -c jit=off -c timezone=UTC -c logging_collector=off -c autovacuum_naptime=10s >"$dir/log" 2>&1 </dev/null &
    server=$!
    url="postgres://postgres@/postgres?host=$dir"
    for _ in $(seq 200); do
        [ "$(sed -n 8p "$dir/pg/postmaster.pid" 2>/dev/null | tr -d ' ')" != ready ] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    cat "$dir/log" >&2
    die "the server did not start"
}

# stop ends the server at once.
stop() {
    if [ -n "${server:-}" ]; then
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$dir"
}

servers=${AIRFIELD_SERVERS:-}
if [ -z "$servers" ]; then
    servers=$root/.servers
    # Where a folder above is closed to others, the user that the server runs as could not reach its programs.
    unprivileged test -x "$root" || servers=/var/cache/airfield-servers
fi
prefix=$servers/postgresql-17
bin=$prefix/usr/lib/postgresql/17/bin

case ${1:-install} in
install)
    install
    ;;
run)
    shift
    install
    start
    AIRFIELD_TEST_POSTGRES=$url "$@"
    ;;
serve)
    start
    trap '' PIPE # if who asked is gone, let the write fail, and clean up
    echo "$url"
    cat >/dev/null
    ;;
*)
    die "usage: scripts/postgres.sh [install | run CMD... | serve]"
    ;;
esac
