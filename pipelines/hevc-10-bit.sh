#!/bin/sh
# hevc-10-bit.sh IN OUT.mkv: HEVC in 10 bit, whatever the input has.
set -eu
in=${1:?"usage: hevc-10-bit.sh IN OUT.mkv"}
out=${2:?"usage: hevc-10-bit.sh IN OUT.mkv"}

exec gst-launch-1.0 -e \
    filesrc location="$in" ! decodebin ! videoconvert ! video/x-raw,format=I420_10LE ! \
    divienenc encoder="x265enc speed-preset=fast bitrate=2000" ! h265parse ! \
    matroskamux ! filesink location="$out"
