"""Persona files of other tools (character cards, fine-tuning data) become a suite folder and a data set."""
