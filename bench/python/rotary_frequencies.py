"""Prints the radians per position that Transformers computes: the numbers in RotaryScalingTest."""

import json

from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

SCALINGS = [
    {"rope_type": "default", "rope_theta": 10000.0},
    {"rope_type": "default", "rope_theta": 500000.0},
    {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
     "original_max_position_embeddings": 8192, "rope_theta": 500000.0},
]

for scaling in SCALINGS:
    config = LlamaConfig(hidden_size=64, num_attention_heads=2, head_dim=32, rope_parameters=scaling)
    print(json.dumps(scaling), [float(x) for x in LlamaRotaryEmbedding(config).inv_freq])
