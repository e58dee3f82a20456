"""A plugin for napari: widgets that denoise image layers and retrieve phases from them.

napari finds it by ``napari.yaml``. `layers` reads layers and describes results, `work` computes in
another thread, `widgets` is the user interface.
"""
