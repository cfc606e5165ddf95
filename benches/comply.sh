#!/bin/bash
# Rules on one node: checks of many, passes of an agent that has many, and `file` rules beside
# ansible-playbook --check, as a section of docs/benchmarks.md:
#   make bench        (as root: it starts an engine of its own)
#   RULES=2000 FILES=200 ROUNDS=5 bash benches/comply.sh
# ansible-playbook is taken from PATH (Debian's ansible-core). Nothing is fetched: a peer that is not
# there is named as missing.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

rounds=${ROUNDS:-5}
n_rules=${RULES:-2000}
n_files=${FILES:-200}
tidegate=${TIDEGATE:-$PWD/target/release/tidegate}
report=${REPORT:-$PWD/docs/benchmarks.md}
load_before=$(cut -d' ' -f1 /proc/loadavg)

[ "$(id -u)" = 0 ] || { echo "run this as root: it starts an engine of its own" >&2; exit 1; }
[ -x /usr/bin/time ] || { echo "install the package time" >&2; exit 1; }

work=$(mktemp -d /var/tmp/tidegate-comply.XXXXXX)
socket=unix://$work/engine.sock
declare -a pids=()
finish() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    awk -v w="$work" 'index($2, w) {print $2}' /proc/mounts | sort -r | xargs -r umount -l
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

median() { sort -n | awk '{v[NR]=$1} END {if (NR) print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
# timed NAME ALLOWED COMMAND…: appends "wall cpu MiB"; exit codes besides 0 and ALLOWED end the run
timed() {
    local name=$1 allowed=$2 code=0 began ended
    shift 2
    began=$(date +%s%N)
    /usr/bin/time -q -o "$work/used" -f '%U %S %M' "$@" >"$work/out" 2>&1 </dev/null || code=$?
    ended=$(date +%s%N)
    awk -v ns="$((ended - began))" '{printf "%.4f %.2f %.1f\n", ns/1e9, $1+$2, $3/1024}' "$work/used" >>"$work/$name"
    if [ "$code" != 0 ] && [ "$code" != "$allowed" ]; then
        echo "failed ($code): $*" >&2
        tail -n 5 "$work/out" >&2
        exit 1
    fi
}
column() { awk -v c="$2" '{print $c}' "$work/$1" | median; }

# --- a node whose host is a folder ----------------------------------------------------------------

mkdir -p "$work/host/etc/d"
printf 'ID=debian\nVERSION_ID="12"\n' >"$work/host/etc/os-release"
printf 'root:x:0:0::/root:/bin/sh\n' >"$work/host/etc/passwd"
printf 'root:x:0:\n' >"$work/host/etc/group"
rule() { printf '[[rules]]\nname = "%s"\nkind = "%s"\n' "$1" "$2"; }
lines() { for line in $(seq 40); do echo "line $line of $1"; done; }

# repository NAME: made of $work/from-NAME, with an agent.toml for its only node
repository() {
    local name=$1 from=$work/from-$1 anchor
    mkdir -p "$from/environments/dev/nodes"
    printf 'repository = "bench"\nenvironments = ["dev"]\n' >"$from/tidegate.toml"
    printf 'name = "dev"\nhub = "dckhub.dev"\n' >"$from/environments/dev/environment.toml"
    printf '[labels]\nrole = "bench"\n' >"$from/environments/dev/nodes/n1.toml"
    printf 'version = 1\n[people.alice]\nkeys = []\n[roles]\nchange = { people = ["alice"] }\n' \
        >"$from/environments/dev/trust.toml"
    anchor=$("$tidegate" init --from "$from" --keys "$work/keys" "$work/config-$name" | awk '$1=="dev" {print $2; exit}')
    cat >"$work/$name.toml" <<AGENT
node = "n1"
environment = "dev"
state_dir = "$work/state-$name"
[repository]
url = "$work/config-$name"
id = "bench"
anchor = "$anchor"
interval = "600s"
[host]
root = "$work/host"
[engine]
socket = "$socket"
[keys]
node = "$work/node.key"
AGENT
}

mkdir -p "$work/from-many/rulesets/it" "$work/from-files/rulesets/it" "$work/from-none/rulesets/it"
echo '[vars]
a = "b"' >"$work/from-none/rulesets/it/none.toml"
for part in 0 1 2 3 4 5 6 7; do
    for i in $(seq "$((part + 1))" 8 "$n_rules"); do
        at=/etc/d/f$i
        case $((i % 5)) in
            0) rule "r$i" file; printf 'path = "%s"\ncontent = """\n%s\n"""\nmode = "0644"\nowner = "root"\n' "$at" "$(lines "$i")" ;;
            1) rule "r$i" file_line; printf 'path = "%s"\nline = "line 7 of %s"\nregex = "^line 7 "\n' "$at" "$i" ;;
            2) rule "r$i" key_value; printf 'path = "%s"\nformat = "spaces"\nkey = "line"\nvalue = "1 of %s"\n' "$at" "$i" ;;
            3) rule "r$i" directory; printf 'path = "/etc/d/d%s"\nmode = "0755"\n' "$i" ;;
            4) rule "r$i" symlink; printf 'path = "/etc/d/l%s"\nto = "f%s"\n' "$i" "$i" ;;
        esac
        case $((i % 5)) in
            2) echo "line 1 of $i" >"$work/host$at" ;;
            3) mkdir "$work/host/etc/d/d$i" ;;
            4) ln -s "f$i" "$work/host/etc/d/l$i" ;;
            *) lines "$i" >"$work/host$at" ;;
        esac
    done >"$work/from-many/rulesets/it/part$part.toml"
done
{
    echo '- hosts: all'
    echo '  gather_facts: false'
    echo '  tasks:'
} >"$work/play.yml"
{
    for i in $(seq "$n_files"); do
        lines "$i" >"$work/host/etc/g$i"
        rule "g$i" file
        printf 'path = "/etc/g%s"\ncontent = """\n%s\n"""\nmode = "0644"\nowner = "root"\n' "$i" "$(lines "$i")"
        printf '    - copy: {dest: "%s", mode: "0644", owner: root, content: "%s\\n"}\n' \
            "$work/host/etc/g$i" "$(lines "$i" | sed ':a;N;$!ba;s/\n/\\n/g')" >>"$work/play.yml"
    done
} >"$work/from-files/rulesets/it/files.toml"
for name in many files none; do repository "$name"; done

mkdir -p /etc/docker
unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /etc/docker
    exec dockerd "$@"' sh --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" \
    -H "$socket" --bridge none --iptables=false --ip-forward=false >"$work/engine.log" 2>&1 &
pids+=($!)
for _ in $(seq 300); do docker -H "$socket" info >/dev/null 2>&1 && break; sleep 0.1; done

# --- the work -------------------------------------------------------------------------------------

ansible=$(command -v ansible-playbook || true)
[ -n "$ansible" ] || echo "ansible-playbook is missing: only our side is measured"
holds() { "$tidegate" check --config "$work/$1.toml" -o json | grep -c '"status": "ok"' || true; }
[ "$(holds many)" = "$n_rules" ] || { echo "not all $n_rules rules hold" >&2; exit 1; }
[ "$(holds files)" = "$n_files" ] || { echo "not all $n_files file rules hold" >&2; exit 1; }
for round in $(seq "$rounds"); do
    echo "round $round"
    for _ in 1 2 3; do timed many 2 "$tidegate" check --config "$work/many.toml"; done
    timed files 2 "$tidegate" check --config "$work/files.toml"
    [ -z "$ansible" ] || ANSIBLE_LOCALHOST_WARNING=false timed ansible 0 \
        "$ansible" --check -c local -i localhost, "$work/play.yml"
done

# passes NAME: medians of passes that find nothing to do, told by the agent itself, in ms
passes() {
    local agent
    "$tidegate" agent -vv --config "$work/$1.toml" >"$work/agent-$1.log" 2>&1 &
    agent=$!
    pids+=("$agent")
    for _ in $(seq 300); do grep -q 'pass by start' "$work/agent-$1.log" && break; sleep 0.1; done
    sleep 5
    for _ in $(seq 15); do
        touch "$work/config-$1/.git/refs/heads/dev"
        sleep 0.5
    done
    kill "$agent"
    wait "$agent" || true
    sed -n 's/.*pass by repository: \([0-9.]*\).*/\1/p' "$work/agent-$1.log" | median
}
none_ms=$(passes none)
passes many >"$work/many_ms"
many_ms=$(cat "$work/many_ms")
more_ms=$(awk -v a="$many_ms" -v b="$none_ms" 'BEGIN {printf "%.1f", a - b}')

# --- the table ------------------------------------------------------------------------------------

# row WORK OURS PEERS TO_REACH MEASURED MOST
row() {
    local met
    met=$(awk -v a="$5" -v b="$6" 'BEGIN {print (b == "") ? "" : (a == "") ? "not measured" : (a <= b) ? "yes" : "**no**"}')
    echo "| $1 | $2 | ${3:-–} | $4 | $met |"
}
ratio=""
if [ -n "$ansible" ]; then
    ratio=$(paste <(awk '{print $1}' "$work/files") <(awk '{print $1}' "$work/ansible") | awk '{print $1/$2}' | median)
    peer="$(column ansible 1) s ($("$ansible" --version | sed -n '1s/ansible-playbook //p'))"
fi
{
    echo '<!-- comply -->'
    echo '## Rules'
    echo
    echo "\`check\` is the whole process: it verifies the revision, asks the engine, reads each file and holds it against its rule. The rules are a fifth each of \`file\` (40 lines), \`file_line\`, \`key_value\`, \`directory\` and \`symlink\`, all of which hold; the file system is warm. $rounds rounds, medians; load $load_before before and $(cut -d' ' -f1 /proc/loadavg) after. ansible-playbook runs the same $n_files files as \`copy\` tasks, local, without facts. Facts are kept for no later check (compliance.md says why): a check in which nothing changed costs the first row too."
    echo
    echo '| rules | Tidegate | ansible-playbook --check | to reach | reached |'
    echo '|---|---|---|---|---|'
    row "$n_rules rules checked: s" "$(column many 1)" "" '≤ 1' "$(column many 1)" 1
    row 'same: CPU s' "$(column many 2)" "" '' '' ''
    row 'same: peak MiB' "$(column many 3)" "" '≤ 60' "$(column many 3)" 60
    row "a pass of an agent with $n_rules rules, nothing changed, which looks at no fact: ms more than with none ($none_ms)" "$more_ms" "" '≤ 5' "$more_ms" 5
    row "$n_files \`file\` rules: s" "$(column files 1)" "${peer:-missing}" 'ratio ≤ 0.1' "$ratio" 0.1
    row 'same: peak MiB' "$(column files 3)" "$([ -z "$ansible" ] || column ansible 3)" '' '' ''
    echo '<!-- /comply -->'
} >"$work/table"
cat "$work/table"
if [ -f "$report" ]; then
    sed -i '/<!-- comply -->/,/<!-- \/comply -->/d' "$report"
    { echo; cat "$work/table"; } >>"$report"
fi
