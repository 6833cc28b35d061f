"""Breaking the desk on purpose, with real processes, and an independent judge of what was left. Never part of a running desk."""
