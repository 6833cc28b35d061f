#!/usr/bin/env python
"""Django's command line for the desk."""

import os
import sys

# These read no table and show no page. Without Django's registry of models each is 40 MB smaller, for as long as it runs.
BARE = {"desk": "tradingsite", "ibgateway": "positions", "flowapi": "signals"}  # command → its app


def main() -> None:
    if sys.version_info < (3, 11) or sys.version_info >= (3, 14):
        sys.exit(f"The desk runs on Python 3.11, 3.12 or 3.13; this is {sys.version_info.major}.{sys.version_info.minor}.")
    os.umask(0o077)  # what the desk writes is for its owner alone
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        if sys.argv[1:2] and sys.argv[1] in BARE:
            run_bare(sys.argv)
        else:
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Broken setting: {error}")


def run_bare(argv: list[str]) -> None:
    """The command as Django would run it, with settings and logging, but without loading the apps."""
    from django.conf import settings
    from django.core.management import load_command_class
    from django.utils.log import configure_logging

    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    load_command_class(BARE[argv[1]], argv[1]).run_from_argv(argv)


if __name__ == "__main__":
    main()
