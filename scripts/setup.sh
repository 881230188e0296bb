#!/bin/sh
# setup.sh build|test|quality: is everything here that a build, the tests, or measuring quality need? Installs Debian packages that are missing.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
what=${1:-build}

build="gcc libc6-dev pkgconf ca-certificates
libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
gstreamer1.0-tools gstreamer1.0-plugins-base-apps gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav"
tests="ffmpeg mkvtoolnix mediainfo chromium faketime procps python3"

case $what in
    build) packages=$build ;;
    test) packages="$build $tests" ;;
    quality) packages="$build $tests python3-venv" ;;
    *) echo "setup.sh: '$what' is neither 'build' nor 'test' nor 'quality'" >&2; exit 2 ;;
esac

stop() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

needed=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
if ! command -v cargo >/dev/null 2>&1; then
    if [ -x "$HOME/.cargo/bin/cargo" ]; then
        stop "cargo is installed, but not on PATH." "Run: . \"\$HOME/.cargo/env\""
    fi
    stop "cargo is missing; Rust $needed or later is needed (Debian 12's own is too old)." \
        "Install it from https://rustup.rs, open a new shell, and try again."
fi
have=$(cd "$root" && cargo --version 2>/dev/null | cut -d ' ' -f 2)
if [ -z "$have" ]; then
    stop "cargo is installed, but 'cargo --version' fails." "Run: rustup default stable"
fi
if [ "$(printf '%s\n%s\n' "$needed" "$have" | sort -V | head -n 1)" != "$needed" ]; then
    stop "cargo $have is too old; Rust $needed or later is needed." \
        "Run: rustup update stable   (no rustup? https://rustup.rs)"
fi

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "setup: this is no Debian; nothing was installed. What Debian calls these is needed:" >&2
    echo "$packages" >&2
    exit 0
fi

missing=
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "setup: installing$missing"
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
    echo "setup: through sudo, which may ask for your password"
else
    stop "not root, and there is no sudo." "Run as root: apt-get update && apt-get install -y$missing"
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # both are lists of words
{
    $as_root apt-get update -q || stop "apt-get update failed; see above."
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing ||
        stop "apt-get could not install:$missing" "See its message above."
}
