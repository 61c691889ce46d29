"""Measure chainfold beside the least work possible and beside nirs4all's registry: prints ratios.

    python benchmarks/run.py [--sizes 1000 10000] [--quick] [--out benchmarks/results]

What it needs is in `bench-requirements.txt` and `peers.txt`; without the peer its column stays empty.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from benchmarks.suite import main

    main()
