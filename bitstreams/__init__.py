"""What a file is made of: bits, codes, chunks and their bookkeeping. Nothing in here knows of pixels."""
