"""Small transformers whose tokens are the codec's blocks, with hand-written backward passes."""
