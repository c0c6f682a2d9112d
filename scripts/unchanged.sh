#!/usr/bin/env bash
# unchanged.sh FOLDER COMMAND...: runs COMMAND, which writes FOLDER, and fails if that changed anything there.
set -euo pipefail

folder=$1
shift
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -a "$folder/." "$before"

"$@"

if ! diff -rq "$before" "$folder"; then
  echo "$folder was not what its sources make: it is now; commit it" >&2
  exit 1
fi
