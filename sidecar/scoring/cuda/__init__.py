"""Our models on an NVIDIA GPU: packed forwards over fused kernels, replayed as CUDA graphs. Read `bert.py` first."""
