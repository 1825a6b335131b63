"""TFX components: each reads artifacts, calls the library, writes artifacts."""

from components.artifacts import Genotype, Sequences, Vocabulary

__all__ = ["Genotype", "Sequences", "Vocabulary"]
