"""Static files under names that carry a hash of their content, so browsers may keep them for ever."""

from django.contrib.staticfiles.apps import StaticFilesConfig
from whitenoise.storage import CompressedManifestStaticFilesStorage


class CollectedFilesConfig(StaticFilesConfig):
    """Collects only what pages use of the front-end packages."""

    ignore_patterns = [
        *StaticFilesConfig.ignore_patterns,
        *("*.map", "*.d.ts", "*.rtl.*", "*development*", "*.esm.*", "*.mjs"),
        *("tabler-flags*", "tabler-marketing*", "tabler-payments*", "tabler-socials*", "demo*"),
    ]


class HashedStorage(CompressedManifestStaticFilesStorage):
    """Rewrites addresses in style sheets, and the `import` lines of our own ES modules, to the hashed names.

    Source maps are not collected, so the comments that point to them stay as they are.
    """

    patterns = (
        *((glob, rules[:2]) for glob, rules in CompressedManifestStaticFilesStorage.patterns if glob == "*.css"),
        ("js/*.js", CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1]),
    )
