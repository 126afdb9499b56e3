"""What all tests share: Hypothesis draws the same examples on every run, and takes its time on slow machines."""

from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")
