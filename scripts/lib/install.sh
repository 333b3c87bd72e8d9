# shellcheck shell=bash
# Finds the programs that the tests need, and installs those that are missing with apt.
# Only the programs are wanted: no system service has to run.

# As a program sees it that runs in SERVER_TREE, if there is one.
postgres_bin() {
    local newest
    newest=$(printf '%s\n' "${SERVER_TREE:-}"/usr/lib/postgresql/*/bin/postgres | sort --version-sort | tail --lines=1)
    dirname "${newest#"${SERVER_TREE:-}"}"
}
has_postgres() { [[ -x $(postgres_bin)/postgres ]]; }
has_rabbitmq() { [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]]; }
has_python_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
chromium_path() { printf '%s\n' "${TEST_CHROMIUM:-$(command -v chromium google-chrome | head --lines=1)}"; }
chromedriver_path() { printf '%s\n' "${TEST_CHROMEDRIVER:-$(command -v chromedriver)}"; }

has_locale_sources() { [[ -e /usr/share/i18n/locales/de_DE ]]; }
has_german() { locale --all-locales | grep --quiet --ignore-case '^de_DE\.utf-\?8$'; }

missing_packages() {
    has_postgres || echo postgresql
    has_rabbitmq || echo rabbitmq-server
    has_python_venv || echo python3-venv
    [[ -x $(chromium_path) ]] || echo chromium
    [[ -x $(chromedriver_path) ]] || echo chromium-driver
    command -v openssl >/dev/null || echo openssl
    command -v curl >/dev/null || echo curl
    [[ -x /usr/sbin/pgbouncer ]] || echo pgbouncer
    has_german || has_locale_sources || echo locales
}

install_missing() {
    local packages become=()
    if ((EUID != 0)); then become=(sudo); fi
    install_packages_missing
    # In this language the errors of PostgreSQL are for some tests: no decision may depend on their words.
    has_german || "${become[@]}" localedef --inputfile=de_DE --charmap=UTF-8 de_DE.UTF-8
}

install_packages_missing() {
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]})) || return 0
    command -v apt-get >/dev/null || die "these must be installed by hand (no apt-get here): ${packages[*]}"
    say "installing ${packages[*]}"
    "${become[@]}" apt-get update >&2
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "${packages[@]}" >&2
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]} == 0)) || die "still missing after the installation: ${packages[*]}"
}
