#!/bin/bash
# The bench measures for half an hour on a machine of its own; here is tested what it makes of measurements.
command -v python3 >/dev/null || exit 77
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tools/peers exec python3 bench/test_bench.py
