#!/bin/sh
# memory.sh [FRAMES [MAX-BUFFERED-BYTES [WIDTH HEIGHT]]]: the most memory raw frames take on their way through divienenc.
#
# Encodes a tenth of FRAMES (10000) and then all of them, and as many encoders on their own as work at once. Each run
# must stay within MAX-BUFFERED-BYTES (256 MiB), what the encoders take on their own, and two frames on their way into
# each. GST_PLUGIN_PATH names the folder of the plugin; without it target/release is used.
set -eu

frames=${1:-10000}
most=${2:-268435456}
width=${3:-1920}
height=${4:-1080}
workers=4
root=$(dirname "$(realpath "$0")")/..
GST_PLUGIN_PATH=${GST_PLUGIN_PATH:-$(realpath "$root/target/release")}
export GST_PLUGIN_PATH
gst-inspect-1.0 divienenc >/dev/null 2>&1 || {
    echo "there is no divienenc in $GST_PLUGIN_PATH: cargo build --release -p gst-plugin-divien makes it" >&2
    exit 1
}

# As divien has it: what the C library hands out is written at once, and counts as used.
export MALLOC_PERTURB_=255

encoder="x264enc speed-preset=ultrafast"
frames_of() {
    echo "videotestsrc num-buffers=$1 ! video/x-raw,format=I420,width=$width,height=$height,framerate=25/1"
}

# The most memory that a gst-launch line took, in KiB: the kernel keeps the peak until the process ends.
peak() {
    sh -c "exec gst-launch-1.0 -q $1" >/dev/null &
    process=$!
    seen=0
    while now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$process/status 2>/dev/null) && [ -n "$now" ]; do
        seen=$now
        sleep 0.05
    done
    wait $process || { echo "this line failed: $1" >&2; exit 1; }
    echo "$seen"
}

mebibytes() {
    echo "$(($1 / 1024)) MiB"
}

alone=
n=0
while [ $n -lt $workers ]; do
    alone="$alone $(frames_of 300) ! queue max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! $encoder threads=1 ! fakesink"
    n=$((n + 1))
done
alone=$(peak "$alone")
echo "$workers encoders on their own: $(mebibytes "$alone")"
frame=$((width * height * 3 / 2))
bound=$((alone + (most + (2 * workers + 2) * frame) / 1024))
echo "with $((most / 1048576)) MiB and $((2 * workers + 2)) frames more: $(mebibytes $bound)"

for count in $((frames / 10)) "$frames"; do
    taken=$(peak "$(frames_of "$count") ! \
        divienenc encoder='$encoder' workers=$workers max-buffered-bytes=$most ! fakesink")
    echo "$count frames: $(mebibytes "$taken")"
    [ "$taken" -le $bound ] || { echo "that is more than max-buffered-bytes and the encoders take" >&2; exit 1; }
done
