"""Training curves read by rules: log entries in, verdict, findings and the best checkpoint out. No torch, no numpy."""

from harness.training.diagnosis.model import Diagnosis, Finding, RunFacts
from harness.training.diagnosis.verdict import diagnose

__all__ = ["Diagnosis", "Finding", "RunFacts", "diagnose"]
