"""A campaign file as checked, immutable objects: the one place where YAML becomes a `CampaignConfig`."""

from loop.config.campaign import CampaignConfig
from loop.config.load import config_hash, load_config, parse_config, schema_json, to_json

__all__ = ["CampaignConfig", "config_hash", "load_config", "parse_config", "schema_json", "to_json"]
