"""Tests of every package, and the pictures that they share."""
