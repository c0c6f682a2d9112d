#!/usr/bin/env bash
# side-by-side.sh [PEER...]: measures brokers one after the other in one sitting, each on processor 0 alone (GOMAXPROCS=1), the
# load on processor 1, and prints a table. Peers: pulso (PULSO, default bin/pulso), mosquitto (as installed) and mochi (HB_BIN/peer, the
# stock mochi-mqtt of the bench folder beside the project; left out where it is absent). Compare figures of one sitting only.
#
# CLIENTS (10000), STALLERS (100), STALL (30s) and ACK (8s) set how much; IDLE (20s) how long clients are idle before memory is read.
set -euo pipefail

cd "$(dirname "$0")/../.."
peers=("$@")
((${#peers[@]})) || peers=(pulso mochi mosquitto)
work=$(mktemp -d)
port=${PORT:-21883} # where mochi listens always
http=${HTTP_PORT:-28083}
pid=
trap '[[ -z $pid ]] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
ulimit -n "$(ulimit -Hn)"

go build -o "$work" ./test/bench/connect ./test/bench/stall ./test/bench/ack

# command PEER prints how it is started, one word a line.
command_of() {
  case $1 in
    pulso) printf '%s\n' "${PULSO:-bin/pulso}" serve --mqtt "127.0.0.1:$port" --http "127.0.0.1:$http" --data "$work/data" ;;
    mochi) printf '%s\n' "${HB_BIN:-/tmp/hb}/peer" mochi ;;
    mosquitto)
      printf 'listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type none\n' "$port" >"$work/mosquitto.conf"
      printf '%s\n' "$(PATH=$PATH:/usr/sbin type -P mosquitto)" -c "$work/mosquitto.conf"
      ;;
    *) echo "no peer is called $1" >&2; return 1 ;;
  esac
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

start() {
  if listens; then
    echo "somebody else listens on port $port" >&2
    return 1
  fi
  rm -rf "$work/data"
  mapfile -t command < <(command_of "$1")
  GOMAXPROCS=1 taskset -c 0 "${command[@]}" >"$work/$1.log" 2>&1 &
  pid=$!
  for _ in $(seq 100); do
    listens && return
    sleep .1
  done
  echo "$1 does not listen: $(tail -3 "$work/$1.log")" >&2
  return 1
}

stop() {
  kill "$pid"
  wait "$pid" 2>/dev/null || true
  pid=
}

# figure NAME reads one number from the last line of JSON.
figure() { sed -nE "s/.*\"$1\":(-?[0-9.e+]+).*/\1/p" "$work/result" | tail -1; }

load() {
  local program=$1
  shift
  : >"$work/result"
  taskset -c 1 "$work/$program" -addr "127.0.0.1:$port" -pid "$pid" "$@" >"$work/result" 2>"$work/errors" || {
    echo "$peer: $program: $(tail -1 "$work/errors")" >&2
  }
}

row() { printf '%-34s %-10s %14s %14s %14s %14s\n' "$@"; }

for peer in "${peers[@]}"; do
  if [[ $peer == mochi && ! -x ${HB_BIN:-/tmp/hb}/peer ]]; then
    echo "left out: mochi: ${HB_BIN:-/tmp/hb}/peer is absent" >&2
    continue
  fi
  start "$peer"
  load connect -n "${CLIENTS:-10000}" -c "${CLIENTS:-10000}" -idle "${IDLE:-20s}"
  row "connect and subscribe at once" "$peer" "$(figure total_ms) ms" "p99 $(figure connect_p99_ms)" "$(figure idle_kib_per_client | cut -c1-6) KiB" "failed $(figure failed)"
  stop
  for publishers in 1 16; do
    start "$peer"
    load ack -pubs "$publishers" -window 64 -time "${ACK:-8s}"
    row "QoS 1 acknowledged, $publishers publishers" "$peer" "$(figure acked_per_s | cut -d. -f1) /s" "p99 $(figure ack_p99_ms)" "$(figure cpu_us_per_message | cut -c1-5) us" ""
    stop
  done
  for persistent in false true; do
    start "$peer"
    load stall -stallers "${STALLERS:-100}" -stall "${STALL:-30s}" -persistent="$persistent"
    row "stall, persistent $persistent" "$peer" "p99 $(figure p99_before_ms) ms" "x$(figure p99_ratio | cut -c1-5)" "lost $(figure lost)" "disorder $(figure out_of_order)"
    stop
  done
done
