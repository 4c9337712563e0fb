"""`python -m medvision` is the command `medvision`."""

from medvision_cli.app import main

if __name__ == "__main__":
    main()
