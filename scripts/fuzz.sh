#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the module for TIME, one after the other.
set -euo pipefail

grep -rE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz\w+\(' . |
  sed -E 's/^\.\/(.+)\/[^/:]+:func (Fuzz\w+)\(.*/\1 \2/' | sort |
  while read -r package target; do
    echo "=== $target in $package"
    go test -run='^$' -fuzz="^$target\$" -fuzztime="$1" "./$package" </dev/null
  done
