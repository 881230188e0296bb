#!/bin/sh
# mp4-with-sound.sh IN.mp4 OUT.mp4: the picture encoded anew, its AAC sound copied. That arrives long before
# the picture that belongs to it is encoded, so its queue is a large one.
set -eu
in=${1:?"usage: mp4-with-sound.sh IN.mp4 OUT.mp4"}
out=${2:?"usage: mp4-with-sound.sh IN.mp4 OUT.mp4"}

# The muxer would wait for a track of sound that never comes.
LC_ALL=C gst-discoverer-1.0 "$in" | grep -q 'audio.*AAC' || {
    echo "mp4-with-sound.sh: no AAC sound could be read from $in; divien -i IN OUT takes files without sound" >&2
    exit 1
}

exec gst-launch-1.0 -e \
    filesrc location="$in" ! qtdemux name=demux \
    demux.video_0 ! queue ! decodebin ! videoconvert ! \
    divienenc encoder="x264enc speed-preset=medium pass=qual quantizer=20" ! h264parse ! queue ! mux. \
    demux.audio_0 ! queue max-size-time=0 max-size-buffers=0 max-size-bytes=268435456 ! aacparse ! mux. \
    mp4mux name=mux ! filesink location="$out"
