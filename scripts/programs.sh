#!/usr/bin/env bash
# Installs the programs that the whole-binary and browser tests use, where that can be done: with apt and as root. Says
# what is missing elsewhere; the tests then skip what needs it, or fail where CI is set.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v curl >/dev/null || missing+=(curl)
command -v prometheus >/dev/null && command -v promtool >/dev/null || missing+=(prometheus)
command -v mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
PATH=$PATH:/usr/sbin command -v mosquitto >/dev/null || missing+=(mosquitto)
has_websockets() { "$1" -c 'import websockets' 2>/dev/null; }
has_websockets python3 || has_websockets /usr/bin/python3 || missing+=(python3-websockets)
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
  echo "missing, and installed only with apt and as root: ${missing[*]}" >&2
  exit 0
fi

# Installing a broker must not start one.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --no-install-recommends "${missing[@]}" >/dev/null
