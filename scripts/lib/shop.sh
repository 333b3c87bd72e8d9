# shellcheck shell=bash
# A print shop of one's own for a check: the all-in-one on a free port and a data folder that goes away.
# After `start_shop`, SHOP is its address; the caller's EXIT trap must call `stop_shop`.

start_shop() {
    # Without the program's name, which `cargo generate` changes. `cargo run` becomes the program: its process id is ours.
    cargo build --locked
    SHOP_DIR=$(mktemp -d)
    # It is looked at before the program begins to write.
    touch "$SHOP_DIR/out"
    DATA_DIR=$SHOP_DIR/data HTTP_ADDR=127.0.0.1:0 RATE_LIMIT=off \
        cargo run --locked --quiet >"$SHOP_DIR/out" 2>"$SHOP_DIR/log" &
    SHOP_PID=$!
    local _
    for _ in $(seq 100); do
        SHOP=$(sed -n 's/^listening on //p' "$SHOP_DIR/out")
        [ -z "$SHOP" ] || return 0
        kill -0 "$SHOP_PID" 2>/dev/null || break
        sleep 0.1
    done
    cat "$SHOP_DIR/log" >&2
    return 1
}

stop_shop() {
    [ -n "${SHOP_PID:-}" ] || return 0
    kill "$SHOP_PID" 2>/dev/null || true
    wait "$SHOP_PID" 2>/dev/null || true
    rm -rf "$SHOP_DIR"
    SHOP_PID=
}
