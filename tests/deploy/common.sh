# What the parts of `tests/run deploy` share. Sourced, with bash.
#
#   REPIN_DEPLOY_PROFILE   release (default: built first, where it is not up to date) or dev (target/debug as it is)
#
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
target=$(cargo metadata --format-version 1 --no-deps --offline 2>/dev/null |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
target=${target:-$root/target}
work=$target/deploy
logs=$target/tests
profile=${REPIN_DEPLOY_PROFILE:-release}
mkdir -p "$work" "$logs"
export PYTHONPYCACHEPREFIX=$target/pycache
export PATH=$target/tools/bin:$PATH

has() { command -v "$1" >/dev/null 2>&1; }

# Ends the part and says why, without a failure: `skip WHAT WHY`.
skip() {
    printf 'skipped: %s: %s\n' "$1" "$2"
    exit 0
}

# Installs Debian packages unless their commands are there: `need_apt WHAT COMMAND=PACKAGE...`.
need_apt() {
    local what=$1 pair missing=()
    shift
    for pair in "$@"; do has "${pair%%=*}" || missing+=("${pair#*=}"); done
    ((${#missing[@]})) || return 0
    has apt-get || skip "$what" "needs ${missing[*]}, and there is no apt-get to install them with"
    [[ $(id -u) == 0 ]] || skip "$what" "needs ${missing[*]}, and only root can install them"
    echo "installing ${missing[*]}"
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        "${missing[@]}"; } >"$logs/apt.log" 2>&1; then
        skip "$what" "cannot install ${missing[*]} (no network?): $(grep -m 1 '^E:' "$logs/apt.log")"
    fi
}

# Installs a program from the registry of crates, in this version: `need_crate WHAT NAME VERSION`.
need_crate() {
    local what=$1 name=$2 version=$3
    [[ $("$name" --version 2>/dev/null) == *"$version"* ]] && return
    echo "installing $name $version"
    if ! cargo install --quiet --locked --root "$target/tools" "$name" --version "$version" >"$logs/$name.log" 2>&1; then
        skip "$what" "cannot install $name $version (no network?): $(tail -n 1 "$logs/$name.log")"
    fi
}

# Makes a virtual environment, unless it is there for this very lock file: `need_python WHAT [LOCK]`. The locks are
# requirements.txt and requirements-LOCK.txt.
need_python() {
    local venv=$target/venv-deploy${2:+-$2} lock=$root/tests/deploy/requirements${2:+-$2}.txt stamp
    stamp=$(cksum <"$lock")
    python=$venv/bin/python
    [[ -f $venv/.stamp && $(<"$venv/.stamp") == "$stamp" ]] && return
    echo "installing $(grep -c '==' "$lock") pinned Python packages into $venv"
    rm -rf "$venv"
    if ! { "${PYTHON:-python3}" -m venv "$venv" &&
        "$python" -m pip install --quiet --require-hashes --no-deps --only-binary :all: -r "$lock"; } \
        >"$logs/pip-deploy${2:+-$2}.log" 2>&1; then
        skip "$1" "cannot install the Python packages (no network?): $(tail -n 1 "$logs/pip-deploy${2:+-$2}.log")"
    fi
    echo "$stamp" >"$venv/.stamp"
}

# Builds the program, or takes the debug build as it is, and sets `repin` to a copy of it without debug information.
need_repin() {
    local built=$target/release/repin
    if [[ $profile == release ]]; then
        cargo build --quiet --locked --release -p repin
    else
        built=$target/debug/repin
        [[ -x $built ]] || cargo build --quiet --locked -p repin
        echo "taking the debug build: sizes are not those of a release"
    fi
    repin=$work/repin
    # A running copy must not be written over.
    strip -o "$repin.new" "$built" && mv "$repin.new" "$repin"
    export REPIN_BIN=$repin
}

# Makes the Debian root that machines and images start from, once for each list of packages, and names it in
# REPIN_DEPLOY_BASE: `need_debian WHAT`.
need_debian() {
    local suite=bookworm
    local packages=systemd,systemd-sysv,dbus,libnss-systemd,ca-certificates,libgcc-s1,procps,man-db
    REPIN_DEPLOY_BASE=$work/base-$(printf '%s' "$suite $packages" | cksum | cut -d ' ' -f 1).tar
    export REPIN_DEPLOY_BASE
    [[ ! -f $REPIN_DEPLOY_BASE ]] || return 0
    echo "making a Debian root: $suite with $packages"
    # The ending says that a tar file is wanted.
    if ! mmdebstrap --quiet --variant=minbase --include="$packages" --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$suite" "$work/new.tar" >"$logs/mmdebstrap.log" 2>&1; then
        skip "$1" "cannot make a Debian root (no network?): $(tail -n 1 "$logs/mmdebstrap.log")"
    fi
    mv "$work/new.tar" "$REPIN_DEPLOY_BASE"
}

# Runs the tests of a folder: `run_tests FOLDER ARGUMENTS...`.
run_tests() {
    local folder=$1
    shift
    exec "$python" -m pytest -c "$root/tests/deploy/pytest.ini" --rootdir "$root/tests/deploy/$folder" \
        -o cache_dir="$target/pytest-cache" --basetemp "$work/tmp-$folder" "$@" "$root/tests/deploy/$folder"
}
