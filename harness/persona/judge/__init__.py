"""An optional judge model behind any OpenAI-compatible endpoint. docs/persona_judge.md is its specification.

A judge answers yes/no questions about single replies (checklist) and prefers one of two (pairwise). What it says counts
only where it can be checked: quotations must stand in the reply, both orders must agree, and an answer that cannot be
read is missing. A judge is measured on replies whose truth is known (qualification) before its numbers are believed.
"""
