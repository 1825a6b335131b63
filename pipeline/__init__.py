"""The pipeline: how the components are wired, how a run is configured, and where it runs."""
