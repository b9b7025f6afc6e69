"""Denoising: a Deep Complex U-Net for each machine type, in ten strengths."""
