"""One suite through several engines, and how far their answers agree."""
