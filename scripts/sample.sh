#!/bin/sh
# sample.sh FILE.mp4: makes 20 s of moving picture with sound and a scene change half way.
set -eu

out=${1:?"the file to make is missing: sample.sh FILE.mp4"}
part=$out.part
trap 'rm -f "$part"' EXIT

scene() {
    printf 'videotestsrc num-buffers=300 %s ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 ! queue ! scenes. ' "$1"
}

# The encoder's own messages are of no use to somebody who waits for a sample.
# shellcheck disable=SC2046 # the scenes are words of the pipeline
gst-launch-1.0 -q -e \
    concat name=scenes ! identity single-segment=true ! x264enc speed-preset=veryfast bitrate=6000 ! h264parse ! queue ! mux. \
    $(scene "pattern=smpte horizontal-speed=6") \
    $(scene "pattern=zone-plate kx2=2 ky2=2 kt=6") \
    audiotestsrc wave=ticks samplesperbuffer=480 num-buffers=2000 ! audio/x-raw,rate=48000,channels=2 ! \
    audioconvert ! avenc_aac bitrate=128000 ! aacparse ! queue ! mux. \
    mp4mux name=mux ! filesink location="$part"
mv "$part" "$out"
trap - EXIT
