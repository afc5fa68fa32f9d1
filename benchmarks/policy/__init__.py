"""The policy engine against hand-written code and other engines. Run `python -m benchmarks.policy`."""
