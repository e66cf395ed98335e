"""Variables of the environment that launchers, schedulers and users set."""

from bad_inputs import Bad, fit

EXPECTED = "in the environment: expected a whole number from 0; unset"

INPUTS = [
    *[
        Bad(f"{name}={value!r}", command, (f"{name}={value!r} {EXPECTED} {name}",), environment={name: value})
        for name, value, command in [
            ("RANK", "", "reproduce fig3 --dry-run"),
            ("RANK", "first", fit()),
            ("RANK", "-1", "prepare Task --store new"),
            ("WORLD_SIZE", "two", fit()),
            ("LOCAL_RANK", "0.5", fit()),
            ("SLURM_PROCID", "", fit()),
            ("SLURM_PROCID", "1e3", fit()),
            ("SLURM_LOCALID", "none", fit()),
            ("NODE_RANK", "nan", fit()),
        ]
    ],
    *[
        Bad(
            f"OMP_NUM_THREADS={value!r}",
            "report run",
            (f"OMP_NUM_THREADS={value!r}", "expected a number of threads from 1"),
            environment={"OMP_NUM_THREADS": value},
        )
        for value in ("", "0", "-2", "many", "1.5", "4,0")
    ],
    *[
        Bad(
            f"{name}={value} without a launcher",
            fit(),
            (f"{name}={value} in the environment", "unset"),
            environment={name: value},
        )
        for name, value in {"RANK": "1", "LOCAL_RANK": "3", "SLURM_PROCID": "2"}.items()
    ],
    Bad(
        "a launcher's name alone",
        fit(),
        ("TORCHELASTIC_RUN_ID is set", "RANK, LOCAL_RANK, WORLD_SIZE"),
        environment={"TORCHELASTIC_RUN_ID": "x"},
    ),
    Bad(
        "a rank beyond the world",
        fit(),
        ("RANK=2", "must be below WORLD_SIZE=2"),
        environment={
            "TORCHELASTIC_RUN_ID": "x",
            "RANK": "2",
            "LOCAL_RANK": "0",
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
        },
    ),
]
