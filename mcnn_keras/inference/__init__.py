"""Inference: measurement -> normalise -> pad -> network -> undo. It contains no physics."""
