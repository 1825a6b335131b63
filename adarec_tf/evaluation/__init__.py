"""How well scores rank the item a user took next, and the simple models any other must beat."""
