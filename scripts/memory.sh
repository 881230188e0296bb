#!/bin/sh
# memory.sh raw [FRAMES [MAX-BUFFERED-BYTES [WIDTH HEIGHT]]]: the most memory raw frames take on their way through divienenc.
# memory.sh file [FRAMES [MOST]]: the most memory that divien takes for a file of 1080p H.264, beyond its encoders' own.
#
# raw encodes a tenth of FRAMES (10000) and then all of them, and as many encoders on their own as work at once. Each run
# must stay within MAX-BUFFERED-BYTES (256 MiB), what the encoders take on their own, and two frames on their way into
# each. file encodes FRAMES (2000) in chunks of 25 and of 250, with -w 1, whose last two chunks are encoded at once, and with
# -w 8, and must stay within MOST (200 MiB) beyond what two and eight encoders take on their own. Everything is taken from
# target/release, or, the plugin, from GST_PLUGIN_PATH.
set -eu

root=$(realpath "$(dirname "$(realpath "$0")")/..")
GST_PLUGIN_PATH=${GST_PLUGIN_PATH:-$root/target/release}
export GST_PLUGIN_PATH
# As divien has it: what the C library hands out is written at once, and counts as used.
export MALLOC_PERTURB_=255

encoder="x264enc speed-preset=ultrafast"
# frames_of COUNT WIDTH HEIGHT
frames_of() {
    echo "videotestsrc num-buffers=$1 ! video/x-raw,format=I420,width=$2,height=$3,framerate=25/1"
}

# The most memory that a command took, in KiB: the kernel keeps the peak until the process ends.
peak() {
    sh -c "exec $1" >/dev/null &
    process=$!
    seen=0
    while now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$process/status 2>/dev/null) && [ -n "$now" ]; do
        seen=$now
        sleep 0.05
    done
    wait $process || { echo "this failed: $1" >&2; exit 1; }
    echo "$seen"
}

mebibytes() {
    echo "$(($1 / 1024)) MiB"
}

# encoders_alone COUNT WIDTH HEIGHT
encoders_alone() {
    line=
    n=0
    while [ $n -lt "$1" ]; do
        line="$line $(frames_of 300 "$2" "$3") ! queue max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! \
            $encoder threads=1 ! fakesink"
        n=$((n + 1))
    done
    peak "gst-launch-1.0 -q $line"
}

raw() {
    frames=${1:-10000}
    most=${2:-268435456}
    width=${3:-1920}
    height=${4:-1080}
    workers=4
    gst-inspect-1.0 divienenc >/dev/null 2>&1 || {
        echo "there is no divienenc in $GST_PLUGIN_PATH: cargo build --release -p gst-plugin-divien makes it" >&2
        exit 1
    }
    alone=$(encoders_alone $workers "$width" "$height")
    echo "$workers encoders on their own: $(mebibytes "$alone")"
    frame=$((width * height * 3 / 2))
    bound=$((alone + (most + (2 * workers + 2) * frame) / 1024))
    echo "with $((most / 1048576)) MiB and $((2 * workers + 2)) frames more: $(mebibytes $bound)"

    for count in $((frames / 10)) "$frames"; do
        taken=$(peak "gst-launch-1.0 -q $(frames_of "$count" "$width" "$height") ! \
            divienenc encoder='$encoder' workers=$workers max-buffered-bytes=$most ! fakesink")
        echo "$count frames: $(mebibytes "$taken")"
        [ "$taken" -le $bound ] || { echo "that is more than max-buffered-bytes and the encoders take" >&2; exit 1; }
    done
}

file() {
    frames=${1:-2000}
    most=${2:-200}
    divien=$root/target/release/divien
    [ -x "$divien" ] || { echo "there is no $divien: cargo build --release -p divien makes it" >&2; exit 1; }
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    clip=$folder/clip.mkv
    echo "making a clip of $frames frames, with three reference pictures, three B-frames and a key frame every 25"
    gst-launch-1.0 -q $(frames_of "$frames" 1920 1080) ! x264enc speed-preset=veryfast ref=3 bframes=3 key-int-max=25 \
        ! h264parse ! matroskamux ! filesink location="$clip"
    over=0
    for workers in 1 8; do
        lanes=$((workers == 1 ? 2 : workers))
        alone=$(encoders_alone $lanes 1920 1080)
        echo "$lanes encoders on their own: $(mebibytes "$alone")"
        for chunk in 25 250; do
            taken=$(peak "$divien -y -loglevel error -isolate none -i $clip -c:v libx264 -preset ultrafast -bsize $chunk -w $workers \
                $folder/out.mkv")
            beyond=$((taken - alone))
            echo "-w $workers -bsize $chunk: $(mebibytes "$taken"), $(mebibytes $beyond) more"
            [ $beyond -le $((most * 1024)) ] || over=1
        done
    done
    [ $over = 0 ] || { echo "that is more than $most MiB" >&2; exit 1; }
}

case ${1:-} in
    raw | file)
        what=$1
        shift
        "$what" "$@"
        ;;
    *)
        sed -n 's/^# \(memory.sh .*\)/\1/p' "$0" >&2
        exit 64
        ;;
esac
