"""How well the models and their fusion do: on held-out data, beside constant and simple models."""
