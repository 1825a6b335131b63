#!/bin/sh
# The command of Beam's environment PROCESS, which may have no arguments of its own. PYTHON is the
# interpreter that has this package (default: `python` of the PATH), WORKER_LOG a file for what the
# worker says beside Flink's log (default: none).
exec "${PYTHON:-python}" -m components.beam_worker "$@" >>"${WORKER_LOG:-/dev/null}" 2>&1
