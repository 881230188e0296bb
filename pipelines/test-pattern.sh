#!/bin/sh
# test-pattern.sh [OUT.mp4]: no input needed. Four x264 encoders at once, chunks of 100 frames.
set -eu
out=${1:-test-pattern.mp4}

exec gst-launch-1.0 -e \
    videotestsrc num-buffers=400 pattern=smpte horizontal-speed=6 ! \
    video/x-raw,format=I420,width=640,height=360,framerate=30/1 ! \
    divienenc encoder="x264enc speed-preset=slow pass=qual quantizer=23" workers=4 chunk-frames=100 ! \
    h264parse ! mp4mux ! filesink location="$out"
