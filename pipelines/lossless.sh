#!/bin/sh
# lossless.sh IN OUT.mkv: FFV1, every sample kept.
set -eu
in=${1:?"usage: lossless.sh IN OUT.mkv"}
out=${2:?"usage: lossless.sh IN OUT.mkv"}

exec gst-launch-1.0 -e \
    filesrc location="$in" ! decodebin ! \
    divienenc encoder="avenc_ffv1 slicecrc=1" chunk-frames=100 ! \
    matroskamux ! filesink location="$out"
