#!/usr/bin/env bash
# A search on the nodes of a SLURM job: sbatch examples/slurm.sh [flags of python -m search].
# Adjust the resources; every node runs one Ray node, the first one also the search.
#SBATCH --job-name=stratagem
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
set -euo pipefail

nodes=($(scontrol show hostnames "$SLURM_JOB_NODELIST"))
head=${nodes[0]}
port=${RAY_PORT:-6379}
address="$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}'):$port"
gpus=${SLURM_GPUS_ON_NODE:-1}
cpus=${SLURM_CPUS_PER_TASK:-1}

srun --nodes=1 --ntasks=1 -w "$head" \
    ray start --head --node-ip-address "${address%:*}" --port "$port" \
    --num-cpus "$cpus" --num-gpus "$gpus" --block &
sleep 15
if [ "${#nodes[@]}" -gt 1 ]; then
    srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --exclude "$head" \
        ray start --address "$address" --num-cpus "$cpus" --num-gpus "$gpus" --block &
fi

srun --overlap --nodes=1 --ntasks=1 -w "$head" \
    python -m search --address "$address" --workers $((gpus * ${#nodes[@]})) "$@"
