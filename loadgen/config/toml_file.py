"""A TOML file that a setting names, which nobody has to write: tools, thresholds, decision."""

from typing import Any, Literal

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.untrusted import read_toml


def read_named(
    settings: Settings, name: Literal["tools_file", "thresholds_file", "decision_file"]
) -> dict[str, Any] | None:
    """Return what the file holds; None where it is not named and not there.

    Raises SettingsError for a file that was named and is not there, or is no TOML.
    """
    path, usual = getattr(settings, name), Settings.model_fields[name].default
    try:
        return read_toml(path)
    except FileNotFoundError as exc:
        if path == usual:
            return None
        raise SettingsError(
            f"{name.upper()} is {path}, which is not there: copy {usual.stem}.example.toml to it, "
            f"or unset {name.upper()}"
        ) from exc
