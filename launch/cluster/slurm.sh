#!/bin/bash
# One training on Slurm, from raw files to the engine: a Ray cluster for the length of the job, with a token of its own.
#
#     RAW=/shared/raw/nw_ucla OUT=/shared/runs/nw-ucla sbatch launch/cluster/slurm.sh nw-ucla
#
# Change what is marked CHANGE. RAW, OUT and the home directory must be on disks that every node shares. A job that was
# stopped goes on when it is submitted again with the same OUT.
#SBATCH --job-name=skelstream
#SBATCH --nodes=2                 # CHANGE
#SBATCH --ntasks-per-node=1       # one Ray node a machine, which takes all that the job has there
#SBATCH --cpus-per-task=16        # CHANGE
#SBATCH --gpus-per-node=4         # CHANGE; without GPUs take the line out
#SBATCH --time=24:00:00           # CHANGE
#SBATCH --signal=B:TERM@60        # a minute to stop in
set -euo pipefail

dataset=${1:?name the data set: sbatch launch/cluster/slurm.sh nw-ucla}
: "${RAW:?set RAW to the folder of raw files}" "${OUT:?set OUT to the folder for the results}"
# CHANGE: where skelstream[train] is installed, for every node.
# source "$HOME/skelstream-env/bin/activate"

cpus=${SLURM_CPUS_PER_TASK:-1}
gpus=${SLURM_GPUS_ON_NODE:-0}
workers=$((SLURM_JOB_NUM_NODES * (gpus > 0 ? gpus : 1)))

# Nobody but this user may read the token, and it is gone when the job is.
umask 077
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export RAY_AUTH_TOKEN_PATH="$HOME/.skelstream-$SLURM_JOB_ID.token"
python3 -c 'import secrets; print(secrets.token_hex(32), end="")' > "$RAY_AUTH_TOKEN_PATH"

started=()
stop() {
    trap - EXIT TERM INT
    for process in "${started[@]}"; do kill -TERM "$process" 2> /dev/null || true; done
    wait || true
    rm -f "$RAY_AUTH_TOKEN_PATH"
}
trap stop EXIT
trap 'exit 143' TERM INT

# This script runs on the first node, which becomes the head. Several jobs may share a machine: the port is the job's.
# CHANGE: where a machine has several networks, take the address on the fast one.
head=$(hostname -I | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 5000))
address=$head:$port
here=(--num-cpus="$cpus" --num-gpus="$gpus" --block)
ray start --head --node-ip-address="$head" --port="$port" --ray-client-server-port=$((port + 5000)) \
    --include-dashboard=false --temp-dir="/tmp/ray-$SLURM_JOB_ID" "${here[@]}" &
started+=($!)
timeout 120 bash -c "until (exec 3<> /dev/tcp/$head/$port) 2> /dev/null; do sleep 1; done"

others=$((SLURM_JOB_NUM_NODES - 1))
if ((others > 0)); then
    srun --nodes="$others" --ntasks="$others" --exclude="$SLURMD_NODENAME" --kill-on-bad-exit=1 \
        ray start --address="$address" "${here[@]}" &
    started+=($!)
fi
timeout 300 bash -c "until [ \$(ray status --address=$address 2> /dev/null | grep -c ' node_') -ge $SLURM_JOB_NUM_NODES ]; do sleep 2; done"

# In the background, so that a signal to this script is heard at once.
skelstream train pipeline "$dataset" --raw "$RAW" --out "$OUT" --ray "$address" --storage "$OUT" --workers "$workers" &
started+=($!)
wait $!
