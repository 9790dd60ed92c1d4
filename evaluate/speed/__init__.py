"""Time, work and memory of strategies, measured alone on the device.

Knows no metric. `latency_table` and `call_kinds` import no torch.
"""
