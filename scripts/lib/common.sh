# shellcheck shell=bash
# What the scripts beside this file share: messages, waiting, processes.
# Nothing here knows a particular server.

# Every process of a run carries this variable with the run's directory as its value, so that the end of the run
# finds them all, those too whose parent died or whose process id was never written down.
MARK=SYSTEM_TEST_RUN

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# become USER [NAME=VALUE…]: sets `as_service` to the beginning of a command that runs a server's program in a clean
# environment. Servers refuse to run as root, or should; an ordinary user runs them as himself. (It is an array and not
# a function, so that `$!` of such a command is the server and not a shell that waits for it.)
# With SERVER_TREE the program is that of another release of the system, which is unpacked there: see `in-tree`.
become() {
    local user=$1
    shift
    as_service=(env --ignore-environment PATH="$PATH" HOME="$PWD" LANG=C.UTF-8 "$MARK=${!MARK}" "$@")
    if ((EUID == 0)); then
        as_service=(setpriv --reuid="$user" --regid="$user" --init-groups -- "${as_service[@]}")
    fi
    if [[ -n ${SERVER_TREE:-} ]]; then as_service=("${BASH_SOURCE[0]%/*}/in-tree" "$SERVER_TREE" "${as_service[@]}"); fi
}

# own USER PATH…: gives files to the user who runs the server.
own() {
    local ids=$1:
    # It has users of its own.
    if [[ -n ${SERVER_TREE:-} ]]; then ids=$(sed --quiet "s/^$1:[^:]*:\([0-9]*:[0-9]*\):.*/\1/p" "$SERVER_TREE/etc/passwd"); fi
    if ((EUID == 0)); then chown --recursive "$ids" "${@:2}"; fi
}

# is_running PID: a zombie counts as gone, because in a container there may be nobody who reaps it.
is_running() {
    local state
    state=$(sed --quiet 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
    [[ -n $state && $state != [ZX] ]]
}

# wait_until SECONDS COMMAND…: tries COMMAND until it succeeds.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# kill_and_wait SIGNAL SECONDS PID…
kill_and_wait() {
    local signal=$1 seconds=$2 pid
    shift 2
    kill "-$signal" "$@" 2>/dev/null || true
    for pid in "$@"; do
        wait_until "$seconds" is_gone "$pid" || return 1
    done
}

is_gone() { ! is_running "$1"; }

# kill_run DIRECTORY: ends every process that carries the mark of this run.
kill_run() {
    local environ pids
    unset "$MARK"
    while true; do
        pids=()
        while read -r environ; do
            environ=${environ#/proc/}
            environ=${environ%/environ}
            if is_running "$environ"; then pids+=("$environ"); fi
        done < <(grep --files-with-matches --null-data --no-messages --line-regexp --fixed-strings \
            "$MARK=$1" /proc/[0-9]*/environ)
        ((${#pids[@]})) || return 0
        kill_and_wait KILL 10 "${pids[@]}" || return 1
    done
}
