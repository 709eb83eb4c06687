"""Is a run good enough: thresholds and paired tests on run folders -> GateResult; baselines. docs/gates.md."""
