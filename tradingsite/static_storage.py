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


def _without_source_maps(patterns: tuple[tuple[str, tuple[object, ...]], ...]) -> tuple[tuple[str, tuple[object, ...]], ...]:
    """Source maps are not collected, so the comments that point to them must stay as they are."""
    return tuple((glob, tuple(rule for rule in rules if "sourceMappingURL" not in str(rule))) for glob, rules in patterns)


class HashedStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites the `import` lines of our ES modules to the hashed names."""

    support_js_module_import_aggregation = True
    patterns = _without_source_maps(
        (*CompressedManifestStaticFilesStorage.patterns, CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns)
    )
