#!/usr/bin/env bash
# Runs every fuzz target of the repository, or of the packages that are named, one after the other; together they take FUZZ_TIME
# seconds (600). What a target finds is left in its testdata/fuzz, where the tests then run it.
set -euo pipefail
total=${FUZZ_TIME:-600}
packages=("$@")
[ ${#packages[@]} -gt 0 ] || packages=(./internal/...)
mapfile -t targets < <(grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | sed "s|^func |$(dirname "$file") |"
done)
wanted=$(go list -f '{{.Dir}}' "${packages[@]}")
chosen=()
for target in "${targets[@]}"; do
  dir=$(cd "${target%% *}" && pwd)
  if grep -qxF "$dir" <<<"$wanted"; then chosen+=("$target"); fi
done
[ ${#chosen[@]} -gt 0 ] || { echo "no fuzz targets in ${packages[*]}" >&2; exit 2; }
each=$((total / ${#chosen[@]}))
[ "$each" -ge 1 ] || each=1
echo "${#chosen[@]} targets, ${each} s each"
failed=0
for target in "${chosen[@]}"; do
  dir=${target%% *} name=${target##* }
  echo "== $dir $name"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "${each}s" -timeout "$((each + 120))s" "$dir" | tail -4 || failed=1
done
exit $failed
