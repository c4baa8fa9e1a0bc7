#!/usr/bin/env bash
# Finds the Chromium that the browser tests drive, or installs it from the system's packages.
set -euo pipefail

find_browser() {
    local name
    for name in ${CAI_BROWSER:-chromium chromium-browser google-chrome google-chrome-stable}; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}

if find_browser; then exit 0; fi

if command -v apt-get >/dev/null; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
    if [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; then
        echo "Installing chromium from the system's packages for the browser tests" >&2
        export DEBIAN_FRONTEND=noninteractive
        "${as_root[@]}" apt-get update -qq || true
        "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
            chromium fonts-dejavu-core >/dev/null || true
    fi
fi

if find_browser; then exit 0; fi
cat >&2 <<'MESSAGE'
The browser tests need Chromium or Google Chrome, and it could not be installed from here.
  Debian:        sudo apt-get install chromium
  Ubuntu:        sudo apt-get install chromium-browser   (or Google Chrome's .deb)
  Fedora:        sudo dnf install chromium
  macOS:         brew install --cask google-chrome
or point at one: make test CAI_BROWSER=/path/to/chrome
MESSAGE
exit 1
