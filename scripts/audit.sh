#!/usr/bin/env bash
# Asks the databases of known holes: that of Go, and that of the npm registry. Fails where one knows of any, and where none could be asked.
set -uo pipefail

asked=0 status=0
if out=$(GOFLAGS='' go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./... 2>&1); then
  asked=$((asked + 1)) && echo "Go: none known"
elif [[ $out == *"Vulnerability #"* ]]; then
  asked=$((asked + 1)) status=1 && echo "$out"
else
  echo "Go: the database could not be asked: $(grep -m1 '^govulncheck:' <<<"$out" || tail -n1 <<<"$out")"
fi
if out=$(npm --prefix dashboard/web audit --audit-level=low 2>&1); then
  asked=$((asked + 1)) && echo "npm: none known"
elif [[ $out == *"Severity:"* ]]; then
  asked=$((asked + 1)) status=1 && echo "$out"
else
  echo "npm: the registry could not be asked: $(grep -m1 '^npm warn audit' <<<"$out" || tail -n1 <<<"$out")"
fi
[[ $asked -gt 0 ]] || status=2
exit $status
