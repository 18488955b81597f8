"""Where a study looks next: the sampler, and the strategies that it can follow.

Nothing is imported here: a study file only needs to know what its samplers are called, not Optuna.
"""
