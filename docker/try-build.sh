#!/usr/bin/env bash
# Builds the image and tries it on a Debian machine without a container engine.
#
#   apt-get install --no-install-recommends buildah mmdebstrap iproute2
#   sudo bash docker/try-build.sh
#
# It takes a few minutes, needs Debian's mirror and a package index, and leaves nothing behind. What it shows: the
# image builds; its process runs as the image's user, as process 1, with a read-only root and no right to gain; it is
# found ready, gives cards, writes to its volume alone, and ends with 0 when asked to stop.
#
#   BASE_TAR=FILE           a root file system with python3, python3-venv and python3-pip, to save the first step
#   BUILD_OPTIONS='...'     more options for the build, such as --secret id=pip,src=/etc/pip.conf
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

USER_ID=65532
PATIENCE=30

step() { printf '== %s (at %s s)\n' "$1" "$SECONDS"; }
fail() { printf 'try-build: %s\n' "$1" >&2; exit 1; }

outside() {
    [ "$(id -u)" -eq 0 ] || fail "run it as root: it mounts file systems"
    for program in buildah mmdebstrap ip unshare setpriv; do
        command -v "$program" >/dev/null || fail "$program is missing: see the top of this file"
    done
    work=$(mktemp -d)
    store=(buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run")
    trap '"${store[@]}" umount --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

    step "base"
    tar=${BASE_TAR:-$work/base.tar}
    [ -e "$tar" ] || mmdebstrap --quiet --variant=minbase \
        --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$tar"
    base=$("${store[@]}" from scratch)
    "${store[@]}" add --quiet "$base" "$tar" / >/dev/null
    "${store[@]}" commit --quiet --rm "$base" localhost/base:try >/dev/null

    step "build"
    # shellcheck disable=SC2086  # options are words
    "${store[@]}" bud --quiet --pull-never --isolation chroot --format docker --build-arg BASE=localhost/base:try \
        --ignorefile docker/Dockerfile.dockerignore --file docker/Dockerfile ${BUILD_OPTIONS:-} \
        --tag localhost/cds-wrapper:try .

    step "run"
    container=$("${store[@]}" from --pull-never localhost/cds-wrapper:try)
    root=$("${store[@]}" mount "$container")
    for name in Env Entrypoint Cmd Healthcheck.Test; do
        described "$name" >"$work/$name"
    done
    [ "$(described User)" = "$USER_ID:$USER_ID" ] || fail "the image's user is not $USER_ID"
    cp -a "$root/data" "$work/data" # what an engine does with a new named volume
    # Mounts, network and processes of its own: nothing of this machine is touched, and all of it ends with this line.
    unshare --mount --net --pid --fork --kill-child --mount-proc bash "$0" inside "$root" "$work"
    step "done"
}

# One value of the image's description; a list has one item per line.
described() {
    "${store[@]}" inspect --type image localhost/cds-wrapper:try | python3 -c '
import functools, json, sys
value = functools.reduce(dict.__getitem__, sys.argv[1].split("."), json.load(sys.stdin)["Docker"]["config"])
print(*([value] if isinstance(value, str) else value), sep="\n")' "$1"
}

inside() {
    root=$1 work=$2
    ip link set lo up
    mount --bind "$root" "$root"
    mount --bind "$work/data" "$root/data"
    mount -t tmpfs tmpfs "$root/tmp"
    mount --rbind /dev "$root/dev"
    mount -o remount,bind,ro "$root"
    readarray -t settings <"$work/Env"
    readarray -t command < <(cat "$work/Entrypoint" "$work/Cmd")
    readarray -t health < <(tail -n +2 "$work/Healthcheck.Test") # the first item is CMD: no shell
    # One process as an engine would run it: the image's user and environment, process 1, no way to gain a right.
    contained=(unshare --pid --fork --kill-child setpriv --no-new-privs
        chroot --userspec="$USER_ID:$USER_ID" --groups="" "$root"
        env -i "${settings[@]}" CDS_WRAPPER_PROFILE=development)

    ! touch "$root/app/written" 2>/dev/null || fail "the root file system can be written"
    contain cds-wrapper check >"$work/check" || fail "check: $(cat "$work/check")"
    contain python3 -c "$(new_keys)"
    ! contain "${health[@]}" 2>/dev/null || fail "found ready before it was started"

    contain python3 -m cds_wrapper.demo.vendor --port 8081 --today 2026-06-30 &
    await python3 /app/healthcheck.py 8081 /cds-services
    "${contained[@]}" "${command[@]}" 2>"$work/log" &
    service=$!
    await "${health[@]}"
    echo "ready; the card says:"
    call

    kill -TERM "$(cat "/proc/$service/task/$service/children")" # unshare itself passes no signal on
    wait "$service" || fail "ended with $? when asked to stop: $(tail -3 "$work/log")"
    echo "ended with 0; it has written:"
    find "$work/data" -type f -printf '  /data/%P %m %s bytes\n' | sort
    [ -z "$(find "$work/data" ! -user "$USER_ID")" ] || fail "files in /data that are not the user's"
    ! contain "${health[@]}" 2>/dev/null || fail "found ready after its end"
}

contain() { "${contained[@]}" "$@"; }

await() {
    for _ in $(seq $((PATIENCE * 5))); do
        contain "$@" 2>/dev/null && return
        sleep 0.2
    done
    fail "not ready after $PATIENCE s: $(cat "$work/log" 2>/dev/null)"
}

new_keys() {
    echo 'from pathlib import Path; from cds_wrapper.ledger.pseudonyms import create_keys'
    echo 'create_keys(Path("/data/keys.json"), "try")'
}

# A hook call as an EHR sends it; fails without a card.
call() {
    contain python3 -c '
import json, sys, urllib.request
url, headers = "http://127.0.0.1:8080/cds-services/cvd-risk", {"Content-Type": "application/json"}
request = urllib.request.Request(url, sys.stdin.buffer.read(), headers)
print(" ", json.load(urllib.request.urlopen(request, timeout=10))["cards"][0]["summary"])
' <fixtures/requests/black-35.json
}

"${1:-outside}" "${@:2}"
