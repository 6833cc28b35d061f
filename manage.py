#!/usr/bin/env python
"""Django's command line for the desk."""

import os
import sys


def main() -> None:
    if sys.version_info < (3, 11) or sys.version_info >= (3, 14):
        sys.exit(f"The desk runs on Python 3.11, 3.12 or 3.13; this is {sys.version_info.major}.{sys.version_info.minor}.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Broken setting: {error}")


if __name__ == "__main__":
    main()
