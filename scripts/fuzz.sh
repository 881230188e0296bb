#!/bin/sh
# fuzz.sh SECONDS [TARGET]: gives each target, or one, so long to find bytes that divien does not stand. What is found for
# the corpus stays in tests/fuzz/target; bytes that break something are kept in tests/fuzz/artifacts.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
seconds=$1
fuzz=tests/fuzz

stop() {
    printf 'fuzz: %s\n' "$@" >&2
    exit 1
}

rustup toolchain list 2>/dev/null | grep -q '^nightly' ||
    stop "a nightly Rust toolchain is missing." "Run: rustup toolchain install nightly"
command -v cargo-fuzz >/dev/null 2>&1 ||
    stop "cargo-fuzz is missing." "Run: cargo install --locked cargo-fuzz"

cd "$root"
failed=0
targets=${2:-$(cargo fuzz list --fuzz-dir "$fuzz")}
for target in $targets; do
    words=
    leaks=1
    case $target in formats | texts) words=-dict=$fuzz/words.dict ;; esac
    # What GStreamer keeps of its plugins looks like a leak.
    case $target in formats | texts | units) leaks=0 ;; esac
    found=$fuzz/target/corpus/$target
    mkdir -p "$found"
    echo "fuzz: $target for $seconds s"
    # A body of 512 MB is the largest that a frame may have.
    ASAN_OPTIONS=detect_leaks=$leaks cargo +nightly fuzz run --fuzz-dir "$fuzz" "$target" "$found" "$fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=600 -print_final_stats=1 $words || failed=1
done
exit $failed
