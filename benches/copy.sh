#!/bin/bash
# Copying images from registry to registry: tidegate, crane and skopeo on the same work, side by side,
# into a table of docs/benchmarks.md:
#   make bench        (after the comparison with docker-compose)
#   ROUNDS=5 LATENCY_MS=50 HUGE_MIB=5120 bash benches/copy.sh        (takes 10 GiB of /var/tmp meanwhile)
# CRANE and SKOPEO name other programs; one that is not there is named as missing. Nothing is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-5}
latency=${LATENCY_MS:-50}
huge_mib=${HUGE_MIB:-5120}
tidegate=${TIDEGATE:-$PWD/target/release/tidegate}
crane=${CRANE:-$(command -v crane || true)}
skopeo=${SKOPEO:-$(command -v skopeo || true)}
report=${REPORT:-$PWD/docs/benchmarks.md}
crane_version=missing
[ -z "$crane" ] || crane_version=$("$crane" version 2>/dev/null || echo '(which tells no version)')
load_before=$(cut -d' ' -f1 /proc/loadavg)

for needed in docker-registry python3 curl git ssh-keygen /usr/bin/time; do
    command -v "$needed" >/dev/null || { echo "install $needed" >&2; exit 1; }
done

work=$(mktemp -d /var/tmp/tidegate-copy.XXXXXX)
declare -a pids=()
finish() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM
export HOME=$work XDG_STATE_HOME=$work/state

median() { sort -n | awk '{v[NR]=$1} END {if (NR) print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {if (a > 0 && b > 0) printf "%.2f", a/b; else printf "–"}'; }

# --- registries -----------------------------------------------------------------------------------

port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
up() { until curl -sf "http://127.0.0.1:$1/v2/" >/dev/null; do sleep 0.05; done; }

# registry NAME: starts one; its port is in $work/NAME.port
registry() {
    local name=$1 at
    at=$(port)
    printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
        "$work/$name" "$at" >"$work/$name.yml"
    OTEL_TRACES_EXPORTER=none docker-registry serve "$work/$name.yml" >/dev/null 2>&1 &
    pids+=($!)
    echo $! >"$work/$name.pid"
    echo "$at" >"$work/$name.port"
    up "$at"
}

# distant NAME: a port before it with a round trip of $latency ms, in $work/NAME.far
distant() {
    local at
    at=$(port)
    python3 benches/delay.py "$at" "$(cat "$work/$1.port")" "$latency" &
    pids+=($!)
    echo "$at" >"$work/$1.far"
    up "$at"
}

# busy NAME: a port before it that refuses 2 of 100 requests, in $work/NAME.busy
busy() {
    local at
    at=$(port)
    python3 benches/busy.py "$at" "$(cat "$work/$1.port")" 100 2>/dev/null &
    pids+=($!)
    echo "$at" >"$work/$1.busy"
    up "$at"
}

# emptied NAME: the registry without anything in it, on the same port
emptied() {
    kill "$(cat "$work/$1.pid")"; wait "$(cat "$work/$1.pid")" 2>/dev/null || true
    rm -rf "${work:?}/$1"
    OTEL_TRACES_EXPORTER=none docker-registry serve "$work/$1.yml" >/dev/null 2>&1 &
    pids+=($!)
    echo $! >"$work/$1.pid"
    up "$(cat "$work/$1.port")"
}

# push PORT REPOSITORY PLATFORMS LAYERS MIB: an image or an index as tag 1; prints its digest
push() { python3 benches/push.py "$@"; }

# lines NAME DEV TST REPOSITORY… : a repository whose tst wants REPOSITORY@DIGEST…
lines() {
    local name=$1 dev=$2 tst=$3 at=$work/$1.tree image n=0
    shift 3
    mkdir -p "$at/services" "$at/rulesets" "$at/history"
    printf 'repository = "bench"\nenvironments = ["dev", "tst"]\n[apps.app1]\ntitle = "App"\n' >"$at/tidegate.toml"
    printf 'app = "app1"\n' >"$at/services/app1.toml"
    printf '[match]\nservice = "app1"\n' >"$at/rulesets/app1.toml"
    for image in "$@"; do
        n=$((n + 1))
        printf '[containers.c%s]\nimage = "%s"\n' "$n" "${image%@*}" >>"$at/services/app1.toml"
        printf '[containers.c%s]\ndigest = "%s"\n' "$n" "${image#*@}" >>"$at/rulesets/app1.toml"
    done
    local environment kind below
    for environment in dev tst; do
        mkdir -p "$at/environments/$environment/nodes"
        : >"$at/environments/$environment/nodes/n1.toml"
        kind=change below=
        if [ $environment = tst ]; then
            kind=promote
            below=$'[promotion]\nfrom = "dev"\nanchor = "0000000000000000000000000000000000000000"\n'
        fi
        printf 'version = 1\n[people.alice]\nkeys = []\n[roles]\nadmin = { people = ["alice"] }\n%s = { people = ["alice"] }\n%s' \
            "$kind" "$below" >"$at/environments/$environment/trust.toml"
    done
    printf 'name = "dev"\nhub = "127.0.0.1:%s"\n' "$dev" >"$at/environments/dev/environment.toml"
    printf 'name = "tst"\nhub = "127.0.0.1:%s"\n' "$tst" >"$at/environments/tst/environment.toml"
    printf 'kind = "change"\nenvironment = "dev"\nsigner = "alice"\n' >"$at/history/01.toml"
    printf 'kind = "promote"\nenvironment = "tst"\nsource = "dev"\nsigner = "alice"\n' >"$at/history/02.toml"
    "$tidegate" init --from "$at" --keys "$work/$name.keys" "$work/$name.git" | awk '$1 == "tst" {print $2}' >"$work/$name.anchor"
}

ours() {
    local name=$1
    shift
    "$tidegate" -q hub copy --from dev --to tst --repository "$work/$name.git" --anchor "$(cat "$work/$name.anchor")" "$@"
}
theirs_crane() { "$crane" copy --insecure "$@"; }
theirs_skopeo() { "$skopeo" --insecure-policy copy -q --all --preserve-digests --src-tls-verify=false --dest-tls-verify=false "docker://$1" "docker://$2"; }

# timed RESULT COMMAND…: appends "wall KiB" to $work/RESULT
timed() {
    local name=$1
    shift
    if ! /usr/bin/time -q -a -o "$work/$name" -f '%e %M' bash -c '"$@" >"$0" 2>&1' "$work/out" "$@"; then
        tail -n 5 "$work/out" >&2
        exit 1
    fi
}
# came RESULT REPOSITORY DIGEST COMMAND…: whether it ends well, and what is missing afterwards
came() {
    local name=$1 image=("$2" "$3") end=finished
    shift 3
    emptied tst
    bash -c '"$@" >"$0" 2>&1' "$work/out" "$@" || end=failed
    python3 benches/whole.py "$dev" "$tst" "${image[@]}" >"$work/whole"
    read -r n missing <"$work/whole"
    echo "$end, $missing of $n missing" >"$work/$name"
}
word() { cat "$work/$1" 2>/dev/null || echo –; }
wall() { if [ -s "$work/$1" ]; then awk '{print $1}' "$work/$1" | median; else echo –; fi; }
mib() { if [ -s "$work/$1" ]; then awk '{print $2/1024}' "$work/$1" | median | xargs printf '%.0f'; else echo –; fi; }

export -f ours theirs_crane theirs_skopeo
export work tidegate crane skopeo

# --- five large layers, no latency ----------------------------------------------------------------

registry dev
registry tst
dev=$(cat "$work/dev.port") tst=$(cat "$work/tst.port")
large=$(push "$dev" large 1 5 40)
lines large "$dev" "$tst" "large@$large"
for _ in $(seq "$rounds"); do
    emptied tst
    timed large.ours bash -c 'ours large'
    emptied tst
    [ -z "$crane" ] || timed large.crane bash -c "theirs_crane 127.0.0.1:$dev/large:1 127.0.0.1:$tst/large:1"
    emptied tst
    [ -z "$skopeo" ] || timed large.skopeo bash -c "theirs_skopeo 127.0.0.1:$dev/large:1 127.0.0.1:$tst/large:1"
done

# --- four platforms of six layers, far away -------------------------------------------------------

distant dev
distant tst
far_dev=$(cat "$work/dev.far") far_tst=$(cat "$work/tst.far")
small=$(push "$dev" app/web 4 6 2)
push "$dev" app/api 4 6 2 >/dev/null
lines far "$far_dev" "$far_tst" "app/web@$small"
# The sibling: another image that tst wants too, of the same blobs.
lines both "$far_dev" "$far_tst" "app/web@$small" "app/api@$small"
for _ in $(seq "$rounds"); do
    emptied tst
    timed cold.ours bash -c 'ours far'
    timed repeat.ours bash -c 'ours far'
    timed sibling.ours bash -c 'ours both app/api'
    [ -n "$skopeo" ] || continue
    emptied tst
    from=127.0.0.1:$far_dev to=127.0.0.1:$far_tst
    timed cold.skopeo bash -c "theirs_skopeo $from/app/web:1 $to/app/web:1"
    timed repeat.skopeo bash -c "theirs_skopeo $from/app/web:1 $to/app/web:1"
    timed sibling.skopeo bash -c "theirs_skopeo $from/app/web:1 $to/app/api:1"
    [ -n "$crane" ] || continue
    emptied tst
    timed cold.crane bash -c "theirs_crane $from/app/web:1 $to/app/web:1"
    timed repeat.crane bash -c "theirs_crane $from/app/web:1 $to/app/web:1"
    timed sibling.crane bash -c "theirs_crane $from/app/web:1 $to/app/api:1"
done

# --- registries that are busy now and then --------------------------------------------------------

busy dev
busy tst
busy_dev=$(cat "$work/dev.busy") busy_tst=$(cat "$work/tst.busy")
lines busy "$busy_dev" "$busy_tst" "app/web@$small"
from=127.0.0.1:$busy_dev/app/web:1 to=127.0.0.1:$busy_tst/app/web:1
came busy.ours app/web "$small" bash -c 'ours busy'
[ -z "$crane" ] || came busy.crane app/web "$small" bash -c "theirs_crane $from $to"
[ -z "$skopeo" ] || came busy.skopeo app/web "$small" bash -c "theirs_skopeo $from $to"

# --- a signed image -------------------------------------------------------------------------------

python3 benches/sign.py "$dev" app/web "$small"
lines signed "$dev" "$tst" "app/web@$small"
from=127.0.0.1:$dev/app/web:1 to=127.0.0.1:$tst/app/web:1
came signed.ours app/web "$small" bash -c 'ours signed'
[ -z "$crane" ] || came signed.crane app/web "$small" bash -c "theirs_crane $from $to"
[ -z "$skopeo" ] || came signed.skopeo app/web "$small" bash -c "theirs_skopeo $from $to"

# --- one layer that is larger than memory should be -----------------------------------------------

emptied dev
emptied tst
huge=$(python3 benches/huge.py "$dev" huge "$huge_mib")
lines huge "$dev" "$tst" "huge@$huge"
timed huge.ours bash -c 'ours huge'
for peer in crane skopeo; do
    [ -n "${!peer}" ] || continue
    emptied tst
    timed "huge.$peer" bash -c "theirs_$peer 127.0.0.1:$dev/huge:1 127.0.0.1:$tst/huge:1"
done
emptied dev
emptied tst

# --- the table ------------------------------------------------------------------------------------

row() {
    local what=$1 name=$2 target=$3 peer=$4
    printf '| %s | %s s, %s MiB | %s s, %s MiB | %s s, %s MiB | %s | %s |\n' "$what" \
        "$(wall "$name.ours")" "$(mib "$name.ours")" "$(wall "$name.crane")" "$(mib "$name.crane")" \
        "$(wall "$name.skopeo")" "$(mib "$name.skopeo")" "$(ratio "$(wall "$name.ours")" "$(wall "$name.$peer")") of $peer's" "$target"
}
outcome() {
    printf '| %s | %s | %s | %s | | %s |\n' "$1" "$(word "$2.ours")" "$(word "$2.crane")" "$(word "$2.skopeo")" "$3"
}
{
    echo '<!-- copy -->'
    echo '## Copying images, registry to registry'
    echo
    echo "Both sides are distribution $(docker-registry --version 2>/dev/null | awk '{print $3}'), $(nproc) processors, load $load_before before and $(cut -d' ' -f1 /proc/loadavg) after; $rounds rounds, medians of whole processes. crane $crane_version, skopeo $({ [ -n "$skopeo" ] && "$skopeo" --version | awk '{print $3}'; } || echo missing). Tidegate's time includes verifying the lines in Git. Latency is a TCP proxy's on both sides (benches/delay.py)."
    echo
    echo '| copy | Tidegate | crane | skopeo | | to reach |'
    echo '|---|---|---|---|---|---|'
    row '5 × 40 MiB, no latency' large '≤ 1.00' crane
    row "4 platforms × 6 layers × 2 MiB at $latency ms, cold" cold '≤ 0.30' skopeo
    row 'the same again, all present' repeat '≤ 0.05' skopeo
    row 'the same, blobs in a sibling repository' sibling '≤ 0.20' skopeo
    outcome '2 of 100 requests answer 503 or 429 (benches/busy.py)' busy 'finished, 0 missing'
    outcome 'an image with a signature, its attestation and an SBOM (benches/sign.py)' signed '0 missing'
    printf '| one layer of %s MiB, once | %s s, %s MiB | %s s, %s MiB | %s s, %s MiB | | ≤ 64 MiB resident |\n' "$huge_mib" \
        "$(wall huge.ours)" "$(mib huge.ours)" "$(wall huge.crane)" "$(mib huge.crane)" "$(wall huge.skopeo)" "$(mib huge.skopeo)"
    echo '<!-- /copy -->'
} >"$work/table"
cat "$work/table"
if [ -f "$report" ]; then
    sed -i '/<!-- copy -->/,/<!-- \/copy -->/d' "$report"
    { echo; cat "$work/table"; } >>"$report"
fi
