"""What several commands ask for."""

from __future__ import annotations

import argparse

__all__ = ["CLASSES", "seed", "share"]

CLASSES = (
    "digits (8 x 8, come with the program), mnist:FOLDER, cifar:FOLDER (the binary version), or a folder that has a "
    "folder of pictures for each class: squares of one size, with sides that are multiples of 4, up to 64 pixels"
)

DIGITS = 20  # of seeds: those of NumPy have 128 bits, those of people rarely 64


def seed(text: str) -> int:
    """Read a whole number from 0, for argparse."""
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        shown = text if len(text) <= DIGITS else f"{text[:DIGITS]}..."
        raise argparse.ArgumentTypeError(f"{shown!r} is not a whole number from 0 with up to {DIGITS} digits")
    return int(text)


def share(text: str) -> float:
    """Read a share above 0 and below 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; numbers above 0 and below 1 are allowed")
    return value
