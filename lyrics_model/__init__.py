"""Text → emotion distribution: tokens, encoder, pretraining, fine-tuning, export, prediction."""
