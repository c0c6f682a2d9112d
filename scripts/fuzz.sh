#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME, one after the other, and says at the end how many inputs each was
# given and how it went. A target that fails does not keep the others from running.
set -euo pipefail

output=$(mktemp)
trap 'rm -f "$output"' EXIT

table=''
failed=0
while read -r package target; do
  echo "=== $target in $package"
  result=ok
  go test -run='^$' -fuzz="^$target\$" -fuzztime="$1" -fuzzminimizetime=1x "./$package" </dev/null 2>&1 | tee "$output" || result=FAILED
  [[ $result == ok ]] || failed=$((failed + 1))
  execs=$(sed -nE 's/^fuzz: elapsed: .*, execs: ([0-9]+) .*/\1/p' "$output" | tail -1)
  table+=$(printf '%-8s %14s  %s in %s' "$result" "${execs:-0}" "$target" "$package")$'\n'
done < <(grep -rE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz\w+\(' . |
  sed -E 's/^\.\/(.+)\/[^/:]+:func (Fuzz\w+)\(.*/\1 \2/' | sort)

printf '\n%-8s %14s  target, %s each\n%s' result inputs "$1" "$table"
if ((failed)); then
  echo "$failed failed"
  exit 1
fi
