"""Small programs behind every figure that the documentation prints.

`python -m benchmarks` lists them; `python -m benchmarks.NAME [--json] [--seed N] [--quick]` runs
one. Its exit code is 0 only if every figure met its target.
"""
