"""The figures, tables and pictures of a run; needs the extra `report`."""

from adarec_tf.config.extras import require_extra

require_extra("report", "matplotlib", "rich")
