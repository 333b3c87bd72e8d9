# shellcheck shell=bash
# A container engine of one's own, in name spaces of its own for processes, mounts and the network.
# It meets nothing of the machine: no other engine, no port, no bridge, no packet filter. And nothing can survive it:
# when the first process of a process name space dies, the kernel ends all others, mounts and networks included.

# The compose and buildx plugins come from the next release, since this one has none.
PLUGINS_RELEASE=trixie

install_packages() {
    (($#)) || return 0
    command -v apt-get >/dev/null || die "these must be installed by hand (no apt-get here): $*"
    local become=()
    if ((EUID != 0)); then become=(sudo); fi
    say "installing $*"
    "${become[@]}" apt-get update --quiet=2 >&2
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --quiet=2 --yes --no-install-recommends "$@" >&2
}

# why_no_engine DIRECTORY: sets `reason` and fails if an engine of one's own can't be had at all.
why_no_engine() {
    reason=''
    if ((EUID != 0)); then
        reason='an engine of its own needs root'
    elif ! command -v apt-get >/dev/null; then
        reason='the engine and the stand-ins for the images come from Debian, and there is no apt-get'
    elif ! unshare --mount --net --pid --fork --mount-proc true 2>/dev/null; then
        reason='name spaces are not allowed'
    elif ! mknod "$1/device" c 1 3 2>/dev/null; then
        reason='root has not its privileges'
    fi
    [[ -z $reason ]]
}

install_engine() {
    local packages=()
    command -v dockerd >/dev/null || packages+=(docker.io)
    command -v iptables >/dev/null || packages+=(iptables)
    command -v ip >/dev/null || packages+=(iproute2)
    command -v debootstrap >/dev/null || packages+=(debootstrap)
    install_packages "${packages[@]}"
    # Later releases have the command in a package of its own.
    command -v docker >/dev/null || install_packages docker-cli
}

# install_plugins DIRECTORY: the plugins' packages are unpacked and not installed: what they depend on is elsewhere.
install_plugins() {
    local cache=$CONTAINERS_CACHE/plugins-$PLUGINS_RELEASE
    if [[ ! -e $cache/stamp ]]; then
        rm --recursive --force "$cache"
        mkdir --parents "$cache"
        download_packages "$cache" docker-compose docker-buildx
        for package in "$cache"/*.deb; do dpkg --extract "$package" "$cache"; done
        touch "$cache/stamp"
    fi
    mkdir --parents "$1"
    find "$cache" -path '*/cli-plugins/*' -type f -perm -100 -exec cp --target-directory="$1" {} +
}

# download_packages DIRECTORY PACKAGE…: of PLUGINS_RELEASE, without a trace in the machine's own apt.
download_packages() {
    local directory=$1 apt=$1/apt
    shift
    mkdir --parents "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) $PLUGINS_RELEASE main" >"$apt/sources.list"
    local options=(
        -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root
    )
    apt-get "${options[@]}" --quiet=2 update >&2
    (cd "$directory" && apt-get "${options[@]}" --quiet=2 download "$@" >&2)
    rm --recursive "$apt"
}

# The mirror that this machine's apt is set to.
debian_mirror() {
    local mirror
    # shellcheck disable=SC2016 # apt's own variables
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sed --quiet 1p)
    printf '%s\n' "${mirror:-http://deb.debian.org/debian}"
}

# in_name_spaces COMMAND…: also if this script is killed, the command ends with all that it has started.
in_name_spaces() {
    setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child --mount-proc -- "$@" </dev/null &
    name_spaces=$!
    wait "$name_spaces"
}

end_name_spaces() {
    [[ -z ${name_spaces:-} ]] || kill_and_wait KILL 30 "$name_spaces" || say 'error: the engine could not be ended'
}

# discard DIRECTORY: what an engine, or the end of one, leaves there and elsewhere.
discard() {
    # Until the last process has ended, there may be new files.
    wait_until 30 rm --recursive --force "$1" || say "error: $1 could not be removed"
    # What the kernel keeps of a group of processes that is gone is an empty folder.
    find /sys/fs/cgroup -depth -type d -path "*/$(basename "$1")*" -exec rmdir {} \; 2>/dev/null || true
}

# discard_after PID DIRECTORY: in the background, in case that process is killed without a chance to do so itself.
discard_after() {
    (
        trap '' INT TERM HUP
        tail --pid="$1" --follow /dev/null
        discard "$2"
    ) </dev/null >/dev/null 2>&1 &
}

# remove_leftovers: of a run that failed and whose data was kept. The build cache stays.
remove_leftovers() {
    local names
    mapfile -t names < <(docker ps --all --quiet)
    ((${#names[@]} == 0)) || docker rm --force "${names[@]}"
    mapfile -t names < <(docker volume ls --quiet)
    ((${#names[@]} == 0)) || docker volume rm --force "${names[@]}"
    docker image prune --force
}

# start_engine DIRECTORY DATA: sets the variables by which `docker` finds it.
start_engine() {
    export DOCKER_HOST=unix://$1/engine.sock DOCKER_CONFIG=$1/docker
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY
    ip link set lo up
    dockerd --data-root "$2" --exec-root "$1/exec" --pidfile "$1/engine.pid" --host "$DOCKER_HOST" \
        --cgroup-parent "/$(basename "$1")" >"$1/engine.log" 2>&1 &
    local engine=$!
    # shellcheck disable=SC2317 # `wait_until` calls it
    is_up_or_dead() { ! is_running "$engine" || docker version >/dev/null 2>&1; }
    wait_until 60 is_up_or_dead && is_running "$engine"
}
