"""Inference: measurement -> normalise -> pad -> network -> undo. It knows no physics."""
