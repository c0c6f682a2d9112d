#!/usr/bin/env bash
# Installs the Go tools at the versions that the project is checked with into the folder $1, those that are not already
# there or elsewhere in PATH.
set -euo pipefail

folder=$(mkdir -p "$1" && cd "$1" && pwd)
PATH=$folder:$PATH

# versions NAME prints what a tool says of its version, and which one it was built from.
versions() {
  { "$1" --version; go version -m "$(command -v "$1")" | grep $'^\tmod\t'; } 2>&1 || true
}

# need NAME VERSION PACKAGE
need() {
  if command -v "$1" >/dev/null && [[ $(versions "$1") == *"$2"* ]]; then
    return
  fi
  echo "installing $1 $2"
  GOBIN=$folder GOFLAGS='' go install "$3@v$2"
}

need golangci-lint 2.15.0 github.com/golangci/golangci-lint/v2/cmd/golangci-lint
need buf 1.75.0 github.com/bufbuild/buf/cmd/buf
need protoc-gen-go 1.36.12 google.golang.org/protobuf/cmd/protoc-gen-go
need protoc-gen-connect-go 1.21.1 connectrpc.com/connect/cmd/protoc-gen-connect-go
need benchstat 0.0.0-20260908200009-22c9c6c9d4da golang.org/x/perf/cmd/benchstat
