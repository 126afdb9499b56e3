"""Measurements: every figure that the README states is printed by a command in here.

Two commands of the program, which compare with other codecs:

    tcodec rd INPUT...      rate-distortion curves, BD-rates, a page to look at; what each stage is worth; entropy
    tcodec speed INPUT...   encoding and decoding by CPU time, stage by stage, and with growing sizes; memory

and commands that ask one question each:

    python -m benchmarks.readme               the tables in README.md, from the results that are kept in here
    python -m benchmarks.sizes FOLDER         bytes and PSNR with JPEG's own tables, against libjpeg-turbo
    python -m benchmarks.exact FILE...        decoded bytes under different matrix kernels and thread counts
    python -m benchmarks.video_exact CLIP...  decoded frames against the encoder's, under different matrix kernels
    python -m benchmarks.video_seek CLIP      the cost of fetching any frame of ten minutes
    python -m benchmarks.tuning FOLDER        how the quantiser's constants were found, on photos for training
    python -m benchmarks.video_tuning CLIP... what the constants of the encoder are worth, on clips for training

All sizes are those of real files, and all qualities those of decoded ones. A sweep reads from top to bottom as

    sources      what is compared, found and loaded
    codecs       the interface, `picture_codecs` and `video_codecs` behind it
    cells        one source, one codec, one quality; `distortion` measures
    sweep, pool  all cells, on processes or a cluster; what was measured is kept
    curves       BD-rates of everyone against everyone
    results, plots, page      the report

The commands with one question print their measurements and targets, write them to a file with --json, and end with
status 0 if every target is met and 1 if not.
"""
