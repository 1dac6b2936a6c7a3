"""What can be set: frozen pydantic models, YAML files merged left to right, dotted overrides."""
