#!/bin/sh
# Becomes a student's server, in the student's home. First the notebooks are brought up to date:
# what the student has changed stays, and what cannot be merged is no reason not to start.
cd || exit
GIT_CONFIG_SYSTEM="$LAB_GIT_CONFIG" gitpuller "$LAB_NOTEBOOKS" main notebooks ||
    echo "notebooks: not updated" >&2
mkdir -p notebooks
# Cells say `path = "../support/…"`: with this link it is the very folder that was warmed.
ln -sfn "$LAB_SUPPORT" support
# A kernel that waits for whoever opens a notebook or restarts one. Its keeper ends with the server:
# nobody else holds the other end of the pipe.
if [ "${LAB_SPARE_COUNT:-0}" -gt 0 ]; then
    export LAB_SPARES="$JUPYTER_RUNTIME_DIR/spares"
    pipe="$LAB_SPARES.pipe"
    rm -rf "$LAB_SPARES" "$pipe"
    mkdir "$LAB_SPARES"
    mkfifo "$pipe"
    exec 9<>"$pipe"
    "$LAB_KERNEL" --keep "$LAB_SPARE_COUNT" "$LAB_SPARES" notebooks/00-guide.ipynb <"$pipe" 9>&- &
fi
exec jupyterhub-singleuser "$@"
