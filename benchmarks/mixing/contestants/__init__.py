"""Who takes part in the benchmark, each in the same way: see `base.Contestant`, and `registry` for the names."""
