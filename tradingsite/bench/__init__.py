"""Measures the hot paths beside their peers, on throwaway servers: `manage.py bench`. Only ratios of one run mean anything."""
