"""Measurements: every figure that the README states is printed by a command in here.

    python -m benchmarks FOLDER            sizes, curves, speed and memory; writes results.json and results.md
    python -m benchmarks.sizes FOLDER      bytes and PSNR with JPEG's own tables, against libjpeg-turbo
    python -m benchmarks.curves FOLDER     rate-distortion curves and BD-rates; --plot draws them
    python -m benchmarks.speed FOLDER      encoding and decoding, in CPU time
    python -m benchmarks.memory            peak memory with a picture of 100 megapixels
    python -m benchmarks.exact FILE...     decoded bytes under different matrix kernels and thread counts
    python -m benchmarks.tuning FOLDER     how the quantiser's constants were found, on photos for training

    python -m benchmarks.video_curves CLIP...   rate-distortion curves and BD-rates, against ffmpeg's codecs; -o draws
    python -m benchmarks.video_speed CLIP...    encoding and decoding in CPU time, against ffmpeg's codecs
    python -m benchmarks.video_memory CLIP...   peak memory, and whether it grows with the length
    python -m benchmarks.video_exact CLIP...    decoded frames against the encoder's, under different matrix kernels
    python -m benchmarks.video_seek CLIP        the cost of fetching any frame of ten minutes
    python -m benchmarks.video_tuning CLIP...   what the constants of the encoder are worth, on clips for training

FOLDER holds photos, such as the Kodak set; CLIP is a video file, which may be packed as .xz. All sizes are those of
real files, and all qualities those of decoded ones. Each command prints its measurements and targets, writes them to a
file with --json, and ends with status 0 if every target is met and 1 if not.
"""

import os

# One thread. A BLAS reads these when NumPy loads it, which no module of this package has done yet.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_variable] = "1"
