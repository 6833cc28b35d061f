"""The real worker and the real gateway in one process and virtual time: one seed, one schedule, one journal."""
