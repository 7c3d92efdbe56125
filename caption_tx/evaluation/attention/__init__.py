"""How well attention maps agree with objects, and whether the model uses what they show."""
