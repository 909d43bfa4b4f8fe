"""Sound → emotion distribution: decoding, log-mel, network, training, export, prediction."""
