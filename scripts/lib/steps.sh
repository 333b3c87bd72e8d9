# shellcheck shell=bash
# `step NAME COMMAND…`: runs a step of a longer check, says how long it took, ends the script when it fails.

step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n==> %s\n' "$name"
    "$@" || {
        printf '==> %s: FAILED after %s s\n' "$name" $((SECONDS - start))
        exit 1
    }
    printf '==> %s: passed in %s s\n' "$name" $((SECONDS - start))
}
