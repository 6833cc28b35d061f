"""The supervisor behind `manage.py desk`: starts the whole desk on one machine and keeps it running."""
