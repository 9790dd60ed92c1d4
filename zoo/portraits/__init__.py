"""Captioned pixel-art portraits: the data that tiny-portraits is trained and scored on."""
