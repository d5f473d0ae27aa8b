"""Every setting of the service, and how they are read."""

from moderation.settings.addresses import shown_url
from moderation.settings.edge import ServerSettings
from moderation.settings.places import (
    bundle_store,
    cache_directory,
    is_reachable_from_outside,
    reachable_here,
)
from moderation.settings.reading import (
    API_KEY_VARIABLE,
    CONFIG_VARIABLE,
    SettingsError,
    api_key_from_environment,
    load_settings,
    setting_names,
    variable_of,
)
from moderation.settings.sections import Settings
from moderation.settings.shares import share_of

__all__ = [
    "API_KEY_VARIABLE",
    "CONFIG_VARIABLE",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "api_key_from_environment",
    "bundle_store",
    "cache_directory",
    "is_reachable_from_outside",
    "load_settings",
    "reachable_here",
    "setting_names",
    "share_of",
    "shown_url",
    "variable_of",
]
