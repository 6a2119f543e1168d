"""Side by side with what people would use instead: `python -m benchmarks`, or `make bench`.

A figure is a ratio, ours over the peer's, from alternating runs in one process: the median and the quartiles of at
least seven pairs. The peer gets one thread or all, whichever is faster for it. Each module says what of both
sides is compared before anything is timed.
"""
