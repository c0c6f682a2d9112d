#!/usr/bin/env bash
# Builds the release of a version $1 into the folder $2: a program for each platform, what it is made of (CycloneDX), and checksums.
set -euo pipefail

version=$1 folder=$2
tools=$(pwd)/bin/tools web=dashboard/web
rm -rf "$folder"
mkdir -p "$folder"

# need NAME VERSION PACKAGE, as in tools.sh: it takes longer to install than all others, and only a release wants it.
if [[ $("$tools/cyclonedx-gomod" version 2>/dev/null || true) != *v1.10.0* ]]; then
  GOBIN=$tools GOFLAGS='' go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
fi

for platform in linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64; do
  name=pulso-${platform/\//-}
  echo "building $name"
  CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} GOARM=7 \
    go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$folder/$name" ./cmd/pulso
  "$tools/cyclonedx-gomod" bin -json -version "$version" -output "$folder/$name.cdx.json" "$folder/$name" 2>/dev/null
done
npm --prefix $web sbom --sbom-format cyclonedx >"$folder/dashboard.cdx.json"

# A bill that leaves something out is none: each module that a program says it is made of stands in it, and each package of the lock file.
for program in "$folder"/pulso-*[^n]; do
  go version -m "$program" | awk '$1 == "dep" || $1 == "=>" { print $2 "@" $3 }' | while read -r module; do
    grep -qF "pkg:golang/${module%@*}@" "$program.cdx.json" || { echo "$program.cdx.json lacks $module" >&2; exit 1; }
  done
done
node -e '
  const { packages } = require("./'$web'/package-lock.json");
  const listed = new Set(require("./'"$folder"'/dashboard.cdx.json").components.map(({ group, name }) => (group ? group + "/" : "") + name));
  const optional = ([, p]) => p.optional || p.peer;
  const missing = Object.entries(packages).filter((e) => e[0] && !optional(e)).map(([path]) => path.split("node_modules/").pop()).filter((name) => !listed.has(name));
  if (missing.length > 0) throw new Error("dashboard.cdx.json lacks " + missing.join(", "));
'
(cd "$folder" && sha256sum -- * >SHA256SUMS)
ls -l "$folder"
