#!/bin/sh
# live.sh [OUT.ts]: five seconds of a live source. The latency is that of the chunks in flight, so they are short.
set -eu
out=${1:-live.ts}

exec gst-launch-1.0 -e \
    videotestsrc is-live=true num-buffers=150 pattern=ball ! \
    video/x-raw,format=I420,width=320,height=180,framerate=30/1 ! \
    divienenc encoder="x264enc speed-preset=veryfast bitrate=800" workers=2 chunk-frames=30 ! \
    h264parse ! mpegtsmux ! filesink location="$out"
