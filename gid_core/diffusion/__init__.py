"""The learned prior: a latent diffusion model of spectral volumes (Li et al. 2024, Sec. 4).

In: a still. Out: a sampled spectral volume. Normalization, autoencoder, image encoder, denoiser,
sampler.
Law: decode(encode(S)) = S; samplers converge to the exact solution at their order.
"""
