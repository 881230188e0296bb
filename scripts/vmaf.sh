#!/bin/sh
# vmaf.sh FOLDER: prints the path of an ffmpeg that has libvmaf, which Debian 12's has not. It is installed into FOLDER, a
# virtual environment of Python's, from the package imageio-ffmpeg. VMAF_FFMPEG names another one.
set -eu

if [ -n "${VMAF_FFMPEG:-}" ]; then
    echo "$VMAF_FFMPEG"
    exit 0
fi
folder=$1
if ! [ -x "$folder/bin/python" ]; then
    python3 -m venv "$folder" >&2
fi
"$folder/bin/python" -c 'import imageio_ffmpeg' 2>/dev/null || "$folder/bin/pip" install -q imageio-ffmpeg==0.8.1 >&2
"$folder/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())'
