"""Recordings as others know them: MCAP, Rerun, ELAN, CSV; one file a format, and what they share."""
