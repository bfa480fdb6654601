"""What the encoder is trained for without labels: losses as pure functions of representations."""
