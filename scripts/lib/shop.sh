# shellcheck shell=bash
# A print shop of one's own for a check, on a free port and with a data folder that goes away.
# After `start_shop`, SHOP is its address; the caller's EXIT trap must call `stop_shop`.

# start_shop [embedded|production]: the all-in-one; or web and a worker on the servers of `scripts/servers`.
start_shop() {
    # Without the all-in-one's name, which `cargo generate` changes. `cargo run` becomes the program: its process id is ours.
    cargo build --locked
    SHOP_DIR=$(mktemp -d)
    SHOP_SETTINGS=(HTTP_ADDR=127.0.0.1:0 RATE_LIMIT=off)
    SHOP_PIDS=()
    SHOP_COMMANDS=()
    if [ "${1:-embedded}" = production ]; then
        local database=shop_$$
        psql --quiet --command "CREATE DATABASE $database" "$TEST_DATABASE_URL"
        SHOP_SETTINGS+=(
            "DATABASE_URL=${TEST_DATABASE_URL%/*}/$database" "AMQP_URL=$TEST_AMQP_URL" "QUEUE_PREFIX=$database."
            "BLOB_URL=file://$SHOP_DIR/blobs" SECRET_KEYS=a-secret-of-the-checks-that-is-long-enough
            # Nobody listens there: mails wait.
            SMTP_URL=smtp://127.0.0.1:9 BASE_URL=http://127.0.0.1 WORKER_HTTP_ADDR=127.0.0.1:0
        )
        SHOP_COMMANDS=(--bin worker)
        shop_command migrate
        in_background worker --bin worker
        in_background web --bin web
        await_shop web
    else
        SHOP_SETTINGS+=("DATA_DIR=$SHOP_DIR/data")
        in_background shop
        await_shop shop
    fi
}

# shop_command ARGUMENT…: a command of the program that has the operators' commands.
shop_command() { env "${SHOP_SETTINGS[@]}" cargo run --locked --quiet "${SHOP_COMMANDS[@]}" -- "$@"; }

# in_background NAME ARGUMENT…: what it says is in NAME.out, its log in NAME.log.
in_background() {
    # It is looked at before the program begins to write.
    touch "$SHOP_DIR/$1.out"
    env "${SHOP_SETTINGS[@]}" cargo run --locked --quiet "${@:2}" >"$SHOP_DIR/$1.out" 2>"$SHOP_DIR/$1.log" &
    SHOP_PIDS+=($!)
}

await_shop() {
    local _
    for _ in $(seq 100); do
        SHOP=$(sed -n 's/^listening on //p' "$SHOP_DIR/$1.out")
        [ -z "$SHOP" ] || return 0
        kill -0 "${SHOP_PIDS[@]}" 2>/dev/null || break
        sleep 0.1
    done
    cat "$SHOP_DIR"/*.log >&2
    return 1
}

stop_shop() {
    [ -n "${SHOP_DIR:-}" ] || return 0
    local pid
    for pid in "${SHOP_PIDS[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$SHOP_DIR"
    SHOP_DIR=
}
