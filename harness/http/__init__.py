"""Asking a server over HTTP: addresses, keys, attempts, pauses, and a name for everything that fails."""
