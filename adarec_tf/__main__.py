"""`python -m adarec_tf`: the same as the command `adarec`."""

from adarec_tf.cli import main

if __name__ == "__main__":
    main(prog_name="python -m adarec_tf")
