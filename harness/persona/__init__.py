"""Persona cards and the metrics of persona style, with nothing that needs a network or a judge model."""
