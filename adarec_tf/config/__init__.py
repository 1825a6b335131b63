"""All the settings there are: one model a stage, and `PipelineConfig`, which holds them.

Values are validated on construction; unknown keys are refused. `to_json` and `from_json` carry the
settings of a stage to a component (TFX parameters are primitive) and into the folder of a run.
"""
