"""The wiring: settings, addresses, processes. Imports every app; no app imports it."""
