"""A local web page for those who use no terminal.

page -> server -> form -> job in a queue -> command line in one process that computes -> files, page

The server imports no TensorFlow. All computation is in one other process, so that a damaged file
or a cancelled job cannot end the server.
"""
