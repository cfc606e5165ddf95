#!/bin/bash
# Tidegate and docker-compose on the same work, side by side, into docs/benchmarks.md:
#   make bench        (as root: it starts an engine of its own)
#   ROUNDS=5 CONTAINERS=50 IDLE_SECS=60 COMMITS=10000 bash benches/compare.sh
# docker-compose 2 is taken from COMPOSE (a path), from PATH, or from the folders of the docker
# command line's plugins. Nothing is fetched: a peer that is not there is named as missing.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

rounds=${ROUNDS:-5}
n=${CONTAINERS:-50}
idle_secs=${IDLE_SECS:-60}
commits=${COMMITS:-10000}
load_before=$(cut -d' ' -f1 /proc/loadavg)
tidegate=${TIDEGATE:-$PWD/target/release/tidegate}
report=${REPORT:-$PWD/docs/benchmarks.md}

[ "$(id -u)" = 0 ] || { echo "run this as root: it starts an engine of its own" >&2; exit 1; }
[ -x /usr/bin/time ] || { echo "install the package time" >&2; exit 1; }

work=$(mktemp -d /var/tmp/tidegate-bench.XXXXXX)
socket=unix://$work/engine.sock
declare -a pids=()

finish() {
    local pid
    docker -H "$socket" ps -aq 2>/dev/null | xargs -r docker -H "$socket" rm -f >/dev/null 2>&1 || true
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    awk -v w="$work" 'index($2, w) {print $2}' /proc/mounts | sort -r | xargs -r umount -l
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

# --- what it is measured with ---------------------------------------------------------------------

now() { date +%s%N; }

median() { sort -n | awk '{v[NR]=$1} END {if (NR) print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }

# timed NAME COMMAND…: appends "wall user system KiB" to $work/NAME; `time` itself rounds to 0.01 s
timed() {
    local name=$1 code=0 began ended
    shift
    began=$(now)
    /usr/bin/time -q -o "$work/used" -f '%U %S %M' "$@" >"$work/out" 2>&1 </dev/null || code=$?
    ended=$(now)
    awk -v ns="$((ended - began))" '{printf "%.4f %s\n", ns/1e9, $0}' "$work/used" >>"$work/$name"
    # `plan` says with 2 that there are differences; anything else is a failure.
    if [ "$code" != 0 ] && [ "$code" != 2 ]; then
        echo "failed ($code): $*" >&2
        tail -n 5 "$work/out" >&2
        exit 1
    fi
}

single() { median <"$work/$1"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {if (b > 0) printf "%.2f", a/b; else printf "–"}'; }
# paired MEASURE OURS PEERS: the median of the ratios of what was measured one after the other
paired() { paste <("column_$1" "$2") <("column_$1" "$3") | awk '$2 > 0 && NF == 2 {print $1/$2}' | median; }
column_wall() { awk '{print $1}' "$work/$1"; }
column_cpu() { awk '{print $2+$3}' "$work/$1"; }
column_mib() { awk '{print $4/1024}' "$work/$1"; }
column_single() { cat "$work/$1"; }
loads() { cut -d' ' -f1 /proc/loadavg >>"$work/loads"; }
d() { docker -H "$socket" "$@"; }
none() { d ps -aq | xargs -r docker -H "$socket" rm -f >/dev/null; }

# when ACTION NAME T0: the time of the first such event after T0, waited for
when() {
    local at="" tries=0
    while [ -z "$at" ]; do
        at=$(awk -v t="$3" -v a="$1" -v n="$2" '$2==a && $3 ~ "^" n "$" && $1 > t {print $1; exit}' "$work/events")
        tries=$((tries + 1))
        [ $tries -lt 3000 ] || { echo "no $1 of $2" >&2; exit 1; }
        [ -n "$at" ] || sleep 0.01
    done
    echo "$at"
}

# started_after T0 NAME: seconds from T0 until the engine started a container called NAME
started_after() { awk -v a="$(when start "$2" "$1")" -v b="$1" 'BEGIN {printf "%.3f\n", (a-b)/1e9}'; }

# --- what it is measured on -----------------------------------------------------------------------

compose=""
for candidate in "${COMPOSE:-}" "$(command -v docker-compose || true)" \
    "${DOCKER_CONFIG:-${HOME:-/root}/.docker}/cli-plugins/docker-compose" \
    /usr/{local/,}{lib,libexec}/docker/cli-plugins/docker-compose; do
    [ -x "$candidate" ] || continue
    case $("$candidate" version --short 2>/dev/null || true) in
        2.* | v2.*) compose=$candidate; break ;;
    esac
done
version=""
[ -z "$compose" ] || version=$("$compose" version --short)
[ -z "$compose" ] || echo "peer: docker-compose $version"
[ -n "$compose" ] || echo "docker-compose 2 is missing: set COMPOSE to it; only our side is measured"

# No bridge and no packet filter: nothing of the machine's network is touched. Its own /run hides the
# machine's containerd, its own /etc/docker the machine's settings and identity: engine 20.10 keeps
# its id there, and one agent works per id.
mkdir -p /etc/docker
unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /etc/docker
    exec dockerd "$@"' sh --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" \
    -H "$socket" --bridge none --iptables=false --ip-forward=false >"$work/engine.log" 2>&1 &
pids+=($!)
port=$((20000 + RANDOM % 20000))
cat >"$work/hub.yml" <<HUB
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/hub}}
http: {addr: "127.0.0.1:$port"}
HUB
docker-registry serve "$work/hub.yml" >"$work/hub.log" 2>&1 &
pids+=($!)
for _ in $(seq 300); do d info >/dev/null 2>&1 && break; sleep 0.1; done
engine=$(d version --format '{{.Server.Version}}')

mkdir -p "$work/root/bin"
cp "$(command -v busybox)" "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sleep"
declare -a digests=() ids=()
for number in 1 2; do
    echo "$number" >"$work/root/number"
    image=127.0.0.1:$port/bench/app:$number
    tar -C "$work/root" -c . | d import -c 'CMD ["/bin/sleep","1000000"]' - "$image" >/dev/null
    d push "$image" >/dev/null
    digests+=("$(d inspect --format '{{index .RepoDigests 0}}' "$image" | sed 's/.*@//')")
    ids+=("$(d inspect --format '{{.Id}}' "$image")")
done

# The same work twice: a repository for us, a compose file in a repository for the peer.
from=$work/from
mkdir -p "$from"/{services,rulesets,environments/dev/nodes} "$work/compose"
printf 'repository = "bench"\nenvironments = ["dev"]\n[apps.bench]\ntitle = "Bench"\n' >"$from/tidegate.toml"
printf 'name = "dev"\nhub = "127.0.0.1:%s"\n' "$port" >"$from/environments/dev/environment.toml"
printf '[labels]\nrole = "bench"\n' >"$from/environments/dev/nodes/n1.toml"
printf 'version = 1\n[people.alice]\nkeys = []\n[roles]\nchange = { people = ["alice"] }\n' \
    >"$from/environments/dev/trust.toml"
echo "services:" >"$work/compose/compose.yaml"
for i in $(seq -w "$n"); do
    printf 'app = "bench"\n[containers.c]\nimage = "bench/app"\nnetwork_mode = "none"\nstop_grace_period = "0s"\n[update]\nstable = "0s"\n' \
        >"$from/services/s$i.toml"
    printf '[match]\nservice = "s%s"\n[containers.c]\ndigest = "%s"\nimage_id = "%s"\nversion = "1"\n' \
        "$i" "${digests[0]}" "${ids[0]}" >"$from/rulesets/s$i.toml"
    printf '  s%s:\n    image: 127.0.0.1:%s/bench/app@%s\n    network_mode: none\n    stop_grace_period: 0s\n' \
        "$i" "$port" "${digests[0]}" >>"$work/compose/compose.yaml"
    last=$i
done
anchor=$("$tidegate" init --from "$from" --keys "$work/keys" "$work/config" | awk '$1=="dev" {print $2; exit}')
cat >"$work/agent.toml" <<AGENT
node = "n1"
environment = "dev"
state_dir = "$work/state"
[repository]
url = "$work/config"
id = "bench"
anchor = "$anchor"
interval = "60s"
[engine]
socket = "$socket"
[keys]
node = "$work/node.key"
AGENT
commit() {
    git -C "$1" add -A
    git -C "$1" -c user.name=alice -c user.email=alice@example.org -c gpg.format=ssh \
        -c user.signingkey="$work/keys/alice" commit -q "${@:2}"
}
git -C "$work/compose" init -q
commit "$work/compose" -m 1
git clone -q "$work/compose" "$work/node"
up() { (cd "$work/node" && DOCKER_HOST=$socket timed "$1" "$compose" -p peer up -d); }
d events --format '{{.TimeNano}} {{.Action}} {{.Actor.Attributes.name}}' >"$work/events" &
pids+=($!)

# --- the work -------------------------------------------------------------------------------------

echo "engine $engine, $n containers, medians of $rounds rounds"
all_run() { [ "$(d ps -q | wc -l)" = "$n" ] || { echo "$1: not all $n containers run" >&2; exit 1; }; }
at=0
for round in $(seq "$rounds"); do
    echo "round $round"
    loads
    none
    rm -rf "$work/state"
    timed ours_nothing "$tidegate" agent --once --config "$work/agent.toml"
    all_run tidegate
    for _ in 1 2 3; do timed ours_noop "$tidegate" plan --config "$work/agent.toml"; done
    [ -n "$compose" ] || continue
    none
    up peer_nothing
    all_run docker-compose
    for _ in 1 2 3; do up peer_noop; done
    peer=peer-s$last-1
    t0=$(now)
    d rm -f "$peer" >/dev/null
    up peer_repair
    started_after "$t0" "$peer" >>"$work/peer_drift"
    at=$((1 - at))
    sed -i "/^  s$last:/{n; s/sha256:[0-9a-f]*/${digests[$at]}/}" "$work/compose/compose.yaml"
    commit "$work/compose" -m "round $round"
    t0=$(now)
    git -C "$work/node" fetch -q
    git -C "$work/node" reset -q --hard '@{upstream}'
    up peer_commit
    started_after "$t0" "$peer" >>"$work/peer_change"
done
none
for _ in $(seq "$rounds"); do
    t0=$(now)
    d run -d --name one --network none "127.0.0.1:$port/bench/app@${digests[0]}" >/dev/null
    started_after "$t0" one >>"$work/run"
    d rm -f one >/dev/null
done

"$tidegate" agent --config "$work/agent.toml" >"$work/agent.log" 2>&1 &
agent=$!
pids+=("$agent")
for _ in $(seq 600); do [ "$(d ps -q | wc -l)" = "$n" ] && break; sleep 0.1; done
all_run agent
sleep 3
own=s$last.dev-c
for round in $(seq "$rounds"); do
    t0=$(now)
    d rm -f "$own" >/dev/null
    started_after "$t0" "$own" >>"$work/ours_drift"
    started_after "$(when destroy "[^ ]*" "$t0")" "$own" >>"$work/ours_gone"
    sleep 2
    at=$((round % 2))
    sed -i "s/^digest.*/digest = \"${digests[$at]}\"/; s/^image_id.*/image_id = \"${ids[$at]}\"/" \
        "$work/config/rulesets/s$last.toml"
    before=$(now)
    commit "$work/config" -S -m "round $round"
    t0=$(now)
    started_after "$t0" "$own" >>"$work/ours_change"
    started_after "$before" "$own" >>"$work/ours_signed"
    loads
    sleep 3
done
ticks() { awk '{print $14+$15}' "/proc/$agent/stat"; }
sleep 5
before=$(ticks)
sleep "$idle_secs"
idle_cpu=$(awk -v a="$before" -v b="$(ticks)" -v s="$idle_secs" -v hz="$(getconf CLK_TCK)" \
    'BEGIN {printf "%.3f", (b-a)/hz/s*100}')
pss=$(awk '/^Pss:/ {s+=$2} END {printf "%.1f", s/1024}' "/proc/$agent/smaps_rollup")

# Passes that find nothing to do, told by an agent that tells each call and each pass.
kill "$agent"
wait "$agent" || true
"$tidegate" agent -vv --config "$work/agent.toml" >"$work/agent-vv.log" 2>&1 &
agent=$!
pids+=("$agent")
for _ in $(seq 200); do grep -q 'pass by start' "$work/agent-vv.log" && break; sleep 0.1; done
sleep 2
touch "$work/marker"
for _ in $(seq 15); do
    touch "$work/config/.git/refs/heads/dev"
    sleep 0.5
done
awk '/engine: / {n++} /pass by / {if (match($0, /pass by repository: [0-9.]+/)) {print n+0, substr($0, RSTART+20, RLENGTH-20)} n=0}' \
    "$work/agent-vv.log" >"$work/passes"
pass_calls=$(awk '{print $1}' "$work/passes" | median)
pass_ms=$(awk '{print $2}' "$work/passes" | median)
written=$(find "$work/state" -newer "$work/marker" | wc -l)

# What needs no engine: VERIFY and RESOLVE name programs that were built already.
${VERIFY:-sh .ci/rust cargo bench --quiet --bench verify --} "$commits" >"$work/verify"
${RESOLVE:-sh .ci/rust cargo bench --quiet --bench resolve} >"$work/resolve"
ms() { sed -n "s/^$2[^:]*: *\([0-9.]*\) ms.*/\1/p" "$work/$1" | head -n 1; }

# --- the report -----------------------------------------------------------------------------------

# row WORK OURS PEERS RATIO TO_REACH MEASURED MOST: MEASURED is met when it is at most MOST.
row() {
    local met=""
    [ -z "${7:-}" ] || met=$(awk -v a="$6" -v b="$7" 'BEGIN {print (a == "") ? "not measured" : (a <= b) ? "yes" : "**no**"}')
    echo "| $1 | ${2:-not measured} | ${3:-–} | ${4:-–} | ${5:-} | $met |"
}
# pair WORK MEASURE OURS PEERS TO_REACH MOST: both sides' medians, judged by the median of the
# ratios of what was measured one after the other.
pair() {
    local a b="" r=""
    a=$(printf %.3f "$("column_$2" "$3" | median)")
    if [ -n "$compose" ]; then
        b=$(printf %.3f "$("column_$2" "$4" | median)")
        r=$(printf %.3f "$(paired "$2" "$3" "$4")")
    fi
    row "$1" "$a" "${b:-missing}" "$r" "${5:-}" "$r" "${6:-}"
}
cpu_model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/^MemTotal/ {printf "%.0f", $2/1048576}' /proc/meminfo)
load_after=$(cut -d' ' -f1 /proc/loadavg)
load_most=$(sort -n "$work/loads" | tail -n 1)
{
    echo "# Benchmarks"
    echo
    echo "Written by \`make bench\`: Tidegate and docker-compose on the same work in one run, medians of"
    echo "$rounds rounds, ratios paired by round; misses are shown as they are. $n containers with"
    echo "\`network_mode: none\` and \`stop_grace_period: 0s\`, images present, repositories on the same machine."
    echo
    echo "* Machine: $(nproc) cores (${cpu_model:-$(uname -m)}), $memory GiB, Linux $(uname -r | cut -d- -f1), engine $engine."
    echo "* Load average when it began: $load_before, when it ended: $load_after, at most $load_most. Over"
    echo "  $(nproc) before it began, other work ran beside: then believe CPU times and ratios rather than wall"
    echo "  times. Peak memory is that of the whole process, pages of its program and libraries included."
    echo "* $("$tidegate" --version), $(date -u +%F); docker-compose ${version:-is missing}."
    echo
    echo "| work | Tidegate | docker-compose | ratio | to reach | reached |"
    echo "|---|---|---|---|---|---|"
    pair "nothing to do, whole process (\`plan\` / \`up -d\`): s" wall ours_noop peer_noop "ratio ≤ 0.5" 0.5
    pair "same: CPU s" cpu ours_noop peer_noop
    pair "same: peak MiB" mib ours_noop peer_noop "ratio ≤ 0.33" 0.334
    row "nothing to do, a pass in the running agent: ms" "$pass_ms" "" "" "≤ 10" "$pass_ms" 10
    row "same: engine calls" "$pass_calls" "" "" "1" "$pass_calls" 1
    row "same: files of its state written" "$written" "" "" "0" "$written" 0
    pair "$n containers from nothing (the chain is verified, too): s" wall ours_nothing peer_nothing "ratio < 1" 0.995
    pair "same: CPU s of the process" cpu ours_nothing peer_nothing
    pair "same: peak MiB" mib ours_nothing peer_nothing
    pair "\`docker rm -f\` begins → replacement started (by event / by \`up -d\` after it): s" single ours_drift peer_drift
    run=$(single run)
    gone=$(single ours_gone)
    row "container gone → replacement started, beside \`docker run -d\` begins → started: s" "$gone" "$run (docker run)" \
        "$(ratio "$gone" "$run")" "ratio ≤ 1.5" "$(ratio "$gone" "$run")" 1.5
    pair "1 of $n changed: \`git commit\` returns → its container started (by event / by \`git fetch\` and \`up -d\`): s" \
        single ours_change peer_change "ratio < 1" 0.995
    row "same, making and signing the commit included: s" "$(single ours_signed)" "" "" "" "" ""
    row "idle agent, $n containers, trust required: PSS MiB" "$pss" "" "" "≤ 16" "$pss" 16
    row "same, over $idle_secs s: % of a core" "$idle_cpu" "" "" "≤ 0.2" "$idle_cpu" 0.2
    verified=$(ms verify "verify $commits")
    row "$commits SSH-signed commits verified: ms (beside \`git log --format=%G?\`)" "$verified" "$(ms verify git) (git)" \
        "$(ratio "$verified" "$(ms verify git)")" "≤ 2000" "$verified" 2000
    audited=$(ms verify "audit log")
    row "\`audit log\` of them, 50 services on 3 nodes: ms" "$audited" "" "" "≤ 3000" "$audited" 3000
    resolved=$(ms resolve "")
    row "1,000 services × 1,000 rulesets resolved for one node: ms" "$resolved" "" "" "≤ 100" "$resolved" 100
} >"$work/report.md"
cp "$work/report.md" "$report"
cat "$report"
