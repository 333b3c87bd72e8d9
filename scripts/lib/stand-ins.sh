# shellcheck shell=bash
# Stand-ins for the images that the Dockerfile and the compose file name, made from Debian's packages: a root file
# system each, with an entry point that does what the compose file relies on, imported under the real image's name.
# They stay under CONTAINERS_CACHE for the next run. STAND_INS is the folder of the entry points.

# The release that the images are made of.
DEBIAN_RELEASE=trixie

# named_images DIRECTORY: what its Dockerfile and compose file take from elsewhere.
named_images() {
    sed --quiet 's/^FROM \([^ ]*:[^ ]*\) .*/\1/p' "$1/Dockerfile"
    sed --quiet 's/^ *image: \([^"$]*\)$/\1/p' "$1/docker-compose.yml"
}

# named_image DIRECTORY BEGINNING: the one that begins so; the stand-in takes its name, whatever version that has.
named_image() { named_images "$1" | grep "^$2" | sed --quiet 1p; }

# copy_project FROM TO: what a fresh clone would have, and what is being worked on.
copy_project() {
    mkdir --parents "$2"
    tar --create --directory="$1" --exclude=./.git --exclude=./.env --exclude=./data --exclude=./target . |
        tar --extract --directory="$2"
}

# make_roots PROJECT
make_roots() {
    lock_roots
    make_server_roots
    # As in the real image: a linker, the C library's headers, the authorities.
    make_root rust ca-certificates gcc libc6-dev
    make_root mailpit python3-aiosmtpd
    add_toolchain "$CONTAINERS_CACHE/rust" "$1"
    unlock_roots
}

# Those that `scripts/servers --next` runs without a container, too.
make_server_roots() {
    make_root base
    make_root postgres postgresql-17 pgbouncer
    make_root rabbitmq rabbitmq-server
}

lock_roots() {
    mkdir --parents "$CONTAINERS_CACHE"
    exec {roots_lock}>"$CONTAINERS_CACHE/lock"
    flock "$roots_lock"
}

unlock_roots() { exec {roots_lock}>&-; }

# make_root NAME PACKAGE…: a folder; half made, it has no stamp and is made anew, as when this file has changed.
make_root() {
    local name=$1 directory=$CONTAINERS_CACHE/$1 stamp=$CONTAINERS_CACHE/$1.stamp recipe
    recipe="$* $(sha256sum <"${BASH_SOURCE[0]}")"
    shift
    if [[ $(cat "$stamp" 2>/dev/null) == "$recipe" ]]; then return; fi
    say "making the stand-in $name"
    rm --recursive --force "$directory" "$directory".{stamp,rust,lock}
    if [[ $name == base ]]; then
        debootstrap --variant=minbase "$DEBIAN_RELEASE" "$directory" "$(debian_mirror)" >"$directory.log" 2>&1
    else
        cp --archive "$CONTAINERS_CACHE/base" "$directory"
        install_into "$directory" "$@" >"$directory.log" 2>&1
    fi || {
        tail "$directory.log" >&2
        die "the stand-in $name can't be made"
    }
    rm --recursive --force "$directory"/var/cache/apt/archives/*.deb "$directory"/var/lib/apt/lists/*
    printf '%s' "$recipe" >"$stamp"
}

# install_into DIRECTORY PACKAGE…: no service is started, and none may prepare its data: that is the entry point's work.
install_into() {
    local directory=$1
    shift
    cp /etc/resolv.conf "$directory/etc/resolv.conf"
    printf '#!/bin/sh\nexit 101\n' >"$directory/usr/sbin/policy-rc.d"
    chmod 755 "$directory/usr/sbin/policy-rc.d"
    mkdir --parents "$directory/etc/postgresql-common"
    echo 'create_main_cluster = false' >"$directory/etc/postgresql-common/createcluster.conf"
    chroot "$directory" apt-get --quiet=2 update
    chroot "$directory" env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes --no-install-recommends install "$@"
}

# add_toolchain ROOT PROJECT: this machine's Rust where the real image has its own, and the crates, since the build has no network.
add_toolchain() {
    local cargo=$1/usr/local/cargo sysroot version
    sysroot=$(rustc --print sysroot) version=$(rustc --version)
    [[ $sysroot != /usr ]] || die 'a Rust of its own folder is needed for the image, as rustup installs it'
    if [[ $(cat "$1.rust" 2>/dev/null) != "$version" ]]; then
        say "adding $version"
        rm --recursive --force "$1.rust" "$1/usr/local/rust"
        mkdir --parents "$1/usr/local/rust/lib/rustlib" "$cargo/bin"
        cp --archive "$sysroot/bin" "$1/usr/local/rust/"
        cp --archive "$sysroot"/lib/*.so* "$1/usr/local/rust/lib/"
        cp --archive "$sysroot"/lib/rustlib/*-linux-* "$1/usr/local/rust/lib/rustlib/"
        ln --symbolic --force /usr/local/rust/bin/cargo /usr/local/rust/bin/rustc "$cargo/bin/"
        printf '%s' "$version" >"$1.rust"
    fi
    if ! cmp --silent "$2/Cargo.lock" "$1.lock"; then
        say 'adding the crates'
        rm --recursive --force "$1.lock" "$cargo/vendor"
        cargo vendor --quiet --locked --manifest-path "$2/Cargo.toml" --versioned-dirs "$cargo/vendor" >/dev/null
        cp "$2/Cargo.lock" "$1.lock"
    fi
    printf '%s\n' '[source.crates-io]' 'replace-with = "vendor"' '[source.vendor]' \
        'directory = "/usr/local/cargo/vendor"' >"$cargo/config.toml"
}

# import_stand_ins DIRECTORY: those that the engine does not have from the last time. Sets BASE_IMAGE.
import_stand_ins() {
    BASE_IMAGE=$(named_image "$1" debian:)
    import base "$BASE_IMAGE" 'CMD ["bash"]'
    import rust "$(named_image "$1" rust:)" \
        'ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    import postgres "$(named_image "$1" postgres:)" 'ENTRYPOINT ["/entry-point"]' 'CMD ["postgres"]' \
        'ENV PATH=/usr/lib/postgresql/17/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data'
    import rabbitmq "$(named_image "$1" rabbitmq:)" 'ENTRYPOINT ["/entry-point"]' 'CMD ["rabbitmq-server"]' \
        'ENV PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/var/lib/rabbitmq'
    import mailpit "$(named_image "$1" axllent/mailpit:)" 'ENTRYPOINT ["/mailpit"]'
}

# import NAME IMAGE INSTRUCTION…
import() {
    local name=$1 image=$2 stamp changes=() instruction
    shift 2
    # Not each has all of these files.
    stamp=$(cat "$CONTAINERS_CACHE/$name".{stamp,rust,lock} "$STAND_INS/$name"{,.py} 2>/dev/null) || true
    stamp=$(sha256sum <<<"$stamp $*")
    stamp=${stamp%% *}
    if [[ $(docker image inspect --format '{{.Config.Labels.stamp}}' "$image" 2>/dev/null) == "$stamp" ]]; then return; fi
    say "importing the stand-in for $image"
    for instruction in "$@" "LABEL stamp=$stamp"; do changes+=(--change "$instruction"); done
    prepare_"$name" "$CONTAINERS_CACHE/$name"
    tar --create --directory="$CONTAINERS_CACHE/$name" --numeric-owner . | docker import "${changes[@]}" - "$image" >/dev/null
}

# As in the real image, which is called slim for that.
prepare_base() { rm --recursive --force "$1"/usr/share/{doc,info,locale,man}/* "$1"/var/cache/*; }
prepare_rust() { :; }

prepare_postgres() {
    install --mode=755 "$STAND_INS/postgres" "$1/entry-point"
    chroot "$1" install --directory --owner=postgres --group=postgres --mode=700 /var/lib/postgresql/data
    # As in the real image: a tmpfs on top takes the folder's mode, but not its owner.
    chmod 3777 "$1/run/postgresql"
}

prepare_rabbitmq() {
    install --mode=755 "$STAND_INS/rabbitmq" "$1/entry-point"
    echo '[rabbitmq_management].' >"$1/etc/rabbitmq/enabled_plugins"
    rm --force "$1/var/lib/rabbitmq/.erlang.cookie"
}

prepare_mailpit() { install --mode=755 "$STAND_INS/mailpit.py" "$1/mailpit"; }
