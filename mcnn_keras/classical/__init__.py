"""Classical methods to compare networks with: denoisers and linear inverses, without Keras.

Methods for phases are in `mcnn_keras.focal_series`.
"""
