"""Measure chainfold beside the least work possible and beside its peers, all in one run.

    python -m benchmarks [--sizes 1000 10000 100000] [--quick] [--only PART ...]

What it needs is in `bench-requirements.txt` and `nirs4all-requirements.txt`; a missing peer is left out.
"""

from benchmarks.suite import main

if __name__ == "__main__":
    main()
