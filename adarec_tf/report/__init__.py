"""The figures, tables, pictures and pages of a run; needs the extra `report`."""

from adarec_tf.config.extras import require_extra

require_extra("report", "jinja2", "matplotlib", "rich")
