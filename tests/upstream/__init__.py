"""diffusers' own pipeline tests, run without a strategy, with a neutral one and with a mild one."""
