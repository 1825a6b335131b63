"""Whether a scene has changed since its student was trained, and what to do about it."""
