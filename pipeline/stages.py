"""The stages of a run in order, and what each is called on the screen.

Apart from `pipeline.py`, so that the screen and the failure messages know the names without TFX.
"""

STAGES: dict[str, str] = {
    "InteractionsGen": "Read the interactions",
    "StatisticsGen": "Compute statistics",
    "SchemaGen": "Infer the schema",
    "InteractionsValidator": "Validate the interactions",
    "SequencePreprocessor": "Make the sequences",
    "TeacherTrainer": "Train the teacher",
    "StudentSearcher": "Search for a student",
    "StudentDistiller": "Distill the student",
    "RankingEvaluator": "Evaluate all models",
    "ServerValidator": "Try the student in a server",
    "VersionPusher": "Push the student",
}
