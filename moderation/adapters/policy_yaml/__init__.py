"""Policies from a directory of YAML files; every mistake is told with its file, line and column.

`source` loads the whole set; `files` reads bytes within limits, `document` turns
them into a tree with places, `schema` says what may be written, `wording` how a
mistake is told, and `policies` and `profiles` build the domain's values. `binding` says for
which encoder the thresholds were set.
"""

from moderation.adapters.policy_yaml.binding import remove_binding, write_binding
from moderation.adapters.policy_yaml.source import YamlPolicySource

__all__ = ["YamlPolicySource", "remove_binding", "write_binding"]
