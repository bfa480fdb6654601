"""How it is started: command line, supervisor, reports."""
