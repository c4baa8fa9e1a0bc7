#!/usr/bin/env bash
# Makes .venv and installs what is missing: `scripts/setup.sh app` or `scripts/setup.sh dev`.
# Installs again only when the requirement files (or the interpreter) changed; a stamp inside
# .venv, keyed by their hash, remembers what is there.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
minimum="3.11"

say() { printf '%s\n' "$*" >&2; }
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if new_enough "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    say "CAI Workbench needs Python $minimum or newer; found $(python3 --version 2>&1 || true)."
    say "Install one (Debian/Ubuntu: apt-get install python3.11-venv, macOS: brew install python@3.12)"
    say "or name yours: make install PYTHON=/path/to/python3.12"
    return 1
}

make_venv() {
    local base
    if [ -x "$python" ]; then
        if new_enough "$python"; then return; fi
        say ".venv holds no working Python $minimum or newer. Delete it (rm -rf .venv) and try again."
        return 1
    fi
    base=$(find_python)
    say "Making .venv with $("$base" --version)"
    if command -v uv >/dev/null; then
        uv venv --quiet --python "$base" .venv
    elif ! "$base" -m venv .venv; then
        rm -rf .venv
        say "Python's venv module is incomplete. Debian/Ubuntu: apt-get install python3-venv, then again."
        return 1
    fi
}

# uv does not read pip's configuration. Without pip's find-links it would take the CUDA build of
# torch where pip is set up to take the CPU build.
share_pip_settings() {
    local links
    links=${PIP_FIND_LINKS:-$(python3 -m pip config get global.find-links 2>/dev/null || true)}
    if [ -n "$links" ] && [ -z "${UV_FIND_LINKS:-}" ]; then
        export UV_FIND_LINKS="${links//[[:space:]]/,}"
    fi
}

install_packages() {
    if command -v uv >/dev/null; then
        share_pip_settings
        uv pip install --python "$python" "$@"
    else
        "$python" -m pip install --quiet --disable-pip-version-check "$@"
    fi
}

# One requirement set: installed when its hash is not the one on the stamp.
ensure() {
    local name=$1 stamp=".venv/.installed-$1" wanted arguments=() file
    shift
    wanted=$("$python" -c '
import hashlib, pathlib, sys
parts = [sys.version.encode()] + [pathlib.Path(name).read_bytes() for name in sys.argv[1:]]
print(hashlib.sha256(b"\0".join(parts)).hexdigest())' "$@")
    if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then return; fi
    for file in "$@"; do arguments+=(-r "$file"); done
    say "Installing $* (a minute with pip, seconds with uv)"
    install_packages "${arguments[@]}"
    printf '%s\n' "$wanted" >"$stamp"
}

application_files() {
    if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then
        echo requirements-cpu.txt requirements.txt
    else
        echo requirements-cpu.txt
    fi
}

make_venv
# shellcheck disable=SC2046  # the file names hold no spaces
ensure app $(application_files)
case ${1:-app} in
    app) ;;
    dev) ensure dev requirements-dev.txt ;;
    *) say "usage: scripts/setup.sh [app|dev]"; exit 2 ;;
esac
