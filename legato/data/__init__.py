"""Reads what users have, in the formats they have it in, as lazy tables of examples in three splits.

A file a format. Knows nothing of networks, tasks or training.
"""
