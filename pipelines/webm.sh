#!/bin/sh
# webm.sh IN OUT.webm: VP9 of constant quality, with Opus; IN has sound. Sound arrives long before the picture that
# belongs to it is encoded, so its queue is a large one.
set -eu
in=${1:?"usage: webm.sh IN OUT.webm"}
out=${2:?"usage: webm.sh IN OUT.webm"}

# The muxer would wait for a track of sound that never comes.
LC_ALL=C gst-discoverer-1.0 "$in" | grep -q ' audio' || {
    echo "webm.sh: no sound could be read from $in; divien -i IN OUT takes files without sound" >&2
    exit 1
}

exec gst-launch-1.0 -e \
    filesrc location="$in" ! decodebin name=decode \
    decode. ! queue ! videoconvert ! video/x-raw,format=I420 ! \
    divienenc encoder="vp9enc end-usage=cq cq-level=30 cpu-used=4 target-bitrate=2000000" ! vp9parse ! queue ! mux. \
    decode. ! audioconvert ! audioresample ! opusenc ! \
    queue max-size-time=0 max-size-buffers=0 max-size-bytes=268435456 ! mux. \
    webmmux name=mux ! filesink location="$out"
