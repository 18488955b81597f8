"""Cases, bookkeeping and figures of `benchmarks/judgement.py`."""
