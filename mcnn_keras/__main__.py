"""python -m mcnn_keras: the command line."""

from .cli import main

main()
