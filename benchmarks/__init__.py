"""Measurements: every figure that the README states is printed by a command in here.

Three commands of the program:

    tcodec rd INPUT...      rate-distortion curves beside other codecs, BD-rates, a page; what each stage is worth
    tcodec speed INPUT...   encoding and decoding in CPU time, beside others and by stage; growth with size; memory
    tcodec entropy FILE...  the Shannon bound, the Huffman bits and the bytes of files

and commands that ask one question each:

    python -m benchmarks.readme               the tables in README.md, from the results that are kept in here
    python -m benchmarks.sizes FOLDER         bytes and PSNR with JPEG's own tables, against libjpeg-turbo
    python -m benchmarks.exact FILE...        decoded bytes under different matrix kernels and thread counts
    python -m benchmarks.video_exact CLIP...  decoded frames against the encoder's, under different matrix kernels
    python -m benchmarks.video_seek CLIP      the cost of fetching any frame of ten minutes
    python -m benchmarks.tuning FOLDER        how the quantiser's constants were found, on photos for training
    python -m benchmarks.video_tuning CLIP... what the constants of the encoder are worth, on clips for training
    python -m benchmarks.token_controls FOLDER  the token profile against plain transforms
    python -m benchmarks.imagined FOLDER      the lowest rates: tokens that are not sent

All sizes are those of real files, and all qualities those of decoded ones. A sweep reads from top to bottom as

    rd           from inputs to a report; `commands` has the arguments
    sources      what is compared, found and loaded
    codecs       the interface, `picture_codecs` and `video_codecs` behind it
    cells        one source, one codec, one quality; `distortion` measures
    sweep, pool  all cells, on processes or a cluster; what was measured is kept
    curves       BD-rates of everyone against everyone; `ablation`, what stages are worth
    crops        pictures to look at; `matching` finds the quality for a rate
    results, plots, page      the report

and `tcodec speed` as `speed`, `stage_times`, `scaling` and `memory`.

The commands with one question print their measurements and targets, write them to a file with --json, and end with
status 0 if every target is met and 1 if not.
"""
