"""Classical methods to compare networks with: denoisers and linear inverses. NumPy alone.

Those for phases are in `mcnn_keras.focal_series`.
"""
