"""Problems, contestants and bookkeeping of `benchmarks/sample_efficiency.py`."""
