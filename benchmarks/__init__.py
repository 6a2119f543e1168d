"""Side by side with what people would use instead: `python -m benchmarks`, or `make bench`.

A figure is a ratio of times, ours over the peer's, from alternating runs in one process with the same number of
threads: the median and the quartiles of at least seven pairs. Outputs are compared before anything is timed.
"""
