"""Speed and memory, as a table of ratios: `python -m benchmarks`."""
