"""A Flink cluster on this machine for the Beam stages: see `python -m pipeline.flink --help`."""
