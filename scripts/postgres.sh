#!/bin/sh
# PostgreSQL 17 with pgvector for tests, in a private folder that leaves the machine as it was.
#
#   scripts/postgres.sh install      unpack it under .servers/ (does nothing when it is there)
#   scripts/postgres.sh run CMD...   start one, run CMD with AIRFIELD_TEST_POSTGRES set to its address, end it
#   scripts/postgres.sh serve        start one, print its address, end it when standard input closes
#
# On a system that is not Debian, start a PostgreSQL yourself and set AIRFIELD_TEST_POSTGRES.
set -eu

me=postgres.sh
title="PostgreSQL 17 with pgvector"
otherwise="start one yourself and set AIRFIELD_TEST_POSTGRES=postgres://…"
package=postgresql-17-pgvector
product=postgresql-17
home=usr/lib/postgresql/17/bin
programs="$home/postgres $home/initdb"
ending=QUIT
. "$(dirname -- "$0")/servers.sh"

# needed keeps the server and its libraries: no shell tools, no Perl, no compiler for queries.
needed() {
    grep -E '^(postgresql-17|postgresql-17-pgvector|zlib1g|lib[a-z].*)$' |
        grep -Ev '^lib(llvm|z3|perl|.*-perl$|c-bin|c-l10n|db5|pam-modules|semanage|sepol|proc2|debconf|ncurses|text-|io-|ipc-|json-)'
}

# prepare keeps a fresh cluster as an archive, so that a test server starts without initdb.
prepare() {
    work=$(mktemp -d)
    [ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$work"
    unprivileged "$prefix/$home/initdb" -D "$work/pg" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null ||
        die "initdb failed"
    tar -C "$work" -cf "$prefix/cluster.tar" pg
    rm -rf "$work"
    chmod a+r "$prefix/cluster.tar"
}

launch() {
    unprivileged tar -C "$dir" --no-same-owner -xf "$prefix/cluster.tar"
    become "$prefix/$home/postgres" -D "$dir/pg" -c listen_addresses= -c unix_socket_directories="$dir" \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300 -c shared_buffers=64MB \
        -c wal_level=logical -c max_replication_slots=40 -c max_wal_senders=40 -c wal_sender_timeout=20s \
        -c jit=off -c timezone=UTC -c logging_collector=off -c autovacuum_naptime=10s
}

ready() {
    [ "$(sed -n 8p "$dir/pg/postmaster.pid" 2>/dev/null | tr -d ' ')" = ready ]
}

address() {
    echo "postgres://postgres@/postgres?host=$dir"
}

case ${1:-install} in
install)
    install
    ;;
run)
    shift
    install
    start
    AIRFIELD_TEST_POSTGRES=$(address) "$@"
    ;;
serve)
    serve
    ;;
*)
    die "usage: scripts/postgres.sh [install | run CMD... | serve]"
    ;;
esac
