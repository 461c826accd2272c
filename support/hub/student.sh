#!/bin/sh
# Becomes a student's server, in the student's home. First the notebooks are brought up to date:
# what the student has changed stays, and what cannot be merged is no reason not to start.
cd || exit
GIT_CONFIG_SYSTEM="$LAB_GIT_CONFIG" gitpuller "$LAB_NOTEBOOKS" main notebooks ||
    echo "notebooks: not updated" >&2
mkdir -p notebooks
# Cells say `path = "../support/…"`: with this link it is the very folder that was warmed.
ln -sfn "$LAB_SUPPORT" support
exec jupyterhub-singleuser "$@"
