import os

import pytest

from sslmed.core.errors import UserError
from sslmed.core.workers import run_in_processes


def test_results_keep_the_items_order():
    assert run_in_processes(abs, [-3, 2, -1], description="testing", jobs=2) == [3, 2, 1]


def test_one_job_is_done_in_this_process():
    done: list[int] = []
    run_in_processes(done.append, [2, 1, 2], description="testing", jobs=1)
    assert done == [2, 1, 2]


def test_memory_that_runs_out_in_this_process_is_a_readable_error():
    with pytest.raises(UserError, match="testing: memory ran out, or a worker process was killed"):
        run_in_processes(bytearray, [1, 2**62], description="testing", jobs=1)


def test_a_killed_worker_is_a_readable_error():
    with pytest.raises(UserError, match="testing: memory ran out, or a worker process was killed"):
        run_in_processes(os._exit, [9], description="testing")


@pytest.mark.parametrize("jobs", [0, -1])
def test_jobs_must_be_positive(jobs):
    with pytest.raises(UserError, match=f"jobs must be at least 1, not {jobs}"):
        run_in_processes(abs, [1], description="testing", jobs=jobs)
