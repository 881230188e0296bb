#!/bin/sh
# workers.sh HOST:PORT[,HOST:PORT...] TOKEN-FILE [OUT.mp4]: five seconds of a live source, filtered here and encoded by
# workers elsewhere alone (`divien worker --listen :7171 --token-file TOKEN-FILE`).
set -eu
workers=${1:?"usage: workers.sh HOST:PORT[,HOST:PORT...] TOKEN-FILE [OUT.mp4]"}
token=${2:?"usage: workers.sh HOST:PORT[,HOST:PORT...] TOKEN-FILE [OUT.mp4]"}
out=${3:-workers.mp4}

exec gst-launch-1.0 -e \
    videotestsrc is-live=true num-buffers=150 pattern=ball ! \
    video/x-raw,format=I420,width=320,height=180,framerate=30/1 ! \
    videobalance saturation=0.5 ! \
    divienenc encoder="x264enc speed-preset=veryfast bitrate=800" local=false chunk-frames=30 \
        remote-workers="$workers" token-file="$token" ! \
    h264parse ! mp4mux ! filesink location="$out"
