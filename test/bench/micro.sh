#!/usr/bin/env bash
# micro.sh FOLDER: runs the benchmarks of what a message passes on its way, ten times each, and writes what they say into a file for each
# package in FOLDER, for benchstat. It takes some minutes. On a machine that is busy with other things the figures are worth little: each
# file says how busy it was before and after, where the benchmarks alone make a load of 1 to 2.
set -euo pipefail

cd "$(dirname "$0")/../.."
folder=${1:?where to}
mkdir -p "$folder"

# measure PACKAGE [BENCHMARKS]: those that need longer than all others together are left out.
measure() {
  local file=$folder/${1//\//-}.txt
  {
    echo "# $(uname -srm), $(nproc) processors, $(date -u +%F)"
    echo "# load before: $(cut -d' ' -f1-3 /proc/loadavg)"
    go test -run='^$' -bench="${2:-.}" -benchmem -benchtime=100ms -count=10 "./$1"
    echo "# load after: $(cut -d' ' -f1-3 /proc/loadavg)"
  } >"$file.new"
  mv "$file.new" "$file"
  echo "$file"
}

measure bridge '^(BenchmarkGroupCommit|BenchmarkPipeline|BenchmarkDecode)$'
measure bridge/decode
measure bridge/eventlog/disklog '^(BenchmarkAppend|BenchmarkRead|BenchmarkLast|BenchmarkScan)$'
measure bridge/gateway
measure bridge/gateway/ws
measure bridge/room
measure bridge/wire
