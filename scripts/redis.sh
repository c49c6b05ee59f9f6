#!/bin/sh
# Valkey 8, which is Redis under a free licence, for tests, in a private folder that leaves the machine as it was.
#
#   scripts/redis.sh install      unpack it under .servers/ (does nothing when it is there)
#   scripts/redis.sh run CMD...   start one, run CMD with AIRFIELD_TEST_REDIS set to its address, end it
#   scripts/redis.sh serve        start one, print its address, end it when standard input closes
#   scripts/redis.sh path         print where the server's program is, for tests that start and kill their own
#
# run sets AIRFIELD_TEST_REDIS_SERVER to that path too. On a system that is not Debian, set both yourself.
set -eu

me=redis.sh
title="Valkey 8"
otherwise="set AIRFIELD_TEST_REDIS=redis://… and AIRFIELD_TEST_REDIS_SERVER to the path of a redis-server or valkey-server"
package=valkey-server
product=valkey-8
programs=usr/bin/valkey-server
ending=KILL
. "$(dirname -- "$0")/servers.sh"

# needed keeps the server and its libraries.
needed() {
    grep -E '^(valkey-server|valkey-tools|zlib1g|lib[a-z].*)$' |
        grep -Ev '^lib(perl|.*-perl$|c-bin|c-l10n|db5|pam-|semanage|sepol|proc2|debconf|ncurses|text-|io-|ipc-|json-)'
}

prepare() {
    unprivileged "$prefix/$programs" --version >/dev/null || die "the server does not run"
}

launch() {
    become "$prefix/$programs" --port 0 --unixsocket "$dir/redis.sock" --unixsocketperm 777 --dir "$dir" --save '' --appendonly no
}

ready() {
    grep -q 'Ready to accept connections' "$dir/log"
}

address() {
    echo "unix://$dir/redis.sock"
}

path() {
    installed || die "$title is not installed: scripts/$me install"
    echo "$prefix/$programs"
}

case ${1:-install} in
install)
    install
    ;;
run)
    shift
    install
    start
    AIRFIELD_TEST_REDIS=$(address) AIRFIELD_TEST_REDIS_SERVER=$(path) "$@"
    ;;
serve)
    serve
    ;;
path)
    path
    ;;
*)
    die "usage: scripts/redis.sh [install | run CMD... | serve | path]"
    ;;
esac
