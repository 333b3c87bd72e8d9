# shellcheck shell=bash
# The checks of scripts/check-containers, in their order. They know neither engine nor images, only `docker`.

WORKERS=3

# check_containers DIRECTORY: of a copy of the project.
check_containers() {
    cd "$1" || exit
    containers_log=$1/../log
    check 'without .env the compose file refuses: it has no secret of its own' refuses_without_secrets
    check 'scripts/compose-env makes one that only its owner reads' makes_secrets
    check 'both images are built' docker compose build
    check 'each has its own program and nothing of the other' one_program_each
    check 'neither has a secret in it, in its history or in its settings' no_secret_in_images
    check "everything starts, with $WORKERS workers" docker compose up --detach --wait --scale "worker=$WORKERS"
    check 'all are healthy' all_healthy
    check 'the migration ran once and ended well' migrated_once
    check 'no process is root or can become it' nobody_is_root
    make_photo
    shop=http://$(docker compose port web 8080) mailbox=http://$(docker compose port mailpit 8025)
    check 'a customer gets a token' get_token
    check 'a 12-megapixel upload is accepted' upload_accepted
    check 'its job succeeds' job_succeeds upload
    check 'its three sizes are there' three_sizes
    check 'an order is accepted, once' order_accepted_once
    check 'it is confirmed' order_confirmed
    check 'its mail arrives, and the link in it opens without a token' mail_arrives
    check 'a worker is killed in the middle: nothing is lost' killed_worker_loses_nothing
    check 'the killed worker comes back' comes_back
    check 'no secret is in a log' no_secret_in_logs
    check 'down --volumes leaves nothing' leaves_nothing
}

# check NAME COMMAND…: one line about it; what it prints is shown only when it fails.
check() {
    local name=$1 start=$SECONDS
    shift
    : >detail
    # In the background: a function that is called in a condition goes on after a command that failed.
    ("$@") >"$containers_log" 2>&1 &
    wait $! || {
        tail --lines=60 "$containers_log" >&2
        docker compose ps --all >&2 || true
        docker compose logs --tail 15 >&2 || true
        printf 'FAILED  %s, after %s s\n' "$name" $((SECONDS - start))
        exit 1
    }
    printf 'ok  %s%s, %s s\n' "$name" "$(<detail)" $((SECONDS - start))
}

# detail WORD…: what the check's line tells beside its name.
detail() { printf ' (%s)' "$*" >detail; }

# fail WORD…: why a check ends.
fail() {
    echo "$*"
    return 1
}

# ---- the images ----

refuses_without_secrets() {
    local answer
    if answer=$(docker compose config 2>&1); then fail "no refusal: $answer"; fi
    grep 'run scripts/compose-env first' <<<"$answer"
}

makes_secrets() {
    scripts/compose-env
    [[ $(stat --format=%a .env) == 600 ]] || fail "its mode is $(stat --format=%a .env)"
    docker compose config --quiet
}

secrets() { cut --delimiter== --fields=2- .env; }

# Those that the compose file builds.
our_images() { docker compose config --format json | jq --raw-output '.name as $name | "\($name)-web", "\($name)-worker"'; }

one_program_each() {
    local image programs sizes=''
    for image in $(our_images); do
        programs=$(docker run --rm --network none --entrypoint ls "$image" /usr/local/bin)
        [[ $programs == "${image##*-}" ]] || fail "$image has: $programs"
        docker run --rm --network none "$image" --version
        [[ $(docker image inspect --format '{{.Config.User}}' "$image") =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "$image runs as root"
        sizes+="${sizes:+, }${image##*-} $(($(docker image inspect --format '{{.Size}}' "$image") / 1000000)) MB,"
        sizes+=" its program $(($(docker run --rm --network none --entrypoint stat "$image" --format=%s "/usr/local/bin/$programs") / 1000000)) MB"
    done
    detail "$sizes"
}

no_secret_in_images() {
    local image container
    for image in $(our_images); do
        docker history --no-trunc "$image" >layers.txt
        docker image inspect "$image" >>layers.txt
        if secrets | grep --fixed-strings --file=- layers.txt; then fail "a secret is in $image"; fi
        container=$(docker create "$image")
        docker export --output files.tar "$container"
        docker rm "$container"
        if secrets | grep --text --quiet --fixed-strings --file=- files.tar; then fail "a secret is in a file of $image"; fi
    done
    rm layers.txt files.tar
}

# ---- what runs ----

containers() { docker compose ps --all --quiet "$@"; }

all_healthy() {
    local container state
    for container in $(containers web worker postgres rabbitmq mailpit); do
        state=$(docker inspect --format '{{.Name}} {{.State.Health.Status}} {{.RestartCount}}' "$container")
        echo "$state"
        [[ $state == *' healthy 0' ]] || return 1
    done
    [[ $(containers worker | wc --lines) == "$WORKERS" ]] || fail "workers: $(containers worker | wc --lines)"
}

migrated_once() {
    local state rows
    state=$(docker inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' "$(containers migrate)")
    [[ $state == 'exited 0 0' ]] || fail "$state"
    # shellcheck disable=SC2016 # for the shell in the container, which knows the user, for whom the database is named
    rows=$(docker compose exec -T postgres sh -c 'psql --username="$POSTGRES_USER" --host=/run/postgresql \
        --tuples-only --no-align --command="select count(*) from __diesel_schema_migrations"')
    [[ $rows == "$(find migrations/postgres -mindepth 1 -type d | wc --lines)" ]] || fail "migrations in the database: $rows"
    detail "$rows in the database"
}

# The first process of each container, and all others in it.
nobody_is_root() {
    local container status
    for container in $(containers web worker postgres rabbitmq mailpit); do
        status=$(docker exec "$container" sh -c 'cat /proc/[0-9]*/status 2>/dev/null || true')
        grep '^Uid:' <<<"$status" | sort | uniq --count
        if grep --perl-regexp '^Uid:.*\t0(\t|$)' <<<"$status"; then fail "$container has a process of root's"; fi
        if grep '^CapEff:' <<<"$status" | grep --invert-match '\s0*$'; then fail "$container has a privilege"; fi
        if grep '^NoNewPrivs:' <<<"$status" | grep --invert-match '\s1$'; then fail "$container could become root"; fi
    done
}

# ---- the story of docs/story.md ----

# 12 megapixels of grain, which compresses as badly as a photograph.
make_photo() {
    head --bytes=1200000 /dev/urandom >grain
    { printf 'P6\n4000 3000\n255\n' && for _ in {1..30}; do cat grain; done; } | cjpeg -quality 30 -outfile photo.jpg
}

call() { curl --silent --show-error --fail --max-time 60 --header "@authorization" "$@"; }

get_token() {
    curl --silent --show-error --fail --request POST "$shop/api/tokens" >token.json
    jq --exit-status --raw-output '"Authorization: Bearer \(.token)"' token.json >authorization
}

upload() { call --form file=@photo.jpg "$shop/api/photos"; }

upload_accepted() {
    upload >upload.json
    jq --exit-status '.photo.status == "processing"' upload.json
    detail "$(($(stat --format=%s photo.jpg) / 1000000)) MB"
}

# await_job JOB: polls until it has ended, prints it.
await_job() {
    local job
    for _ in {1..10}; do
        job=$(call --header 'Prefer: wait=30' "$shop$1")
        case $(jq --raw-output .status <<<"$job") in
        succeeded | failed | cancelled)
            echo "$job"
            return
            ;;
        esac
    done
    fail "$job"
}

# job_succeeds NAME: the one that the answer in NAME.json promises.
job_succeeds() {
    await_job "$(jq --raw-output .job.links.self "$1.json")" >job.json
    cat job.json
    jq --exit-status '.status == "succeeded"' job.json
}

three_sizes() {
    local photo size found
    photo=$(jq --raw-output .photo.id upload.json)
    call "$shop/api/photos/$photo" >photo.json
    found=$(jq --raw-output '[.variants[] | "\(.name) \(.width)x\(.height)"] | sort | join(", ")' photo.json)
    [[ $found == 'large 1200x900, medium 480x360, thumb 160x120' ]] || fail "$(<photo.json)"
    for size in thumb medium large; do
        call --output "$size.jpg" "$shop/photos/$photo/$size"
        [[ $(stat --format=%s "$size.jpg") == "$(jq --arg size "$size" '.variants[] | select(.name == $size).bytes' photo.json)" ]] ||
            fail "$size is cut short"
        djpeg -outfile /dev/null "$size.jpg"
    done
    detail "$found"
}

place_order() {
    call --header 'Idempotency-Key: one' --json '{
        "email": "ada@example.org",
        "payment_token": "tok_ok",
        "lines": [{"photo_id": "'"$(jq --raw-output .photo.id upload.json)"'", "product": "print-10x15", "quantity": 2}]
    }' "$shop/api/orders"
}

order_accepted_once() {
    place_order >order.json
    place_order >again.json
    [[ $(jq .order.id order.json) == "$(jq .order.id again.json)" ]] || fail 'two orders'
}

order_confirmed() {
    job_succeeds order
    call "$shop/api/orders/$(jq --raw-output .order.id order.json)" >confirmed.json
    jq --exit-status '.status == "confirmed"' confirmed.json || fail "$(<confirmed.json)"
    detail "$(jq --raw-output '[.timeline[].event] | join(", ")' confirmed.json)"
}

mail_is_there() {
    curl --silent --fail "$mailbox/api/v1/messages" >mails.json
    jq --exit-status '[.messages[] | select(.To[].Address == "ada@example.org")] | length == 1' mails.json
}

mail_arrives() {
    local link
    wait_until 60 mail_is_there || fail "$(<mails.json)"
    curl --silent --show-error --fail "$mailbox/api/v1/message/$(jq --raw-output '.messages[0].ID' mails.json)" >mail.json
    link=$(jq --raw-output .Text mail.json | grep --only-matching 'http[^ >]*/orders/[^ >]*' | sed --quiet 1p)
    curl --silent --show-error --fail --output /dev/null "${link%$'\r'}"
    detail "$(jq --raw-output '.messages[0].Subject' mails.json)"
}

# ---- the crash ----

# running: what is at a worker, a line each: the job, and the host of the worker's process.
running() {
    # shellcheck disable=SC2016 # for the shell in the container
    docker compose exec -T postgres sh -c 'psql --username="$POSTGRES_USER" --host=/run/postgresql \
        --dbname="$POSTGRES_DB" --no-align --tuples-only --field-separator=" " --command="
            SELECT jobs.id, processes.host FROM jobs JOIN processes ON processes.id = jobs.worker
            WHERE jobs.state = '"'running'"' ORDER BY 2, 1"'
}

# kill_busy_worker: as soon as one is seen at work; what it was doing is in the file `cut-off`. All are held meanwhile:
# a thumbnail takes a tenth of a second, and would be done before its worker is killed.
kill_busy_worker() {
    local container before='' now
    docker compose pause worker
    # What was on its way to the database when they were held arrives.
    now=$(running)
    until [[ $now == "$before" ]]; do
        before=$now now=$(running)
    done
    for container in $(containers worker); do
        grep " ${container::12}\$" <<<"$now" | cut --delimiter=' ' --fields=1 >cut-off || true
        if [[ -s cut-off ]]; then
            docker kill "$container"
            break
        fi
    done
    docker compose unpause worker || true
    [[ -s cut-off ]]
}

killed_worker_loses_nothing() {
    local uploads=12 i cut=0 jobs again=0 job
    (for ((i = 0; i < uploads; i++)); do upload >"upload-$i.json"; done) &
    wait_until 30 kill_busy_worker || fail 'no worker was at work'
    wait $!
    [[ $(containers --status running worker | wc --lines) == $((WORKERS - 1)) ]] || fail 'it is not dead'
    jobs=$(jq --raw-output .job.links.self upload-*.json)
    [[ $(wc --lines <<<"$jobs") == "$uploads" ]] || fail "$jobs"
    for job in $jobs; do
        await_job "$job" >job.json
        jq --exit-status '.status == "succeeded"' job.json || fail "$(<job.json)"
        if jq --exit-status '.attempt > 1' job.json; then again=$((again + 1)); fi
        if grep --quiet --line-regexp "${job##*/}" cut-off; then cut=$((cut + 1)); fi
    done
    ((cut && again)) || fail 'nothing was cut off'
    detail "$uploads photos, $cut running in the killed one, $again tried again"
}

comes_back() {
    docker compose up --detach --wait --scale "worker=$WORKERS"
    all_healthy
}

# ---- the end ----

no_secret_in_logs() {
    docker compose logs --no-color >logs.txt
    [[ -s logs.txt ]] || fail 'no log at all'
    if secrets | grep --fixed-strings --file=- logs.txt; then fail 'a secret is in a log'; fi
    rm logs.txt
}

leaves_nothing() {
    local project left
    project=$(docker compose config --format json | jq --raw-output .name)
    docker compose down --volumes
    left=$(
        docker ps --all --quiet --filter "label=com.docker.compose.project=$project"
        docker volume ls --quiet --filter "label=com.docker.compose.project=$project"
        docker network ls --quiet --filter "label=com.docker.compose.project=$project"
    )
    [[ -z $left ]] || fail "left: $left"
}
