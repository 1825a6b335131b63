"""TFX components: each reads artifacts, calls the library, writes artifacts."""

from components.artifacts import Genotype, Recipe, Report, SceneCheck, Sequences, Vocabulary

__all__ = ["Genotype", "Recipe", "Report", "SceneCheck", "Sequences", "Vocabulary"]
